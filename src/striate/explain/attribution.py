"""What each pixel does for a class's score: input and integrated gradients, occlusion. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from striate.explain.subject import Subject

STEPS = 32
"""Points at which integrated gradients take the gradient."""
BATCH = 32
WINDOWS = 5
"""An occluding window is this part of the image's side; it moves by half its own side."""


def input_gradients(subject: Subject, inputs: Tensor, classes: Tensor) -> Tensor:
    """Return the gradient of the score for the input, (N, C, H, W) (Simonyan et al. 2014).

    Args:
        subject: the network, held still.
        inputs: (N, C, H, W), as the network takes them.
        classes: int64 (N,), whose score is explained.
    """
    with torch.enable_grad():
        leaf = inputs.detach().clone().requires_grad_()
        scores = subject.scores(subject.network(leaf))
        total = scores.gather(1, classes[:, None]).sum()
        (gradient,) = torch.autograd.grad(total, leaf)
    return gradient


def integrated_gradients(
    subject: Subject, inputs: Tensor, classes: Tensor, baseline: Tensor | None = None, steps: int = STEPS
) -> Tensor:
    """Return what each input value adds to the score, (N, C, H, W) (Sundararajan et al. 2017).

    The gradient is averaged on the straight way from the baseline to the image (Gauss-Legendre quadrature)
    and multiplied by their difference: the values add up to the score of the image less that of the
    baseline, but for the error of the quadrature.

    Args:
        subject: the network, held still.
        inputs: (N, C, H, W), as the network takes them.
        classes: int64 (N,), whose score is explained.
        baseline: (C, H, W) or (N, C, H, W); None: 0, the mean colour of the data that the network knows.
        steps: points of the quadrature.
    """
    start = torch.zeros_like(inputs) if baseline is None else baseline.expand_as(inputs)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    average = torch.zeros_like(inputs)
    for node, weight in zip(nodes, weights, strict=True):
        point = start + (node + 1) / 2 * (inputs - start)
        average += weight / 2 * input_gradients(subject, point, classes)
    return average * (inputs - start)


def occlusion(subject: Subject, inputs: Tensor, classes: Tensor) -> Tensor:
    """Return by how much the score falls where the image is hidden, (N, H, W) (Zeiler and Fergus 2014).

    A window of the mean colour moves over the image by half its side; each pixel gets the average over the
    windows that hid it.

    Args:
        subject: the network, held still.
        inputs: (N, C, H, W), as the network takes them.
        classes: int64 (N,), whose score is explained.
    """
    return torch.stack(
        [_occlude(subject, image[None], int(label)) for image, label in zip(inputs, classes, strict=True)]
    )


def _occlude(subject: Subject, image: Tensor, label: int) -> Tensor:
    height, width = image.shape[2:]
    windows = list(_windows(height, width))
    with torch.inference_mode():
        whole = subject.scores(subject.network(image))[0, label]
        falls = []
        for start in range(0, len(windows), BATCH):
            hidden = image.repeat(min(BATCH, len(windows) - start), 1, 1, 1)
            for row, (top, bottom, left, right) in enumerate(windows[start : start + BATCH]):
                hidden[row, :, top:bottom, left:right] = 0
            falls.append(whole - subject.scores(subject.network(hidden))[:, label])
    total, count = image.new_zeros((2, height, width))
    for fall, (top, bottom, left, right) in zip(torch.cat(falls), windows, strict=True):
        total[top:bottom, left:right] += fall
        count[top:bottom, left:right] += 1
    shared: Tensor = total / count
    return shared


def _windows(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (top, bottom, left, right) of windows that cover every pixel."""
    for top, bottom in _stretches(height):
        for left, right in _stretches(width):
            yield top, bottom, left, right


def _stretches(length: int) -> Iterator[tuple[int, int]]:
    size = max(1, -(-length // WINDOWS))
    step = max(1, size // 2)
    for start in range(step - size, length, step):
        yield max(0, start), min(length, start + size)
