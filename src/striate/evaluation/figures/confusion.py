"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from striate.evaluation.figures import style

CELL_TEXT_CLASSES = 30
"""With more classes, the cells hold no text and the axes no names."""
_DOTS = 250  # most dots in a row of the image that stands for many classes


def confusion_matrix(confusion: np.ndarray, class_names: Sequence[str], *, normalize: bool = False) -> Figure:
    """Draw a confusion matrix; a cell's colour is its share of the row, so that rare classes count as much.

    Colours grow with the square root of the share, so that a confusion of a few percent is seen.

    Args:
        confusion: int (K, K) counts; rows are true classes, columns predicted ones.
        class_names: (K,).
        normalize: write each cell's share of its row, in percent, instead of its count.
    """
    counts = np.asarray(confusion)
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    named = len(counts) <= CELL_TEXT_CLASSES
    with style.drawing():
        figure = _canvas(len(counts), class_names if named else ())
        axes = figure.subplots()
        image = _cells(axes, shares, named)
        if named and normalize:
            axes.set_title("Percent of each true class", fontweight="normal", fontsize=8)
        if named:
            _write_cells(axes, counts, shares, normalize)
            _name_ticks(axes, class_names)
        axes.set_xlabel("predicted class" if named else "predicted class (number in the class table)")
        axes.set_ylabel("true class" if named else "true class (number in the class table)")
        if (block := _block(len(counts))) > 1:
            axes.set_title(
                f"Each dot: the darkest of {block} x {block} cells", fontweight="normal", fontsize=8
            )
        bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=24, pad=0.02, ticks=_ticks(len(counts)))
        bar.set_label("share of the true class")
        bar.outline.set_visible(False)
        style.percent_axis(bar.ax.yaxis)
        return style.literal(figure)


def _canvas(classes: int, names: Sequence[str]) -> Figure:
    cell = 0.46 if classes <= 12 else 0.34
    label = 0.075 * max((len(name) for name in style.shorten_all(names)), default=5)
    side = min(max(cell * classes, 1.8), 10.5) if names else 6.0
    return style.new_figure(side + label + 1.3, side + label + 0.5)


def _cells(axes: Axes, shares: np.ndarray, named: bool) -> ScalarMappable:
    """Cells as shapes where they are few (sharp at any size), as an image where they are many."""
    norm = PowerNorm(0.5, vmin=0, vmax=1)
    axes.set_aspect("equal")
    for spine in axes.spines.values():
        spine.set_visible(not named)
    if not named:
        dots = _darkest(shares, _block(len(shares)))
        end = 0.5 + len(dots) * _block(len(shares))
        extent = (0.5, end, end, 0.5)
        return axes.imshow(dots, cmap=style.SEQUENTIAL, norm=norm, extent=extent, interpolation="none")
    edges = np.arange(len(shares) + 1) - 0.5
    mesh = axes.pcolormesh(
        edges, edges, shares, cmap=style.SEQUENTIAL, norm=norm, edgecolor=style.FAINT, linewidth=0.4
    )
    axes.invert_yaxis()
    axes.tick_params(length=0)
    return mesh


def _ticks(classes: int) -> tuple[float, ...]:
    """Shares written beside the colours: fewer where the figure is small."""
    return (0, 0.05, 0.25, 0.5, 1) if classes < 6 else (0, 0.01, 0.05, 0.1, 0.25, 0.5, 1)


def _block(classes: int) -> int:
    """How many cells a side make one dot, so that single confusions do not vanish when drawn small."""
    return -(-classes // _DOTS)


def _darkest(shares: np.ndarray, block: int) -> np.ndarray:
    """The largest share in each `block` x `block` cells."""
    short = -len(shares) % block
    padded = np.pad(shares, (0, short))
    side = len(padded) // block
    dots: np.ndarray = padded.reshape(side, block, side, block).max(axis=(1, 3))
    return dots


def _write_cells(axes: Axes, counts: np.ndarray, shares: np.ndarray, normalize: bool) -> None:
    """Text in the cells that are not zero: an empty cell is read faster than a 0."""
    widest = 3 if normalize else len(f"{counts.max()}")
    points = 72 * (0.46 if len(counts) <= 12 else 0.34)
    size = min(9.0, points / (0.72 * max(widest, 2)))
    for true, predicted in zip(*np.nonzero(counts), strict=True):
        share = shares[true, predicted]
        text = _percent(share) if normalize else f"{counts[true, predicted]}"
        colour = "white" if share > 0.35 else style.INK
        axes.text(predicted, true, text, ha="center", va="center", fontsize=size, color=colour)


def _percent(share: float) -> str:
    """Whole percent; a share that would be rounded to 0 or 100 without being it says so."""
    if share < 0.005:
        return "<1"
    if 0.995 <= share < 1:
        return ">99"
    return f"{100 * share:.0f}"


def _name_ticks(axes: Axes, class_names: Sequence[str]) -> None:
    names = style.shorten_all(class_names)
    upright = max(len(name) for name in names) > 3
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(names)), names, rotation=90 if upright else 0)
