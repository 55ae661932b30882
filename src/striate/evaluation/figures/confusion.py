"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from striate.evaluation.figures import style
from striate.evaluation.ordering import by_confusion
from striate.evaluation.pairs import confused_pairs

CELL_TEXT_CLASSES = 30
"""With more classes, the cells hold no text and the classes are reordered."""
NAMED_CLASSES = 120
"""With more classes, the axes hold no names; the most confused pairs are marked and listed instead."""
MARKED_PAIRS = 15
_DOTS = 250  # most dots in a row of the image that stands for many classes
_ORDER = "Order: classes taken for one another stand together (cluster analysis of the mistakes)."


def confusion_matrix(confusion: np.ndarray, class_names: Sequence[str], *, normalize: bool = False) -> Figure:
    """Draw a confusion matrix; a cell's colour is its share of the row, so that rare classes count as much.

    Colours grow with the square root of the share, so that a confusion of a few percent is seen. Up to 30
    classes stand in the order given; of more, those that are taken for one another stand together
    (`ordering.by_confusion`), which the figure says.

    Args:
        confusion: int (K, K) counts; rows are true classes, columns predicted ones.
        class_names: (K,).
        normalize: write each cell's share of its row, in percent, instead of its count; only up to 30 classes
            have text in their cells.
    """
    counts, names = np.asarray(confusion), list(class_names)
    if len(counts) > CELL_TEXT_CLASSES:
        order = by_confusion(counts)
        counts, names = counts[np.ix_(order, order)], [names[index] for index in order]
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    with style.drawing():
        figure = _canvas(names)
        axes = figure.subplots()
        image = _cells(axes, shares)
        if len(counts) <= CELL_TEXT_CLASSES:
            _write_cells(axes, counts, shares, normalize)
        if len(counts) <= NAMED_CLASSES:
            _name_ticks(axes, names)
        else:
            _mark_pairs(axes, counts, names)
        axes.set_title(_title(len(counts), normalize), fontweight="normal", fontsize=8)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        _colour_bar(figure, axes, image, len(counts))
        return style.literal(figure)


def _colour_bar(figure: Figure, axes: Axes, image: ScalarMappable, classes: int) -> None:
    """Beside the cells; where a list stands there, below them."""
    place = "right" if classes <= NAMED_CLASSES else "bottom"
    bar = figure.colorbar(
        image, ax=axes, location=place, shrink=0.6, aspect=24, pad=0.02, ticks=_ticks(classes)
    )
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    style.percent_axis(bar.ax.yaxis if place == "right" else bar.ax.xaxis)


def _title(classes: int, normalize: bool) -> str:
    if classes <= CELL_TEXT_CLASSES:
        return "Percent of each true class" if normalize else ""
    block = _block(classes)
    dots = f"\nEach dot: the darkest of {block} x {block} cells. Numbers: see the list." if block > 1 else ""
    return _ORDER + (dots or ("" if classes <= NAMED_CLASSES else "\nNumbers: see the list."))


def _canvas(names: Sequence[str]) -> Figure:
    classes = len(names)
    if classes > NAMED_CLASSES:
        return style.new_figure(11, 8)
    cell = 0.46 if classes <= 12 else 0.34 if classes <= CELL_TEXT_CLASSES else 0.085
    letter = 0.075 if classes <= CELL_TEXT_CLASSES else 0.05
    label = letter * max((len(name) for name in style.shorten_all(names)), default=5)
    side = min(max(cell * classes, 1.8 if classes <= CELL_TEXT_CLASSES else 5.0), 10.5)
    return style.new_figure(side + label + 1.3, side + label + 0.5)


def _cells(axes: Axes, shares: np.ndarray) -> ScalarMappable:
    """Cells as shapes where they are few (sharp at any size), as an image where they are many."""
    norm = PowerNorm(0.5, vmin=0, vmax=1)
    axes.set_aspect("equal")
    few = len(shares) <= CELL_TEXT_CLASSES
    for spine in axes.spines.values():
        spine.set_visible(not few)
    if not few:
        dots = _darkest(shares, _block(len(shares)))
        end = len(dots) * _block(len(shares)) - 0.5
        extent = (-0.5, end, end, -0.5)
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
    upright = len(names) > CELL_TEXT_CLASSES or max(len(name) for name in names) > 3
    size = 8 if len(names) <= CELL_TEXT_CLASSES else 5
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set_xticks(range(len(names)), names, rotation=90 if upright else 0, fontsize=size)


def _mark_pairs(axes: Axes, counts: np.ndarray, names: Sequence[str]) -> None:
    """Number the most confused pairs where they stand, and list them beside the matrix."""
    axes.set_xticks([])
    axes.set_yticks([])
    pairs = confused_pairs(counts, [str(index) for index in range(len(names))], MARKED_PAIRS)
    lines = ["The most confused pairs (images)", ""]
    for number, pair in enumerate(pairs, 1):
        first, second = sorted((int(pair["first"]), int(pair["second"])))
        axes.plot(second, first, "o", color=style.VERMILION, markersize=5, fillstyle="none")
        axes.annotate(
            f"{number}",
            (second, first),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=7,
            color=style.VERMILION,
        )
        labels = style.shorten_all([names[first], names[second]], 18)
        there, back = int(counts[first, second]), int(counts[second, first])
        lines.append(f"{number}  {labels[0]} as {labels[1]}: {there}\n      the other way: {back}")
    axes.annotate(
        "\n".join(lines) if pairs else "No mistake was made.",
        (1.03, 1.0),
        xycoords="axes fraction",
        va="top",
        fontsize=7.5,
        linespacing=1.35,
    )
