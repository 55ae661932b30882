"""Deletion and insertion curves as a small SVG drawing; the page's style sheet decides its looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from striate.explain.trust import Curves

WIDTH, HEIGHT = 300, 150
LEFT, RIGHT, TOP, BOTTOM = 34, 6, 8, 24
LOW, HIGH = -0.25, 1.25
"""Shares of the score beyond these lie on the edge."""


def curves_svg(curves: Curves) -> str:
    """Return the two curves of a map, and faintly those of random maps."""
    faint = [_line(row, "random") for row in (*curves.random_deletion, *curves.random_insertion)]
    label = (
        f"Share of the score while pixels are hidden, mean {curves.deletion.mean():.2f}, "
        f"and while they are shown, mean {curves.insertion.mean():.2f}"
    )
    return "".join(
        [
            f'<svg class="curves" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">',
            *(_level(value, text) for value, text in ((0, "0"), (1, "100%"))),
            *faint,
            _line(curves.deletion, "deletion"),
            _line(curves.insertion, "insertion"),
            f'<text x="{LEFT}" y="{HEIGHT - 6}">none</text>',
            f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" class="end">all pixels hidden / shown</text>',
            "</svg>",
        ]
    )


def _level(value: float, text: str) -> str:
    y = _y(value)
    return (
        f'<path class="level" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 4}" y="{y + 3.5:.1f}" class="end">{text}</text>'
    )


def _line(values: np.ndarray, kind: str) -> str:
    step = (WIDTH - LEFT - RIGHT) / (len(values) - 1)
    points = " ".join(f"{LEFT + step * n:.1f},{_y(value):.1f}" for n, value in enumerate(values.tolist()))
    return f'<polyline class="{kind}" points="{points}"/>'


def _y(value: float) -> float:
    inside = min(max(value, LOW), HIGH)
    return TOP + (HIGH - inside) / (HIGH - LOW) * (HEIGHT - TOP - BOTTOM)
