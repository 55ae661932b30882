"""How the values of a layer lie in the image: as maps, as tokens, or with the channels last. Imports torch.

Transformers put out (N, T, D), a token for each cell of a grid, row by row, perhaps behind a class token;
those with windows, as Swin, put out (N, h, w, D). Both are maps (N, D, h, w) in another order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from striate.explain.subject import held, hooked

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


@dataclass(frozen=True)
class Grids:
    """Where a network has its values in a grid though they are no maps (C, h, w).

    Attributes:
        image: height and width of the images.
        widths: of normalisations and linear layers: as many numbers as a token may have.
        channels_last: shapes (h, w, D) over whose last axis a normalisation works.
    """

    image: tuple[int, int]
    widths: frozenset[int]
    channels_last: frozenset[tuple[int, ...]]

    @classmethod
    def of(cls, network: nn.Module, input_shape: Sequence[int]) -> Self:
        """Look at what the normalisations of a network put out for a blank image, (C, H, W).

        What has as many channels in front as behind is told by a convolution of so many: it is maps then.
        """
        norms = [one for one in network.modules() if _width(one)]
        shapes: set[tuple[int, ...]] = set()
        if norms:
            example = next(network.parameters(), torch.empty(0))
            blank = torch.zeros((1, *input_shape), device=example.device, dtype=example.dtype)
            with held(network), torch.no_grad(), ExitStack() as hooks:
                for module in norms:
                    hooks.enter_context(hooked(module, _noting(shapes)))
                network(blank)
        linear = [one for one in network.modules() if isinstance(one, nn.Linear)]
        widths = {width for one in linear for width in (one.in_features, one.out_features)}
        maps = {one.out_channels for one in network.modules() if isinstance(one, nn.Conv2d)}
        certain = {shape for shape in shapes if shape[0] != shape[2] or shape[0] not in maps}
        image = (input_shape[1], input_shape[2])
        return cls(image, frozenset(widths | {_width(one) for one in norms}), frozenset(certain))

    def arrangement(self, shape: Sequence[int]) -> Arrangement | None:
        """Return how values of this shape, of one image, lie; None: not in a grid.

        Tokens are recognised by their number, that of a square grid or one more, and by their width.
        """
        height, width = self.image
        if len(shape) == 2:
            side = math.isqrt(shape[0])
            before = shape[0] - side**2
            fits = side > 1 and before in (0, 1) and height == width and shape[1] in self.widths
            return Arrangement("tokens", before) if fits else None
        if len(shape) != 3:
            return None
        if tuple(shape) in self.channels_last and max(shape[:2]) > 1:
            aspect = (shape[0] / shape[1]) / (height / width)
            return Arrangement("channels last") if 1 / ASPECT <= aspect <= ASPECT else None
        return Arrangement("maps")


def _width(module: nn.Module) -> int:
    """Return over how many channels a normalisation works; 0 for others."""
    if isinstance(module, Normalisation) and len(module.normalized_shape) == 1:
        return int(module.normalized_shape[0])
    return 0


def _noting(shapes: set[tuple[int, ...]]) -> Any:
    """Return a hook that notes what a normalisation puts out as (h, w, D), and not as (D, h, w)."""

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
        if len(shape) == 3 and shape[2] == _width(module):
            shapes.add(shape)

    return note
