"""The drawings of a comparison: scores of runs, effects, curves beside curves, confusion beside confusion.

Grey stands for what is compared with, blue for what is judged, vermilion for what has become worse.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.evaluation import wording
from striate.evaluation.history import chosen_epoch
from striate.evaluation.report import svg
from striate.evaluation.report.svg import Scale

if TYPE_CHECKING:
    import pandas as pd

MAP_CLASSES = 30
"""With more classes, confusion is not drawn."""
NAMED_CLASSES = 15
"""With more classes, the rows and columns of confusion bear no names; each cell tells them."""
_WIDTH, _HEIGHT = 440, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 134, 10, 42
_SHARES = (0.005, 0.03, 0.1, 0.2, 0.35, 0.6, 0.85)
"""Shares of the true class at which a cell's colour changes, as in the report."""
_CHANGES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3)
"""Changes of such a share at which the colour of the map of changes does."""
_SMALLEST_CHANGE = 0.002
_STRIP = 160  # units that a strip is wide


def span(values: Iterable[float], room: float = 0.08) -> tuple[float, float]:
    """Return the limits of a scale that holds all `values`, with some room on both sides."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    margin = room * (high - low) or 0.01
    return low - margin, high + margin


def runs_strip(runs: Sequence[float], mean: float, limits: tuple[float, float], description: str) -> str:
    """Draw a dot for the score of each run, and a line at their mean, on a scale that all entries share."""
    scale = Scale(*limits, 0, _STRIP)
    parts = [svg.element("circle", cx=scale(run), cy=9.0, r=4, class_="run") for run in runs]
    parts.append(svg.line(scale(mean), 1, scale(mean), 17, "middle"))
    return _strip(parts, description)


def effect_strip(found: Mapping[str, Any], limits: tuple[float, float], description: str) -> str:
    """Draw a difference and its interval on a scale that all differences share, with a line at 0."""
    scale = Scale(*limits, 0, _STRIP)
    look = found["verdict"] if found["verdict"] in ("better", "worse") else "open"
    low, high, value = (scale(found[end]) for end in ("low", "high", "difference"))
    parts = [
        svg.line(scale(0), 0, scale(0), 18, "zero"),
        svg.line(low, 9, high, 9, f"reach {look}"),
        svg.element("circle", cx=value, cy=9, r=4.5, class_=f"effect {look}"),
    ]
    return _strip(parts, description)


def _strip(parts: Sequence[str], description: str) -> str:
    return svg.drawing(_STRIP, 18, parts, description, "strip")


def curves_beside(
    ours: Sequence[pd.DataFrame], base: Sequence[pd.DataFrame], quantity: str, names: tuple[str, str]
) -> str | None:
    """Draw a validation curve (means over runs, each run thin) of two entries, and dashed that of training.

    Args:
        ours: histories of the entry that is judged, as numbers.
        base: of the one that it is compared with.
        quantity: "loss" or "accuracy".
        names: of both.

    Returns:
        None where nobody was validated.
    """
    groups = {"train": base, "val": ours}  # grey and blue in the style sheet
    tables = [table for histories in groups.values() for table in histories]
    column = f"val_{quantity}"
    if not ours or not base or not any(table[column].map(math.isfinite).any() for table in tables):
        return None
    last = max(int(table["epoch"].max()) for table in tables)
    values = [float(v) for table in tables for v in (*table[column], *table[f"train_{quantity}"])]
    low, high = span(values, 0.05)
    x = Scale(1, max(last, 2), _LEFT, _WIDTH - _RIGHT)
    y = Scale(max(0.0, low), min(1.0, high) if quantity == "accuracy" else high, _HEIGHT - _BOTTOM, _TOP)
    parts = list(_axes(x, y, last, quantity == "accuracy"))
    ends = []
    for (look, histories), name in zip(groups.items(), reversed(names), strict=True):
        parts += [svg.polyline(_points(table, column, x, y), f"line {look} thin") for table in histories]
        parts += [_kept(table, column, x, y, look) for table in histories]
        parts.append(svg.polyline(_mean_points(histories, f"train_{quantity}", x, y), f"line {look} dashed"))
        mean = _mean_points(histories, column, x, y)
        parts.append(svg.polyline(mean, f"line {look}"))
        if mean:
            ends.append((mean[-1][1], look, name))
    parts += _end_names(x.end, y.start, ends)
    words = f"{quantity.capitalize()} by epoch of {names[0]} (blue) and {names[1]} (grey)."
    return svg.drawing(_WIDTH, _HEIGHT, parts, words, "chart")


def _axes(x: Scale, y: Scale, last: int, shares: bool) -> Iterable[str]:
    for value in svg.ticks(y.low, y.high, 5):
        text = f"{100 * value:.4g} %" if shares else f"{value:.4g}"
        yield svg.line(x.start, y(value), x.end, y(value), "rule")
        yield svg.text(text, x.start - 7, y(value) + 4, "tick", "end")
    yield svg.line(x.start, y.start, x.end, y.start, "axis")
    for epoch in svg.whole_ticks(1, max(last, 2)):
        yield svg.line(x(epoch), y.start, x(epoch), y.start + 4, "axis")
        yield svg.text(f"{epoch}", x(epoch), y.start + 18, "tick", "middle")
    yield svg.text("epoch", (x.start + x.end) / 2, y.start + 36, "label", "middle")


def _points(table: pd.DataFrame, column: str, x: Scale, y: Scale) -> list[tuple[float, float]]:
    return [
        (x(epoch), y(value) if math.isfinite(value) else value)
        for epoch, value in zip(table["epoch"], table[column].astype(float), strict=True)
    ]


def _kept(table: pd.DataFrame, column: str, x: Scale, y: Scale, look: str) -> str:
    """A dot on a run's curve at the epoch whose weights were kept."""
    kept = x(chosen_epoch(table) or 0)
    dots = [point for point in _points(table, column, x, y) if point[0] == kept and math.isfinite(point[1])]
    return "".join(svg.element("circle", cx=a, cy=b, r=3.5, class_=f"dot {look}") for a, b in dots)


