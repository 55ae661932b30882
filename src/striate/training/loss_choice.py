"""Which loss fits what a network puts out, and what classes weigh in it."""

from __future__ import annotations

import numpy as np

from striate.engine.losses import FITTING, LossName
from striate.errors import UserError
from striate.schemas import Output


def choose_loss(output: Output, loss: str) -> LossName:
    """Return the loss to use: the default for `output` if `loss` is "auto", else `loss` if it fits.

    Raises:
        UserError: `loss` does not fit; names what does.
    """
    fitting = FITTING[output]
    if loss == "auto":
        return fitting[0]
    for name in fitting:
        if name == loss:
            return name
    raise UserError(
        f"--loss {loss} does not fit a network that puts out {output.replace('_', '-')}; "
        f"use {' or '.join(fitting)}, or leave it at auto."
    )


def balanced_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return float32 (K,) class weights n / (K * count), as scikit-learn's `class_weight="balanced"`.

    A class without an image gets 0.

    Args:
        labels: int64 (N,), 0 to K - 1.
        num_classes: K.
    """
    counts = np.bincount(labels, minlength=num_classes)
    weights = np.zeros(num_classes, np.float32)
    present = counts > 0
    weights[present] = len(labels) / (num_classes * counts[present])
    return weights
