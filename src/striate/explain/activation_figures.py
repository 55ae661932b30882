"""Activations as figures; imports matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from striate import figure_style as style
from striate.explain.naming import check_channel

if TYPE_CHECKING:
    from striate.explain.layer_outputs import Activations

SHOWN = 64
COLUMNS = 8
TITLE = 15
"""Characters that fit above an image of a grid."""

COLOURS = "viridis"


def activation_grid(seen: Activations, channels: Sequence[int] | None = None) -> Figure:
    """Draw channels of a layer, a block of them for each image, at most two images beside each other.

    A channel has one scale in all images, so that they can be compared; each is shown from its least to its
    largest value.

    Args:
        seen: what a layer puts out.
        channels: which; None: the first 64.
    """
    count = seen.values.shape[1]
    shown = list(range(min(SHOWN, count))) if channels is None else list(channels)
    for number in shown:
        check_channel(number, count, seen.layer)
    images = min(2, len(seen.values))
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    with style.drawing():
        figure = style.new_figure(images * (0.85 * columns + 0.2), 1.02 * rows + 0.75)
        blocks = figure.subfigures(1, images, squeeze=False)[0]
        for block, values, name in zip(blocks, seen.values[:images], seen.images, strict=False):
            block.suptitle(textwrap.shorten(name, 12 * columns), fontsize=8)
            grid = block.subplots(rows, columns, squeeze=False)
            for axes in grid.flat:
                axes.set_axis_off()
            for axes, number in zip(grid.flat, shown, strict=False):
                low, high = _limits(seen.values[:images, number])
                axes.imshow(values[number], cmap=COLOURS, vmin=low, vmax=high, interpolation="nearest")
                dead = " dead" if number in seen.dead else ""
                axes.set_title(f"{number}{dead}", fontsize=7, fontweight="normal", loc="center", pad=2)
        return style.literal(figure)


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 1, low + 1)


def image_grid(images: np.ndarray, titles: Sequence[str]) -> Figure:
    """Draw images under their titles, cut to an image's width: uint8 (N, C, H, W) with 1 or 3 channels."""
    columns = min(COLUMNS, len(images))
    rows = -(-len(images) // columns)
    with style.drawing():
        figure = style.new_figure(0.95 * columns + 0.1, 1.12 * rows + 0.1)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, image, title in zip(grid.flat, images, titles, strict=False):
            shown = np.repeat(image, 3, axis=0) if len(image) == 1 else image
            axes.imshow(shown.transpose(1, 2, 0), interpolation="nearest")
            axes.set_title(_fitting(title), fontsize=7, fontweight="normal", loc="center", pad=2)
        return style.literal(figure)


def _fitting(title: str) -> str:
    return title if len(title) <= TITLE else f"{title[: TITLE - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"
