"""The page's charts of learning, ROC and precision-recall curves, and the axes that all charts share.

Grey stands for training, blue for what was measured on images kept apart, vermilion for mistakes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from striate.evaluation import wording
from striate.evaluation.report import svg
from striate.evaluation.report.svg import Scale
from striate.schemas import guard, unguard

if TYPE_CHECKING:
    import pandas as pd

WIDTH, HEIGHT = 440, 270
_LINE_GAP = 15  # units between two labels at the end of lines
QUARTERS = {value / 4: f"{25 * value} %" for value in range(5)}
_DOTS_UP_TO = 40  # epochs drawn with a dot each


@dataclass(frozen=True)
class Chart:
    """A drawing and what stands around it."""

    title: str
    drawing: str
    caption: str = ""


@dataclass(frozen=True)
class Frame:
    """The axes of a chart: where x and y lie."""

    x: Scale
    y: Scale

    @classmethod
    def of(cls, x: tuple[float, float], y: tuple[float, float], left: float = 52, right: float = 84) -> Frame:
        """Return axes from `x` and `y`, low and high, with room for labels on both sides."""
        return cls(Scale(*x, left, WIDTH - right), Scale(*y, HEIGHT - 42, 10))

    def axes(
        self, x_ticks: Mapping[float, str], y_ticks: Mapping[float, str], x_label: str, y_label: str = ""
    ) -> Iterable[str]:
        """Yield rules, ticks and labels."""
        left, right, bottom = self.x.start, self.x.end, self.y.start
        for value, words in y_ticks.items():
            yield svg.line(left, self.y(value), right, self.y(value), "rule")
            yield svg.text(words, left - 7, self.y(value) + 4, "tick", "end")
        yield svg.line(left, bottom, right, bottom, "axis")
        for value, words in x_ticks.items():
            yield svg.line(self.x(value), bottom, self.x(value), bottom + 4, "axis")
            yield svg.text(words, self.x(value), bottom + 18, "tick", "middle")
        yield svg.text(x_label, (left + right) / 2, bottom + 36, "label", "middle")
        if y_label:
            yield svg.element(
                "text",
                y_label,
                transform=f"translate(13 {(self.y.start + self.y.end) / 2:.0f}) rotate(-90)",
                class_="label",
                text_anchor="middle",
            )


def learning_curves(history: pd.DataFrame, chosen: int | None, goal: float | None) -> list[Chart]:
    """Return loss and accuracy of training and validation by epoch, the epoch that was kept marked."""
    return [
        Chart("Loss: lower is better", _curves(history, "loss", chosen, None)),
        Chart("Accuracy: higher is better", _curves(history, "accuracy", chosen, goal)),
    ]


def _curves(history: pd.DataFrame, quantity: str, chosen: int | None, goal: float | None) -> str:
    epochs = history["epoch"].tolist()
    series = {
        split: history[f"{split}_{quantity}"].tolist()
        for split in ("train", "val")
        if history[f"{split}_{quantity}"].map(math.isfinite).any()
    }
    values = [value for line in series.values() for value in line if math.isfinite(value)]
    if goal is not None:
        values.append(goal)
    low, high = _span(values, quantity)
    frame = Frame.of((epochs[0], epochs[-1]), (low, high))
    shares = quantity == "accuracy"
    y_ticks = {value: _tick(value, shares) for value in svg.ticks(low, high)}
    x_ticks = {float(value): f"{value}" for value in svg.whole_ticks(epochs[0], epochs[-1])}
    parts = [*frame.axes(x_ticks, y_ticks, "epoch"), *_goal(frame, goal), *_kept(frame, chosen)]
    ends = []
    for split, line in series.items():
        points = [(frame.x(epoch), frame.y(value)) for epoch, value in zip(epochs, line, strict=True)]
        parts.append(svg.polyline(points, f"line {split}"))
        if len(points) <= _DOTS_UP_TO:
            parts += [
                svg.element("circle", cx=x, cy=y, r=2.4, class_=f"dot {split}")
                for x, y in points
                if math.isfinite(y)
            ]
        ends.append((next(y for _, y in reversed(points) if math.isfinite(y)), split))
    parts += _line_names(frame, ends)
    return svg.drawing(WIDTH, HEIGHT, parts, curves_in_words(history, quantity), "chart")


def curves_in_words(history: pd.DataFrame, quantity: str) -> str:
    """Say how a quantity moved from the first to the last epoch."""
    words = [f"{quantity.capitalize()} over {wording.counted(len(history), 'epoch')}."]
    show = wording.percent if quantity == "accuracy" else wording.number
    for split, name in (("train", "Training"), ("val", "Validation")):
        first, last = (float(history[f"{split}_{quantity}"].iloc[at]) for at in (0, -1))
        if math.isfinite(first) and math.isfinite(last):
            words.append(f"{name}: from {show(first)} to {show(last)}.")
    return " ".join(words)


def _span(values: Sequence[float], quantity: str) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.05
    if quantity == "loss":
        return max(0.0, low - margin), high + margin
    return max(0.0, low - margin), min(1.0, high + margin)


def _tick(value: float, share: bool) -> str:
    return f"{100 * value:.4g} %" if share else f"{value:.4g}"


def _goal(frame: Frame, goal: float | None) -> Iterable[str]:
    if goal is None:
        return
    y = frame.y(goal)
    yield svg.line(frame.x.start, y, frame.x.end, y, "goal")
    yield svg.text(f"goal {100 * goal:.4g} %", frame.x.end + 6, y + 4, "tick")


def _kept(frame: Frame, chosen: int | None) -> Iterable[str]:
    """A line at the epoch whose weights were kept, its label on the side that has room."""
    if chosen is None or not frame.x.low <= chosen <= frame.x.high:
        return
    x = frame.x(chosen)
    left = x > (frame.x.start + frame.x.end) / 2
    middle = (frame.y.start + frame.y.end) / 2
    yield svg.line(x, frame.y.start, x, frame.y.end, "kept")
    yield svg.text(f"epoch {chosen} kept", x - 6 if left else x + 6, middle, "tick", "end" if left else None)


def _line_names(frame: Frame, ends: Sequence[tuple[float, str]]) -> Iterable[str]:
    """Each line's name beside its end; names that would touch are moved apart, none below the axis."""
    names = {"train": "training", "val": "validation"}
    below = frame.y.start + _LINE_GAP - 4
    for y, split in sorted(ends, reverse=True):
        below = min(y, below - _LINE_GAP)
        yield svg.text(names[split], frame.x.end + 6, below + 4, f"name {split}")


