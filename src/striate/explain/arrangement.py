"""How the values of a layer lie in the image: as maps, as tokens, or with the channels last. Imports torch.

Transformers put out (N, T, D), a token for each cell of a grid, row by row, perhaps behind a class token;
those with windows, as Swin, put out (N, h, w, D). Both are maps (N, D, h, w) in another order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Normalisation = (nn.LayerNorm, nn.RMSNorm)
ASPECT = 2.0
"""A grid is at most so many times longer or shorter, for its width, than the image."""


@dataclass(frozen=True)
class Arrangement:
    """The order of a layer's axes.

    Attributes:
        kind: "maps" (N, C, h, w), "tokens" (N, T, C) or "channels last" (N, h, w, C).
        before: so many tokens stand before those of the grid: 1 with a class token, else 0.
    """

    kind: str
    before: int = 0

    def to_maps(self, values: Tensor) -> Tensor:
        """Return (N, C, h, w), without the tokens before the grid."""
        if self.kind == "tokens":
            side = math.isqrt(values.shape[1])
            columns = values[:, self.before :].transpose(1, 2)
            return columns.reshape(*columns.shape[:2], side, side)
        return values.movedim(-1, 1) if self.kind == "channels last" else values

    def from_maps(self, maps: Tensor, values: Tensor) -> Tensor:
        """Return `maps` in the layer's own order; the tokens before the grid are those of `values`."""
        if self.kind == "tokens":
            return torch.cat([values[:, : self.before], maps.flatten(2).transpose(1, 2)], dim=1)
        return maps.movedim(1, -1) if self.kind == "channels last" else maps


def arrangement_of(
    network: nn.Module, shape: Sequence[int], input_shape: Sequence[int]
) -> Arrangement | None:
    """Return how a layer's values lie; None: not in a grid.

    Tokens are recognised by their number, that of a square grid or one more, and by their width, that of a
    normalisation or a linear layer; channels that come last by a normalisation of their number, where no
    convolution and no normalisation has the number of what comes first.

    Args:
        network: the whole network.
        shape: of what the layer puts out for one image.
        input_shape: (C, H, W) of the image.
    """
    height, width = input_shape[1:]
    if len(shape) == 2:
        side = math.isqrt(shape[0])
        before = shape[0] - side**2
        fits = side > 1 and before in (0, 1) and height == width and shape[1] in _widths(network)
        return Arrangement("tokens", before) if fits else None
    if len(shape) != 3:
        return None
    first, second, last = shape
    normalised = _normalised(network)
    if last in normalised and first not in {*normalised, *_convolved(network)}:
        aspect = (first / second) / (height / width)
        return Arrangement("channels last") if 1 / ASPECT <= aspect <= ASPECT else None
    return Arrangement("maps")


def _widths(network: nn.Module) -> set[int]:
    linear = (module for module in network.modules() if isinstance(module, nn.Linear))
    return {width for one in linear for width in (one.in_features, one.out_features)} | _normalised(network)


def _normalised(network: nn.Module) -> set[int]:
    return set(_last_axes(network))


def _last_axes(network: nn.Module) -> Iterator[int]:
    for module in network.modules():
        if isinstance(module, Normalisation) and len(module.normalized_shape) == 1:
            yield module.normalized_shape[0]


def _convolved(network: nn.Module) -> set[int]:
    return {module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)}