def _mean_points(
    histories: Sequence[pd.DataFrame], column: str, x: Scale, y: Scale
) -> list[tuple[float, float]]:
    """Means over those runs that reached the epoch and were measured there."""
    by_epoch: dict[int, list[float]] = {}
    for table in histories:
        for epoch, value in zip(table["epoch"], table[column].astype(float), strict=True):
            if math.isfinite(value):
                by_epoch.setdefault(int(epoch), []).append(value)
    return [(x(epoch), y(float(np.mean(values)))) for epoch, values in sorted(by_epoch.items())]


def _end_names(x: float, bottom: float, ends: Sequence[tuple[float, str, str]]) -> Iterable[str]:
    """Each curve's name beside its end; names that would touch are moved apart."""
    below = bottom + 11
    for y, look, name in sorted(ends, reverse=True):
        below = min(y, below - 15)
        yield svg.text(wording.shorten(name, 15), x + 6, below + 4, f"name {look}")


def confusion_map(counts: np.ndarray, names: Sequence[str], title: str) -> str:
    """Draw a confusion matrix; a cell's colour is its share of the row, blue where right."""
    shares = _shares(counts)
    looks = [
        [_look(share, _SHARES, "r" if true == predicted else "w") for predicted, share in enumerate(row)]
        for true, row in enumerate(shares)
    ]
    words = [[f"{100 * share:.1f} %" for share in row] for row in shares]
    return _map(looks, words, names, title)


def change_map(ours: np.ndarray, base: np.ndarray, names: Sequence[str], title: str) -> str:
    """Draw how the shares of the rows changed: blue for the better, vermilion for the worse."""
    change = _shares(ours) - _shares(base)
    looks = [
        [
            _look(abs(value), _CHANGES, "r" if (value > 0) == (true == predicted) else "w", _SMALLEST_CHANGE)
            for predicted, value in enumerate(row)
        ]
        for true, row in enumerate(change)
    ]
    words = [[f"{100 * value:+.1f} points" for value in row] for row in change]
    return _map(looks, words, names, title)


def _map(
    looks: Sequence[Sequence[str]], words: Sequence[Sequence[str]], names: Sequence[str], title: str
) -> str:
    classes, side = len(names), 300.0
    longest = max(len(wording.shorten(name, 12)) for name in names) if len(names) <= NAMED_CLASSES else 0
    left = top = 10 + 7.2 * longest
    cell = side / classes
    gap = 1.0 if classes <= NAMED_CLASSES else 0.4
    parts = []
    for true, row in enumerate(looks):
        for predicted, look in enumerate(row):
            one, other = wording.shorten(names[true]), wording.shorten(names[predicted])
            text = f"{one} named {other}: {words[true][predicted]}"
            parts.append(
                svg.element(
                    "rect",
                    svg.element("title", _escaped(text)),
                    x=left + predicted * cell,
                    y=top + true * cell,
                    width=cell - gap,
                    height=cell - gap,
                    class_=look,
                )
            )
    if classes <= NAMED_CLASSES:
        parts += _map_names(names, left, top, cell)
    return svg.drawing(left + side, top + side, parts, title, "map")


def _map_names(names: Sequence[str], left: float, top: float, cell: float) -> Iterable[str]:
    for number, name in enumerate(names):
        short, middle = wording.shorten(name, 12), (number + 0.5) * cell
        yield svg.text(short, left - 6, top + middle + 4, "tick", "end")
        yield svg.element(
            "text",
            _escaped(short),
            transform=f"translate({left + middle + 4:.1f} {top - 6:.1f}) rotate(-90)",
            class_="tick",
        )


def _shares(counts: np.ndarray) -> np.ndarray:
    rows = counts.sum(axis=1, keepdims=True)
    shares: np.ndarray = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    return shares


def _look(share: float, steps: Sequence[float], hue: str, least: float = 0.0) -> str:
    if share <= least:
        return "none"
    return f"{hue}{1 + sum(share >= step for step in steps)}"


def _escaped(text: str) -> str:
    import html

    return html.escape(text)