def ranking(curves: pd.DataFrame | None, entry: Mapping[str, Any]) -> list[Chart]:
    """Return the ROC and precision-recall charts of `curves-<split>.csv`; none without it.

    A line a class, that with the smallest area under its ROC curve drawn strongly; of two classes the second.

    Args:
        curves: `schemas.CURVE_COLUMNS`, as text or numbers.
        entry: metrics of the same images.
    """
    areas = {guard(row["name"]): row["roc_auc"]["value"] for row in entry["per_class"] if row.get("roc_auc")}
    if curves is None or curves.empty or not areas:
        return []
    if len(entry["per_class"]) == 2:
        areas = {guard(entry["per_class"][1]["name"]): areas[guard(entry["per_class"][1]["name"])]}
    lowest = min(areas, key=lambda name: areas[name])
    lines: dict[str, dict[str, _Line]] = {"roc": {}, "pr": {}}
    for (name, curve), rows in curves.groupby(["class", "curve"], sort=False):
        if name in areas:
            lines[str(curve)][str(name)] = list(
                zip(rows["x"].astype(float), rows["y"].astype(float), strict=True)
            )
    strong = wording.shorten(unguard(lowest))
    return [
        Chart(
            "ROC: found against false alarms",
            _square(lines["roc"], lowest, "false alarms among other images", "found", True, entry["roc_auc"]),
            f"Strong line: '{strong}', area {areas[lowest]:.4g}"
            + (", the smallest. A line for each class." if len(areas) > 1 else "."),
        ),
        Chart(
            "Precision and recall",
            _square(
                lines["pr"], lowest, "found (recall)", "right (precision)", False, entry["average_precision"]
            ),
        ),
    ]


_Line = Sequence[tuple[float, float]]


def _square(
    lines: Mapping[str, _Line],
    strong: str,
    x_label: str,
    y_label: str,
    diagonal: bool,
    area: Mapping[str, Mapping[str, float]],
) -> str:
    """Draw curves within the unit square, `strong` above the others."""
    frame = Frame.of((0, 1), (0, 1), left=68, right=26)
    parts = [*frame.axes(QUARTERS, QUARTERS, x_label, y_label)]
    if diagonal:
        parts.append(svg.line(frame.x(0), frame.y(0), frame.x(1), frame.y(1), "ideal"))
    for name in sorted(lines, key=lambda name: name == strong):
        points = [(frame.x(x), frame.y(y)) for x, y in lines[name]]
        parts.append(svg.polyline(points, "line val" if name == strong else "line val thin"))
    words = f"{y_label} against {x_label}, {wording.counted(len(lines), 'curve')}; "
    return svg.drawing(
        WIDTH, HEIGHT, parts, f"{words}mean area {wording.number(area['macro']['value'])}.", "chart"
    )
