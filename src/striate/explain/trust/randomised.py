"""Maps of a network whose head, or deepest block, has forgotten all: they must differ. Imports torch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from striate.explain.layers import is_convolution, trace
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
    block = deepest_block(changed.network, changed.preprocess.input_shape)
    for part in (head(changed.network), block):
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


def deepest_block(network: nn.Module, input_shape: Sequence[int]) -> nn.Module:
    """Return the whole block around the last convolution that computes before the head.

    That is the outermost one that has neither the head nor the network's first convolution in it, so that a
    residual block comes with its shortcut, and joined branches with one another; the convolution itself if no
    block is around it. Plain lists of layers (`Sequential`) are no blocks. A block with all convolutions is
    taken only where there is no other. Without a convolution it is the last linear layer before the head; of
    a single layer, that layer.

    Args:
        network: any torch module.
        input_shape: (C, H, W).
    """
    last = head(network)
    ran = [call for call in trace(network, input_shape) if is_convolution(call.module)]
    before = [call for call in ran if call.module is not last]
    if not before:
        return (_learned(network)[:-1] or _learned(network))[-1][1]
    found = before[-1]
    parts = found.name.split(".")
    names = [".".join(parts[:length]) for length in range(1, len(parts))]
    around = [block for block in map(network.get_submodule, names) if _is_block(block, last)]
    apart = [block for block in around if not _holds(block, ran[0].module)]
    return (*apart, *around, found.module)[0]


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


def _is_block(module: nn.Module, last: nn.Module) -> bool:
    """Return whether a module says what its layers do together, and is not the network down to its head."""
    return type(module) not in (nn.Sequential, nn.ModuleList, nn.ModuleDict) and not _holds(module, last)


def _holds(block: nn.Module, module: nn.Module) -> bool:
    return any(one is module for one in block.modules())
