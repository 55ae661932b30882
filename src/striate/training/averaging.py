"""An exponential moving average of a network's weights (Polyak & Juditsky 1992): what is validated and kept.

The average follows the weights from step to step and wobbles less than they do; it spans about the last
1 / (1 - decay) steps.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Tensors = list[torch.Tensor] | tuple[torch.Tensor, ...]


def make_average(network: torch.nn.Module, decay: float) -> AveragedModel:
    """Return an average of the weights of `network`, in evaluation mode, on its device and in its layout.

    Each `update_parameters(network)` leaves the share min(decay, (1 + n) / (10 + n)) of the average after n
    updates, so that the random weights of the beginning are soon forgotten. The running statistics of batch
    normalisation are averaged too: each belongs to the weights of its step. Counters are copied.

    Args:
        network: not changed.
        decay: 0 to 1.
    """

    def update(averaged: Tensors, current: Tensors, count: torch.Tensor | int) -> None:
        if not averaged[0].is_floating_point():
            for kept, now in zip(averaged, current, strict=True):
                kept.copy_(now)
            return
        n = int(count)
        step = get_ema_multi_avg_fn(  # type: ignore[no-untyped-call]  # torch's
            min(decay, (1 + n) / (10 + n))
        )
        step(averaged, current, n)

    average = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    average.eval()
    return average


def restore_average(average: AveragedModel, weights: Mapping[str, np.ndarray], updates: int) -> None:
    """Put the average back as it was after `updates` updates, its state dict being `weights`."""
    average.module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    average.n_averaged.fill_(updates)
