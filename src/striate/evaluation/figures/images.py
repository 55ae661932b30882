"""Figures made of images, and of their sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from striate.evaluation.figures import style
from striate.evaluation.wording import shorten

GRID_CLASSES = 30
"""A grid shows at most this many classes."""
_GAP = 0.06  # between two images, as a share of their side


def sample_grid(samples: Mapping[str, np.ndarray]) -> Figure:
    """Draw some images of each class, a row a class.

    Args:
        samples: class name -> uint8 (n, C, H, W), 1 or 3 channels, the same C, H, W for all; n may differ
            and be 0. Of more than 30 classes the first 30 are drawn.
    """
    names = list(samples)[:GRID_CLASSES]
    images = [_with_colour(samples[name]) for name in names]
    columns = max((len(row) for row in images), default=1) or 1
    with style.drawing():
        canvas, step = _mosaic(images, columns)
        side = min(0.62, 9.0 / columns)
        figure = style.new_figure(
            1.4 + side * columns,
            0.4 + side * len(names) * canvas.shape[0] * columns / max(1, canvas.shape[1] * len(names)),
        )
        axes = figure.subplots()
        _show(axes, canvas)
        axes.set_yticks((np.arange(len(names)) + 0.5) * step, style.shorten_all(names))
        axes.tick_params(axis="y", length=0)
        if len(samples) > len(names):
            axes.set_title(f"The first {len(names)} of {len(samples)} classes")
        return style.literal(figure)


def image_grid(images: np.ndarray, titles: Sequence[str], *, columns: int = 8, title: str = "") -> Figure:
    """Draw images side by side, each under its title.

    Args:
        images: uint8 (N, C, H, W), 1 or 3 channels, N at least 1.
        titles: (N,); long ones are shortened.
        columns: images in a row.
        title: of the whole figure.
    """
    shown = _with_colour(images)
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    with style.drawing():
        side = min(1.1, 9.0 / columns)
        height = (side * shown.shape[1] / shown.shape[2] + 0.24) * rows + (0.35 if title else 0.05)
        figure = style.new_figure(side * columns + 0.1, height)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, image, text in zip(grid.flat, shown, titles, strict=False):
            axes.imshow(image, interpolation="nearest", vmin=0, vmax=255)
            axes.set_title(
                shorten(text, int(side * 15)), fontsize=7, fontweight="normal", loc="center", pad=2
            )
        if title:
            figure.suptitle(shorten(title, 12 * columns), fontsize=9, fontweight="bold", x=0.01, ha="left")
        return style.literal(figure)


def augmentation_preview(original: np.ndarray, variants: np.ndarray, *, preset: str) -> Figure:
    """Draw one image and what training makes of it.

    Args:
        original: uint8 (C, H, W).
        variants: uint8 (N, C, H, W).
        preset: name of the augmentation, for the title.
    """
    images = np.concatenate([original[None], variants])
    titles = ["original", *(str(number) for number in range(1, len(variants) + 1))]
    return image_grid(images, titles, title=f"One image, augmented by {preset!r}")


def image_sizes(sizes: np.ndarray) -> Figure:
    """Draw the widths and heights of images; the area of a dot tells how many have that size.

    Args:
        sizes: int (N, 2), width and height in pixels, N at least 1.
    """
    found, counts = np.unique(np.asarray(sizes).reshape(-1, 2), axis=0, return_counts=True)
    with style.drawing():
        figure = style.new_figure(4.2, 3.8)
        axes = figure.subplots()
        area = 4 + 300 * counts / counts.sum()
        axes.scatter(found[:, 0], found[:, 1], s=area, color=style.BLUE, alpha=0.5, linewidth=0)
        top = max(1, found.max()) * 1.12
        axes.plot([0, top], [0, top], color=style.FAINT, linewidth=0.9, zorder=0)
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.set_aspect("equal")
        axes.set_xlabel("width in pixels")
        axes.set_ylabel("height in pixels")
        axes.set_title(_sizes_title(found, counts))
        return style.literal(figure)


def _sizes_title(found: np.ndarray, counts: np.ndarray) -> str:
    width, height = found[counts.argmax()]
    if len(found) == 1:
        return f"All {counts[0]:,} images are {width} x {height}"
    most_often = f"most often {width} x {height} ({counts.max():,})"
    return f"{counts.sum():,} images of {len(found):,} sizes,\n{most_often}"


def _with_colour(images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, 3) for uint8 (N, C, H, W) of 1 or 3 channels."""
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images have the shape {images.shape}; expected (N, C, H, W) with 1 or 3 channels")
    colour = np.repeat(images, 3, axis=1) if images.shape[1] == 1 else images
    return colour.transpose(0, 2, 3, 1)


def _mosaic(rows: Sequence[np.ndarray], columns: int) -> tuple[np.ndarray, int]:
    """One white image that holds all of them, and the height of a row in pixels."""
    height, width = next((row.shape[1:3] for row in rows if len(row)), (8, 8))
    gap = max(1, round(_GAP * max(height, width)))
    canvas = np.full((len(rows) * (height + gap), columns * (width + gap), 3), 255, np.uint8)
    for top, row in enumerate(rows):
        for left, image in enumerate(row):
            y, x = top * (height + gap), left * (width + gap)
            canvas[y : y + height, x : x + width] = image
    return canvas, height + gap


def _show(axes: Axes, canvas: np.ndarray) -> None:
    axes.imshow(canvas, interpolation="nearest", extent=(0, canvas.shape[1], canvas.shape[0], 0))
    axes.set_xticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
