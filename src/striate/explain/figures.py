"""Explanations as matplotlib figures; imports matplotlib."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from striate import figure_style as style

if TYPE_CHECKING:
    from striate.explain.explanation import Explanation
    from striate.explain.trust import Curves


def explanation_figure(explanation: Explanation) -> Figure:
    """Draw an image, the map on it and, where there is a trust card, its curves and verdict."""
    columns = 2 if explanation.measures is None else 3
    with style.drawing():
        figure = style.new_figure(3.1 * columns, 3.5)
        axes = figure.subplots(1, columns)
        picture = explanation.picture().convert("RGB")
        _picture(axes[0], np.asarray(picture), f"{explanation.label}, {explanation.probability:.1%}")
        _picture(axes[1], explanation.overlay(), explanation.method)
        if explanation.measures is not None and explanation.verdict is not None:
            draw_curves(axes[2], explanation.measures.curves)
            figure.suptitle(
                textwrap.fill(explanation.verdict.text, 32 * columns), fontsize=9, x=0.01, ha="left"
            )
        return style.literal(figure)


def draw_curves(axes: Axes, curves: Curves) -> None:
    """Draw deletion and insertion, with those of random maps behind them."""
    shown = np.linspace(0, 1, len(curves.deletion))
    for row in (*curves.random_deletion, *curves.random_insertion):
        axes.plot(shown, row, color=style.FAINT, linewidth=0.8)
    axes.plot(shown, curves.insertion, color=style.BLUE, label="shown")
    axes.plot(shown, curves.deletion, color=style.VERMILION, linestyle="--", label="hidden")
    axes.set_ylim(-0.25, 1.25)
    axes.set_xlabel("share of the pixels, by the map")
    axes.set_ylabel("share of the score")
    axes.legend(loc="center right")


def _picture(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set_title(textwrap.shorten(title, 38))
    axes.set_axis_off()
