"""Whether probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from striate.evaluation.figures import style


def reliability(entry: Mapping[str, Any]) -> Figure:
    """Draw the share named correctly against the probability given, and below it the number of images.

    Where a temperature changed the probabilities, what they were before is drawn in grey.

    Args:
        entry: one split of `metrics.json`.
    """
    bins, error = entry["calibration"]["bins"], entry["calibration"]["ece"]
    before = entry["calibration"].get("before", {}).get("bins", [])
    with style.drawing():
        figure = style.new_figure(4.8, 5.6)
        curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        _draw_before(curve, before)
        _draw_curve(curve, bins, entry["level"])
        _draw_counts(counts, bins)
        figure.suptitle("Are probabilities right?", x=0.02, ha="left", fontsize=10, fontweight="bold")
        curve.set_title(
            f"expected calibration error {_percent(error['value'])}, "
            f"between {_percent(error['low'])} and {_percent(error['high'])}",
            fontweight="normal",
            fontsize=8,
        )
        return style.literal(figure)


def _draw_before(axes: Axes, bins: list[Mapping[str, Any]]) -> None:
    """Draw the probabilities before the temperature, and a legend that tells them apart."""
    if not bins:
        return
    axes.plot(
        [row["confidence"] for row in bins],
        [row["accuracy"] for row in bins],
        "o-",
        color=style.QUIET,
        markerfacecolor="white",
        linewidth=1,
        markersize=4.5,
        label="before calibration",
    )
    axes.plot([], [], "o-", color=style.BLUE, linewidth=1.2, markersize=4.5, label="as it is used")
    axes.legend(loc="lower right", frameon=False, fontsize=8)


def _draw_curve(axes: Axes, bins: list[Mapping[str, Any]], level: float) -> None:
    x, y, low, high = (
        np.array([row[key] for row in bins])
        for key in ("confidence", "accuracy", "accuracy_low", "accuracy_high")
    )
    axes.plot([0, 1], [0, 1], color=style.QUIET, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
    axes.annotate(
        "as sure as right",
        (0.30, 0.30),
        rotation=45,
        rotation_mode="anchor",
        transform_rotates_text=True,
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8,
        color=style.QUIET,
    )
    axes.errorbar(
        x,
        y,
        yerr=np.maximum(0, np.stack([y - low, high - y])),
        fmt="o-",
        color=style.BLUE,
        ecolor=style.BLUE,
        linewidth=1.2,
        elinewidth=1.2,
        capsize=2.5,
        markersize=4.5,
    )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel(f"share named correctly, {100 * level:.0f} % interval")
    style.percent_axis(axes.yaxis)
    style.quiet_grid(axes, "both")


def _draw_counts(axes: Axes, bins: list[Mapping[str, Any]]) -> None:
    samples = [row["samples"] for row in bins]
    widths = [row["high"] - row["low"] for row in bins]
    axes.bar(
        [row["low"] for row in bins],
        samples,
        widths,
        align="edge",
        color=style.BLUE,
        edgecolor="white",
        linewidth=0.6,
    )
    axes.set_ylabel("images")
    axes.set_ylim(0, 1.25 * max(samples))
    for row, width in zip(bins, widths, strict=True):
        axes.annotate(
            f"{row['samples']:,}",
            (row["low"] + width / 2, row["samples"]),
            xytext=(0, 1),
            textcoords="offset points",
            ha="center",
            fontsize=6,
        )
    axes.set_xlabel("probability of the predicted class")
    style.percent_axis(axes.xaxis)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
