"""Two classes: what a threshold costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from striate.evaluation.figures import style
from striate.evaluation.thresholds import choose_threshold
from striate.evaluation.wording import shorten

RATIOS = (1.0, 5.0, 20.0)
_COLOURS = (style.BLUE, style.VERMILION, style.GREEN, style.PURPLE)
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1.5, 1.5)))


def threshold_costs(entry: Mapping[str, Any], ratios: Sequence[float] = RATIOS) -> Figure:
    """Draw the cost an image at each threshold, in units of a false alarm, for some costs of a miss.

    Each curve is divided by what the cheaper of the two costs that need no network at all: naming every image
    as the first class, or as the second. The cheapest threshold is marked.

    Args:
        entry: one split of `metrics.json`, with `operating_points`.
        ratios: cost of a miss of the second class over that of a false alarm, at most 4.
    """
    points = entry["operating_points"]
    thresholds, misses, alarms = (
        np.array([point[key] for point in points], np.float64)
        for key in ("threshold", "false_negative", "false_positive")
    )
    with style.drawing():
        figure = style.new_figure(6.4, 3.6)
        axes = figure.subplots()
        for ratio, colour, dashes in zip(ratios, _COLOURS, _DASHES, strict=False):
            costs = ratio * misses + alarms
            baseline = min(ratio * misses.max(), alarms.max()) or 1
            axes.plot(
                thresholds,
                costs / baseline,
                color=colour,
                linestyle=dashes,
                linewidth=1.5,
                label=_label(ratio),
                drawstyle="default",
            )
            best = choose_threshold(points, ratio, 1)
            axes.plot(best, costs[thresholds == best][0] / baseline, "o", color=colour, markersize=6)
        axes.axvline(0.5, color=style.QUIET, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
        axes.set_title("Which threshold costs least?")
        name = shorten(entry["per_class"][1]["name"])
        axes.set_xlabel(f"named '{name}' where its probability is above this; dots: the cheapest")
        axes.set_ylabel("cost, share of that without a network")
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(0, 1.6)
        style.percent_axis(axes.xaxis)
        style.percent_axis(axes.yaxis)
        style.quiet_grid(axes, "both")
        figure.legend(loc="outside right upper", title="missing one costs", alignment="left", frameon=False)
        return style.literal(figure)


def _label(ratio: float) -> str:
    return "as much as a false alarm" if ratio == 1 else f"{ratio:g} false alarms"
