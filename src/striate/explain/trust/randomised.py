"""Maps of a network whose head, or deepest block, has forgotten all: they must differ. Imports torch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from striate.explain.subject import Subject

DRAWS = 6
"""So many times weights are drawn: by chance a map may stay as it is, or turn into its opposite."""


def similarities(
    subject: Subject,
    pixels: np.ndarray,
    label: int,
    values: np.ndarray,
    map_of: Callable[[Subject, np.ndarray, int], np.ndarray],
    seed: int,
) -> tuple[float, float]:
    """Return how alike a map stays when the head, and when the deepest block, gets random weights.

    Args:
        subject: the network; a copy of it is changed.
        pixels: uint8 (C, H, W).
        label: the class that the map explains.
        values: float (h, w), the map.
        map_of: makes the map anew.
        seed: of the weights.

    Returns:
        Mean rank correlation (Spearman) over the draws, -1..1; 1: the map does not depend on those weights.
    """
    generator = torch.Generator().manual_seed(seed)
    changed = replace(subject, network=copy.deepcopy(subject.network))
    found = []
    for part in (head(changed.network), deepest_block(changed.network)):
        kept = copy.deepcopy(part.state_dict())
        alike = []
        for _ in range(DRAWS):
            forget(part, generator)
            alike.append(rank_correlation(values, map_of(changed, pixels, label)))
        part.load_state_dict(kept)
        found.append(float(np.mean(alike)))
    return found[0], found[1]


def head(network: nn.Module) -> nn.Module:
    """Return the last layer with weights for sums: a linear layer, or a convolution."""
    return _learned(network)[-1][1]


def deepest_block(network: nn.Module) -> nn.Module:
    """Return the block around the last convolution before the head, or that convolution if none is around it.

    Without a convolution it is the last linear layer before the head; of a single layer, that layer.
    """
    learned = _learned(network)[:-1] or _learned(network)
    convolutions = [entry for entry in learned if isinstance(entry[1], nn.Conv2d)]
    name, module = (convolutions or learned)[-1]
    around, _, _ = name.rpartition(".")
    block = network.get_submodule(around) if around else module
    return module if block is network or _holds(block, head(network)) else block


def forget(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of all layers in `module` anew, normally, with the deviation that each had."""
    with torch.no_grad():
        for _, layer in _learned(module):
            weight = layer.weight
            if not isinstance(weight, Tensor):
                continue
            drawn = torch.randn(weight.shape, generator=generator)
            weight.copy_(drawn * weight.float().std(correction=0).cpu())


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rank correlation of two maps of one shape; 0 where one of them is flat."""
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def _learned(network: nn.Module) -> list[tuple[str, nn.Module]]:
    return [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]


def _holds(block: nn.Module, module: nn.Module) -> bool:
    return any(one is module for one in block.modules())
