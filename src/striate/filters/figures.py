"""Filters drawn: an image beside its response, a bank, one step, curves. Imports matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from striate import figure_style as style
from striate.errors import UserError
from striate.filters.applying import apply, as_picture, as_pixels, standardised
from striate.filters.curves import Function
from striate.filters.gabor import BankResponses
from striate.filters.kernels import Kernel, as_kernel

if TYPE_CHECKING:
    from PIL.Image import Image

WIDEST_ROW = 30
"""Letters that fit into a row of a kernel that is drawn with its numbers."""
_SIGNED = "RdBu"


def filtered(
    image: np.ndarray | Image,
    kernel: Kernel | str,
    *,
    operation: str = "correlation",
    border: str = "zero",
    channels: str = "each",
) -> Figure:
    """Draw an image, the kernel and the response side by side.

    A response that is an image again (a blur, a sharpened image) is shown in the image's range; any other in
    grey, 0 in the middle. Of a complex kernel the magnitude on the standardised image is shown.

    Args:
        image: (H, W) or (H, W, 3), uint8 or [0, 1], or a PIL image.
        kernel: as in `apply`.
        operation: as in `apply`.
        border: as in `apply`.
        channels: as in `apply`.
    """
    chosen, pixels = as_kernel(kernel), as_pixels(image)
    given = standardised(pixels) if np.iscomplexobj(chosen.weights) else pixels
    response = apply(given, chosen, operation=operation, border=border, channels=channels)
    with style.drawing():
        ratio = pixels.shape[0] / pixels.shape[1]
        figure = _new_figure(8.6, max(1.9, 3.2 * min(ratio, 1.6)) + 0.35)
        left, middle, right = figure.subplots(1, 3, width_ratios=[1, 0.62, 1])
        _show_image(left, pixels, "image", _top(pixels))
        _show_kernel(middle, chosen)
        _show_response(right, response, chosen, _top(pixels))
        return style.literal(figure)


def step(
    image: np.ndarray | Image, kernel: Kernel | str, row: int, column: int, *, operation: str = "correlation"
) -> Figure:
    """Draw one step of the kernel over a grey image: its window, the products, and the response so far.

    Beyond the border lies zero. Rows above, and in its row the pixels up to `column`, have been computed.

    Args:
        image: (H, W).
        kernel: a real one.
        row: of the pixel that is computed.
        column: likewise.
        operation: as in `apply`.

    Raises:
        UserError: the image is no grey one, the pixel lies outside, or the kernel is complex.
    """
    chosen, pixels = as_kernel(kernel), as_pixels(image)
    _check_step(pixels, chosen, row, column)
    response = apply(pixels, chosen, operation=operation)
    so_far = np.full(response.shape, np.nan)
    so_far[:row] = response[:row]
    so_far[row, : column + 1] = response[row, : column + 1]
    weights = chosen.weights[::-1, ::-1] if operation == "convolution" else chosen.weights
    top = row - _before(weights.shape[0], operation)
    left = column - _before(weights.shape[1], operation)
    with style.drawing():
        figure = _new_figure(8.6, 3.3)
        shown, products, result = figure.subplots(1, 3, width_ratios=[1, 0.8, 1])
        _show_image(shown, pixels, "image and window", _top(pixels))
        _mark(shown, top, left, weights.shape)
        _show_products(products, _window(pixels, top, left, weights.shape), weights, response[row, column])
        _show_signed(result, so_far, float(np.abs(response).max()))
        result.set_title("response so far")
        _mark(result, row, column, (1, 1))
        return style.literal(figure)


def bank_grid(found: BankResponses, titles: Sequence[str] = ()) -> Figure:
    """Draw the magnitudes of a bank: a row a filter, a column an image, contrast shared by each row.

    Args:
        found: of `respond`.
        titles: of the images, (N,).
    """
    columns = len(found.images) + 1
    with style.drawing():
        figure = _new_figure(1.55 * columns + 1.3, 1.5 * (len(found.kernels) + 1) + 0.2)
        grid = figure.subplots(len(found.kernels) + 1, columns, squeeze=False)
        grid[0, 0].set_axis_off()
        for axes, image, index in zip(grid[0, 1:], found.images, range(len(found.images)), strict=True):
            _show_image(axes, image, titles[index] if titles else "", _top(image))
        for row, kernel, magnitudes in zip(grid[1:], found.kernels, found.magnitudes, strict=True):
            _show_signed(row[0], kernel.weights.real, float(np.abs(kernel.weights.real).max()))
            row[0].set_ylabel(
                kernel.about.replace(", ", "\n"), rotation=0, ha="right", va="center", fontsize=7
            )
            largest = max(float(one.max()) for one in magnitudes) or 1.0
            for axes, values in zip(row[1:], magnitudes, strict=True):
                axes.imshow(values, cmap="gray", vmin=0, vmax=largest)
                _bare(axes)
        return style.literal(figure)


def function_curves(functions: Sequence[Function]) -> Figure:
    """Draw functions of one number, each with its derivative."""
    columns = min(4, len(functions))
    rows = -(-len(functions) // columns)
    with style.drawing():
        figure = style.new_figure(2.15 * columns + 0.4, 2.0 * rows + 0.35)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(functions) :]:
            axes.set_axis_off()
        for axes, function in zip(grid.flat, functions, strict=False):
            _draw_curve(axes, function)
        lines = grid.flat[0].get_lines()[:2]
        figure.legend(lines, ["value", "derivative"], loc="outside lower center", ncols=2)
        return style.literal(figure)


def _new_figure(width: float, height: float) -> Figure:
    """Return an empty figure with room for titles at its upper edge."""
    figure = style.new_figure(width, height)
    figure.get_layout_engine().set(h_pad=0.08)  # type: ignore[union-attr, call-arg]
    return figure


def _draw_curve(axes: Axes, function: Function) -> None:
    x, value, slope = function.points()
    jumps = np.abs(np.diff(slope)) > 0.4 * max(1e-9, float(np.ptp(slope)))
    slope = np.insert(slope, np.flatnonzero(jumps) + 1, np.nan)
    slope_x = np.insert(x, np.flatnonzero(jumps) + 1, np.nan)
    axes.plot(x, value, color=style.BLUE, linewidth=1.8)
    axes.plot(slope_x, slope, color=style.VERMILION, linewidth=1.4, linestyle=(0, (5, 1.5)))
    axes.axhline(0, color=style.FAINT, linewidth=0.8, zorder=0)
    axes.axvline(0, color=style.FAINT, linewidth=0.8, zorder=0)
    axes.set_title(function.name)
    axes.set_xlabel(function.formula, fontsize=7)


def _top(pixels: np.ndarray) -> float:
    """Return the value of white: 1 for images in [0, 1], else 255 or the largest value."""
    largest = float(pixels.max())
    return 1.0 if largest <= 1 else max(255.0, largest)


def _show_image(axes: Axes, pixels: np.ndarray, title: str, top: float) -> None:
    shown = np.clip(pixels / top, 0, 1)
    if shown.ndim == 3 and shown.shape[2] != 3:
        shown = shown.mean(axis=2)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, loc="center", fontweight="normal")
    _bare(axes)


def _show_kernel(axes: Axes, kernel: Kernel) -> None:
    weights = kernel.weights.real
    _show_signed(axes, weights, float(np.abs(weights).max()) or 1.0)
    axes.set_title(kernel.name, loc="center")
    _number(axes, weights)
    if np.iscomplexobj(kernel.weights):
        axes.set_xlabel("real part", fontsize=7)


def _show_response(axes: Axes, response: np.ndarray, kernel: Kernel, top: float) -> None:
    title = "response" if kernel.keeps_brightness else "response (grey is 0)"
    title = "magnitude of the response" if np.iscomplexobj(response) else title
    _show_image(axes, as_picture(response, kernel, top), title, 255.0)


def _show_signed(axes: Axes, values: np.ndarray, largest: float) -> None:
    """Show blue for positive, red for negative, white for 0; what is missing in grey."""
    axes.set_facecolor("#e8e8e8")
    axes.imshow(values, cmap=_SIGNED, vmin=-1.8 * largest, vmax=1.8 * largest)
    _bare(axes)


def _number(axes: Axes, values: np.ndarray) -> None:
    """Write the numbers into the cells, if they fit."""
    texts = [[f"{value:.2g}" for value in row] for row in values]
    widest = max(len(text) for row in texts for text in row)
    if widest * values.shape[1] > WIDEST_ROW:
        return
    size = 9 if max(values.shape) <= 3 else 6.5 if max(values.shape) <= 5 else 5
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            axes.text(column, row, text, ha="center", va="center", fontsize=size)


def _show_products(axes: Axes, window: np.ndarray, weights: np.ndarray, total: float) -> None:
    products = window * weights
    _show_signed(axes, products, float(np.abs(products).max()) or 1.0)
    size = 8 if max(weights.shape) <= 3 else 5
    for (row, column), weight in np.ndenumerate(weights):
        text = f"{window[row, column]:.3g}\n\u00b7 {weight:.3g}"
        axes.text(column, row, text, ha="center", va="center", fontsize=size)
    axes.set_title(f"products, sum {total:.5g}", loc="center", fontweight="normal")


def _window(pixels: np.ndarray, top: int, left: int, size: tuple[int, ...]) -> np.ndarray:
    """Return the pixels under the kernel, zero beyond the border."""
    rows, columns = np.arange(top, top + size[0]), np.arange(left, left + size[1])
    inside = np.outer((rows >= 0) & (rows < pixels.shape[0]), (columns >= 0) & (columns < pixels.shape[1]))
    taken = pixels[np.ix_(rows.clip(0, pixels.shape[0] - 1), columns.clip(0, pixels.shape[1] - 1))]
    return np.where(inside, taken, 0.0)


def _before(length: int, operation: str) -> int:
    return (length - 1) // 2 if operation == "convolution" else length // 2


def _mark(axes: Axes, top: int, left: int, size: tuple[int, ...]) -> None:
    edge = Rectangle(
        (left - 0.5, top - 0.5), size[1], size[0], fill=False, edgecolor=style.ORANGE, linewidth=2
    )
    edge.set_clip_on(False)
    axes.add_patch(edge)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _check_step(pixels: np.ndarray, kernel: Kernel, row: int, column: int) -> None:
    if pixels.ndim != 2:
        raise UserError("steps are drawn on a grey image; convert it first.")
    if np.iscomplexobj(kernel.weights):
        raise UserError(f"steps are drawn of real kernels; {kernel.name} is complex.")
    if not (0 <= row < pixels.shape[0] and 0 <= column < pixels.shape[1]):
        raise UserError(
            f"the pixel {(row, column)} lies outside of the image of {pixels.shape[0]} x {pixels.shape[1]}."
        )
