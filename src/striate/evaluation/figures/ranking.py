"""One class against all others, at every threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from striate.evaluation.figures import style
from striate.evaluation.wording import shorten
from striate.schemas import guard

if TYPE_CHECKING:
    import pandas as pd

LABELLED = 6
"""So many curves have a colour and a name: those with the smallest area. The others are grey."""
_LOOKS = tuple(
    zip(
        (style.VERMILION, style.BLUE, style.GREEN, style.ORANGE, style.PURPLE, style.INK),
        ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1.5, 1.5)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1))),
        strict=True,
    )
)


def roc_curves(curves: pd.DataFrame, entry: Mapping[str, Any]) -> Figure:
    """Draw the ROC curve of each class against all others; of two classes, that of the second.

    Args:
        curves: of `evaluation.curves.curves_table`.
        entry: the same split of `metrics.json`.
    """

    def frame(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=style.QUIET, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
        axes.annotate("by chance", (0.8, 0.74), fontsize=8, color=style.QUIET)
        axes.set_xlabel("share of the other images named so wrongly")
        axes.set_ylabel("share of the class found")

    return _figure(curves, entry, "roc", "roc_auc", "ROC curves", "area", frame)


def precision_recall_curves(curves: pd.DataFrame, entry: Mapping[str, Any]) -> Figure:
    """Draw the precision-recall curve of each class against all others; of two classes, that of the second.

    Args:
        curves: of `evaluation.curves.curves_table`.
        entry: the same split of `metrics.json`.
    """

    def frame(axes: Axes) -> None:
        axes.set_xlabel("recall: share of the class found")
        axes.set_ylabel("precision: share right of those named so")

    return _figure(
        curves, entry, "pr", "average_precision", "Precision and recall", "average precision", frame
    )


def _figure(
    curves: pd.DataFrame,
    entry: Mapping[str, Any],
    curve: str,
    area: str,
    title: str,
    word: str,
    frame: Callable[[Axes], None],
) -> Figure:
    with style.drawing():
        figure = style.new_figure(7.2, 4.4)
        axes = figure.subplots()
        frame(axes)
        _draw(axes, curves[curves["curve"] == curve], _rows(entry, area, curves), area)
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.01)
        axes.set_box_aspect(1)
        axes.set_title(title)
        style.percent_axis(axes.xaxis)
        style.percent_axis(axes.yaxis)
        style.quiet_grid(axes, "both")
        if axes.get_legend_handles_labels()[0]:
            figure.legend(
                loc="outside right upper",
                title=f"class\n{word}, {100 * entry['level']:.0f} % interval",
                alignment="left",
                frameon=False,
            )
        else:
            axes.annotate("no class has an area here", (0.5, 0.5), ha="center")
        return style.literal(figure)


def _rows(entry: Mapping[str, Any], area: str, curves: pd.DataFrame) -> list[Mapping[str, Any]]:
    """The classes that have curves, the smallest area first; of two classes the second alone."""
    drawn = set(curves["class"])
    rows = [row for row in entry["per_class"] if row[area] and guard(row["name"]) in drawn]
    if len(entry["per_class"]) == 2:
        rows = rows[-1:]
    return sorted(rows, key=lambda row: float(row[area]["value"]))


def _draw(axes: Axes, curves: pd.DataFrame, rows: list[Mapping[str, Any]], area: str) -> None:
    points = dict(list(curves.groupby("class", sort=False)))
    for row in rows[LABELLED:]:
        table = points[guard(row["name"])]
        axes.plot(table["x"], table["y"], color=style.QUIET, linewidth=0.7, alpha=0.5, zorder=1)
    for (colour, dashes), row in zip(_LOOKS, rows, strict=False):
        table, share = points[guard(row["name"])], row[area]
        limits = f"{share['value']:.3f} ({share['low']:.3f} to {share['high']:.3f})"
        label = (
            f"{shorten(row['name']) or '(blank)'}\n{limits}"  # a line each: they may run in two directions
        )
        axes.plot(table["x"], table["y"], color=colour, linestyle=dashes, linewidth=1.5, label=label)
    if len(rows) > LABELLED:
        others = f"{len(rows) - LABELLED} others,\nnone below {rows[LABELLED - 1][area]['value']:.3f}"
        axes.plot([], [], color=style.QUIET, linewidth=0.7, alpha=0.5, label=others)
