"""Maps of a network whose head, or deepest block, has forgotten all: they must differ. Imports torch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.explain.layers import Call, default_layer, is_convolution, last_tokens, trace
from striate.explain.subject import Subject, held

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

    Of a network that goes on with tokens, as transformers do, linear layers count as convolutions.

    What passes a block by, as in a residual block whose shortcut has no weights, stays as it is whatever the
    block forgets. So the blocks before come with it, back to one that nothing passes by.

    Args:
        network: any torch module.
        input_shape: (C, H, W).
    """
    last = head(network)
    tokens = last_tokens(network, input_shape)
    goes_on_with_tokens = tokens is not None and tokens == default_layer(network, input_shape)
    ran = [
        call
        for call in trace(network, input_shape)
        if is_convolution(call.module) or (goes_on_with_tokens and isinstance(call.module, nn.Linear))
    ]
    before = [call for call in ran if call.module is not last]
    if not before:
        return (_learned(network)[:-1] or _learned(network))[-1][1]
    blocks = [_block_around(network, before[-1], ran[0], last)]
    while _is_passed_by(network, blocks[0], input_shape):
        earlier = before[: next(at for at, call in enumerate(before) if _holds(blocks[0], call.module))]
        if len(earlier) < 2:  # the first convolution is no deep one
            break
        blocks.insert(0, _block_around(network, earlier[-1], ran[0], last))
    return blocks[0] if len(blocks) == 1 else nn.ModuleList(blocks)


def _block_around(network: nn.Module, found: Call, first: Call, last: nn.Module) -> nn.Module:
    parts = found.name.split(".")
    names = [".".join(parts[:length]) for length in range(1, len(parts))]
    around = [block for block in map(network.get_submodule, names) if _is_block(block, last)]
    apart = [block for block in around if not _holds(block, first.module)]
    return (*apart, *around, found.module)[0]


def _is_passed_by(network: nn.Module, block: nn.Module, input_shape: Sequence[int]) -> bool:
    """Return whether what a block puts out depends on the image even where all its weights are 0."""
    given: list[tuple[Any, Any]] = []
    images = torch.randn((2, *input_shape), generator=torch.Generator().manual_seed(0))
    device = next(network.parameters()).device
    empty = copy.deepcopy(block)
    seen = block.register_forward_pre_hook(
        lambda module, inputs, named: given.append((inputs, named)), with_kwargs=True
    )
    with held(network), torch.no_grad():
        try:
            network(images.to(device))
        finally:
            seen.remove()
        if not given:  # it is never called itself: a name for layers that others call
            return False
        for parameter in empty.parameters():
            parameter.zero_()
        inputs, named = given[0]
        output = empty(*inputs, **named)
    return isinstance(output, Tensor) and not torch.equal(output[0], output[1])


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
