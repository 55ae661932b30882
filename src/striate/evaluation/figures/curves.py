"""How training went, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from striate.evaluation.figures import style
from striate.evaluation.history import chosen_epoch, numbers

if TYPE_CHECKING:
    import pandas as pd

_LABELS = {"train": "training", "val": "validation"}
_MARKERS = {"train": "o", "val": "s"}


def learning_curves(history: pd.DataFrame, *, goal: float | None = None, chosen: int | None = None) -> Figure:
    """Draw loss and accuracy of training and validation against the epoch, the chosen epoch marked.

    Args:
        history: `schemas.HISTORY_COLUMNS`, as text or numbers; without validation its columns are empty.
        goal: accuracy within (0, 1] to draw as a line.
        chosen: epoch whose weights were kept; by default the last of the best.
    """
    table = numbers(history)
    with style.drawing():
        figure = style.new_figure(7.2, 2.9)
        loss, accuracy = figure.subplots(1, 2)
        _curves(loss, table, "loss")
        _curves(accuracy, table, "accuracy")
        loss.set_title("Loss (lower is better)")
        accuracy.set_title("Accuracy (higher is better)")
        style.percent_axis(accuracy.yaxis)
        if goal is not None:
            _draw_goal(accuracy, goal)
        _mark(loss, accuracy, table, chosen_epoch(table) if chosen is None else chosen)
        if loss.get_legend_handles_labels()[0]:
            loss.legend(loc="upper right")
        return style.literal(figure)


def _curves(axes: Axes, table: pd.DataFrame, quantity: str) -> None:
    few = len(table) <= 40
    for split, label in _LABELS.items():
        values = table[f"{split}_{quantity}"].to_numpy(np.float64)
        values = np.where(np.isfinite(values), values, np.nan)
        if np.isnan(values).all():
            continue
        axes.plot(
            table["epoch"],
            values,
            color=style.SPLIT_COLOURS[split],
            linestyle="-" if split == "train" else (0, (5, 1.5)),
            marker=_MARKERS[split] if few else None,
            markersize=3,
            linewidth=1.5,
            label=label,
        )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(table):
        axes.set_xlim(table["epoch"].min() - 0.6, table["epoch"].max() + 0.6)
    style.quiet_grid(axes, "y")


def _draw_goal(axes: Axes, goal: float) -> None:
    axes.axhline(goal, color=style.INK, linewidth=1, linestyle=(0, (2, 2)))
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, goal - 0.04), max(high, goal + 0.04))
    axes.annotate(
        f"goal {100 * goal:.4g} %",
        (0.01, goal),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        fontsize=8,
    )


def _mark(loss: Axes, accuracy: Axes, table: pd.DataFrame, epoch: int | None) -> None:
    """A line at the epoch whose weights were kept."""
    if epoch is None:
        return
    for axes in (loss, accuracy):
        axes.axvline(epoch, color=style.QUIET, linewidth=0.9, zorder=0)
    left = epoch > (table["epoch"].min() + table["epoch"].max()) / 2
    accuracy.annotate(
        f"epoch {epoch} kept",
        (epoch, 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if left else 4, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        fontsize=8,
        color=style.QUIET,
    )
