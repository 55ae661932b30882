"""First-layer kernels as figures: beside the filters they resemble, and as a film. Imports matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from striate import figure_style as style
from striate.errors import UserError
from striate.explain.first_layer import as_images

if TYPE_CHECKING:
    from striate.explain.first_layer import FirstKernels

SHOWN = 64
TILE, GAP, HEAD = 60, 5, 30
"""Pixels of the film: side of a kernel at least, space between, height of the line above."""
FILM_SECONDS = 6.0
"""A film lasts about so long, and its last picture a second and a half more."""
PAPER = 255


def kernel_grid(kernels: FirstKernels) -> Figure:
    """Draw the first 64 kernels, each with the nearest classic filter at its right."""
    count = min(SHOWN, len(kernels.weights))
    columns = min(8, count)
    rows = -(-count // columns)
    found = as_images(np.stack([match.weights for match in kernels.matches[:count]]))
    with style.drawing():
        figure = style.new_figure(1.5 * columns + 0.1, 0.92 * rows + 0.1)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        images = kernels.images
        for number in range(count):
            axes, match = grid.flat[number], kernels.matches[number]
            axes.imshow(_pair(images[number], found[number]), interpolation="nearest")
            kind, score = match.name.split(",")[0], f"{match.score:.2f}"
            colour = style.INK if number in kernels.resembling else style.QUIET
            axes.set_title(
                f"{number}: {kind} {score}",
                fontsize=7,
                fontweight="normal",
                loc="center",
                pad=2,
                color=colour,
            )
        return style.literal(figure)


def film(course: Mapping[int, np.ndarray]) -> bytes:
    """Return kernels through training as a GIF file that plays again and again.

    A kernel has one contrast in all pictures, that of its largest weight in any.

    Args:
        course: weights (O, C, kH, kW) by epoch.

    Raises:
        UserError: there are not two epochs.
    """
    if len(course) < 2:
        raise UserError(
            "there is no film of these kernels: the run keeps no epochs of them. Kernels that a training "
            "changes are kept since it began; a bundle alone holds the last."
        )
    epochs = sorted(course)
    largest = np.max([np.abs(course[epoch]).max(axis=(1, 2, 3)) for epoch in epochs], axis=0)
    frames = [_frame(as_images(course[epoch], largest), f"epoch {epoch}") for epoch in epochs]
    each = int(min(500, max(60, FILM_SECONDS * 1000 / len(frames))))
    buffer = io.BytesIO()
    durations = [each] * (len(frames) - 1) + [each + 1500]
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, disposal=1
    )
    return buffer.getvalue()


def _frame(images: np.ndarray, title: str) -> Image.Image:
    """Return one picture of the film: the title, and the kernels below in a grid."""
    images = images[:SHOWN]
    height, width = (side * -(-TILE // max(images.shape[2:])) for side in images.shape[2:])
    columns = min(len(images), 8)
    rows = -(-len(images) // columns)
    size = (columns * (width + GAP) + GAP, HEAD + rows * (height + GAP) + GAP)
    frame = Image.new("RGB", size, (PAPER,) * 3)
    ImageDraw.Draw(frame).text((GAP, 5), title, fill=(34, 34, 34), font=ImageFont.load_default(17))
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        tile = Image.fromarray(_shown(image)).resize((width, height), Image.Resampling.NEAREST)
        frame.paste(tile, (GAP + column * (width + GAP), HEAD + GAP + row * (height + GAP)))
    return frame


def _shown(image: np.ndarray) -> np.ndarray:
    """Return (C, H, W) as (H, W, 3)."""
    return np.repeat(image, 3 // len(image), axis=0).transpose(1, 2, 0)


def _pair(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return two images (C, H, W) beside each other, (8 H, 16 W + a gap, 3)."""
    large = [_shown(image).repeat(8, axis=0).repeat(8, axis=1) for image in (first, second)]
    gap = np.full((large[0].shape[0], max(2, large[0].shape[1] // 24), 3), PAPER, np.uint8)
    return np.concatenate([large[0], gap, large[1]], axis=1)
