"""Ways to compute the same convolution against each other: time, memory, accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from striate.evaluation.figures import style

if TYPE_CHECKING:
    import pandas as pd

_MIB = 2**20


def convolution_race(table: pd.DataFrame, title: str) -> Figure:
    """Draw time forward and backward, peak memory and largest difference of each contender.

    Args:
        table: a row for each contender in the order to draw; columns `algorithm`, `forward_seconds`,
            `backward_seconds`, `peak_bytes`, `difference`, `turns`, `auto`. Those without turns are left out.
        title: what was computed.
    """
    rows = table[table["turns"] > 0].reset_index(drop=True)
    with style.drawing():
        figure = style.new_figure(8.6, 1.1 + 0.27 * max(1, len(rows)))
        time, memory, difference = figure.subplots(1, 3, sharey=True, width_ratios=(2.2, 1, 1))
        _draw_times(time, rows)
        _draw_values(memory, rows["peak_bytes"].astype(float) / _MIB, style.GREEN, "{:,.0f}")
        _draw_values(difference, rows["difference"].astype(float), style.PURPLE, "{:.1e}")
        time.set_title("Time (ms); at the right their sum")
        memory.set_title("Peak memory (MiB)")
        difference.set_title("Largest difference")
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, color=style.QUIET)
        return style.literal(figure)


def _draw_times(axes: Axes, rows: pd.DataFrame) -> None:
    forward, backward = 1e3 * rows["forward_seconds"], 1e3 * rows["backward_seconds"]
    axes.hlines(rows.index, forward, backward, color=style.QUIET, linewidth=1.2, zorder=1)
    axes.plot(forward, rows.index, "o", color=style.BLUE, markersize=6, label="forward")
    axes.plot(backward, rows.index, "s", color=style.VERMILION, markersize=5.5, label="backward")
    _write_beside(axes, forward.combine(backward, max), list(map(_milliseconds, forward + backward)))
    names = zip(rows["algorithm"], rows["auto"], strict=True)
    axes.set_yticks(rows.index, [f"{name} (auto)" if auto else name for name, auto in names])
    for label, name in zip(axes.get_yticklabels(), rows["algorithm"], strict=True):
        label.set_color(style.QUIET if name.startswith("torch") else style.INK)
    axes.set_ylim(max(1, len(rows)) - 0.5, -0.5)
    _make_logarithmic(axes, 0.15)
    if len(rows):
        axes.legend(loc="lower left")


def _milliseconds(time: float) -> str:
    return f"{time:,.0f}" if time >= 100 else f"{time:.3g}"


def _draw_values(axes: Axes, values: pd.Series, colour: str, form: str) -> None:
    known = values[values > 0]
    axes.plot(known, known.index, "D", color=colour, markersize=5)
    _write_beside(axes, known, [form.format(value) for value in known])
    _make_logarithmic(axes, 0.5)
    axes.tick_params(axis="y", left=False)


def _write_beside(axes: Axes, positions: pd.Series, texts: list[str]) -> None:
    for (row, position), text in zip(positions.items(), texts, strict=True):
        axes.annotate(
            text,
            (position, row),
            xytext=(7, -0.5),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )


def _make_logarithmic(axes: Axes, room: float) -> None:
    """A logarithmic axis, longer by a share of `room` for the texts, with plain numbers at its ticks."""
    if not any(np.size(line.get_xdata()) for line in axes.lines):
        axes.set_xticks([])
        return
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low / (high / low) ** 0.03, high * (high / low) ** room)
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if high / low > 30 else (1, 2, 5), numticks=6))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0e}" if value < 1e-3 else f"{value:,.4g}")
    axes.xaxis.set_minor_locator(NullLocator())
    style.quiet_grid(axes, "both")
