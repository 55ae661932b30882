"""Whether probabilities can be believed, and what comes of leaving uncertain images to a person."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from striate.evaluation import wording
from striate.evaluation.abstention import LEVELS
from striate.evaluation.intervals import wilson
from striate.evaluation.report import svg
from striate.evaluation.report.charts import HEIGHT, QUARTERS, WIDTH, Chart, Frame

_NEAR = 0.01
"""Probabilities that are right as often as they say, within this, count as honest."""
_LABEL_GAP = 34.0  # units between two of these labels


@dataclass(frozen=True)
class Answers:
    """A row of the table: images whose probability is at least `threshold` are answered.

    Attributes:
        threshold: within 0 and 1.
        answered: how many images; `share` of all.
        accuracy: of these, `value`, `low`, `high`; None where there are none.
        left: how many are left to a person; `caught` of them would have been named wrongly.
    """

    threshold: float
    answered: int
    share: float
    accuracy: Mapping[str, float] | None
    left: int
    caught: int


def in_words(entry: Mapping[str, Any]) -> str:
    """Say whether the network is as often right as it is sure; nothing without calibration."""
    bins = entry.get("calibration", {}).get("bins")
    if not bins:
        return ""
    total = sum(row["samples"] for row in bins)
    sure = sum(row["confidence"] * row["samples"] for row in bins) / total
    right = sum(row["accuracy"] * row["samples"] for row in bins) / total
    words = f"On average the network is {wording.percent(sure)} sure and {wording.percent(right)} right"
    if abs(sure - right) < _NEAR:
        return f"{words}: taken together, it is as sure as it should be."
    if sure > right:
        return f"{words}: it is surer than it should be."
    return f"{words}: it is more often right than it believes."


def calibrated_how(split: str, entry: Mapping[str, Any], calibration: Mapping[str, Any]) -> str:
    """Say what was done to the probabilities, or why nothing was.

    Args:
        split: what the report is about.
        entry: its metrics.
        calibration: of `run.json`, as far as known.
    """
    temperature = entry.get("calibration", {}).get("temperature", 1.0)
    if temperature == 1:
        return str(calibration.get("message") or "The probabilities are not calibrated: they are as trained.")
    effect = "less sure" if temperature > 1 else "surer"
    words = (
        f"All logits are divided by {temperature:.3g} (the temperature). That makes the network {effect} of "
    )
    words += "every image, and changes no answer."
    if samples := calibration.get("samples"):
        words += f" It was fitted on {wording.counted(samples, 'validation image')} alone"
        words += ", the very ones shown here, so expect less of it on others." if split == "val" else "."
    return f"{words} {calibration['message']}" if calibration.get("message") else words


def reliability(entry: Mapping[str, Any]) -> Chart | None:
    """Return how often the network was right against how sure it was, or None without calibration.

    Where a temperature made it surer or less sure, what it was before is drawn in grey.
    """
    bins = entry.get("calibration", {}).get("bins")
    if not bins:
        return None
    before = entry["calibration"].get("before", {}).get("bins", [])
    frame = Frame.of((0, 1), (0, 1), left=68, right=26)
    parts = [*frame.axes(QUARTERS, QUARTERS, "how sure the network was", "how often it was right")]
    parts.append(svg.line(frame.x(0), frame.y(0), frame.x(1), frame.y(1), "ideal"))
    most = max(row["samples"] for row in (*bins, *before))
    parts += [_dot(frame, row, most, "dot before") for row in before]
    for row in bins:
        x = frame.x(row["confidence"])
        parts.append(svg.line(x, frame.y(row["accuracy_low"]), x, frame.y(row["accuracy_high"]), "whisker"))
        parts.append(_dot(frame, row, most, "dot val"))
    parts.append(svg.text("right more often than sure", frame.x(0.02), frame.y(0.93), "tick"))
    parts.append(svg.text("surer than right", frame.x(0.98), frame.y(0.05), "tick", "end"))
    description = "Reliability: " + "; ".join(_words(row) for row in bins)
    if before:
        description += ". Before calibration: " + "; ".join(_words(row) for row in before)
    return Chart("How sure, and how often right", svg.drawing(WIDTH, HEIGHT, parts, description, "chart"))


def _dot(frame: Frame, row: Mapping[str, Any], most: int, look: str) -> str:
    """A dot whose area grows with the number of images."""
    title = (
        f"{wording.counted(row['samples'], 'image')}: {wording.percent(row['confidence'])} sure, "
        f"{wording.percent(row['accuracy'])} right"
    )
    return svg.element(
        "circle",
        svg.element("title", title),
        cx=frame.x(row["confidence"]),
        cy=frame.y(row["accuracy"]),
        r=2.5 + 6.5 * math.sqrt(row["samples"] / most),
        class_=look,
    )


def _words(row: Mapping[str, Any]) -> str:
    return (
        f"{wording.percent(row['confidence'])} sure, {wording.percent(row['accuracy'])} right "
        f"({row['samples']:,})"
    )


def answers(entry: Mapping[str, Any]) -> list[Answers]:
    """Return the table of `LEVELS`, without those that change nothing; empty for an older entry."""
    points = {point["threshold"]: point for point in entry.get("answered", ())}
    chosen = [points[level] for level in LEVELS if level in points]
    rows = [_answers(point, entry) for point in chosen]
    return [row for place, row in enumerate(rows) if not place or row.answered != rows[place - 1].answered]


def _answers(point: Mapping[str, Any], entry: Mapping[str, Any]) -> Answers:
    answered, correct, n = point["answered"], point["correct"], entry["samples"]
    low, high = wilson(correct, answered, entry["level"])
    accuracy = {"value": correct / answered, "low": low, "high": high} if answered else None
    caught = n - entry["correct"] - (answered - correct)
    return Answers(point["threshold"], answered, answered / n, accuracy, n - answered, caught)


def abstention(entry: Mapping[str, Any]) -> Chart | None:
    """Return the share named rightly of the images that are answered, against how many these are.

    None for an older entry, or where all images are equally certain.
    """
    points = [point for point in entry.get("answered", ()) if point["answered"]]
    by_count = {point["answered"]: point for point in points}
    if len(by_count) < 2:
        return None
    rows = [_answers(by_count[count], entry) for count in sorted(by_count, reverse=True)]
    known = [(row, row.accuracy) for row in rows if row.accuracy is not None]
    low = min(accuracy["low"] for row, accuracy in known if row.answered >= entry["samples"] / 20)
    low = max(0.0, min(low, entry["accuracy"]["low"]) - 0.02)
    frame = Frame.of((0, 1), (low, 1), left=68, right=26)
    ticks = {value: f"{100 * value:.4g} %" for value in svg.ticks(low, 1, 5)}
    parts = [*frame.axes(QUARTERS, ticks, "share of the images that is answered", "right of these")]
    upper = [(frame.x(row.share), frame.y(accuracy["high"])) for row, accuracy in known]
    lower = [(frame.x(row.share), frame.y(max(low, accuracy["low"]))) for row, accuracy in known]
    parts.append(svg.polygon([*upper, *reversed(lower)], "band"))
    line = [(frame.x(row.share), frame.y(max(low, accuracy["value"]))) for row, accuracy in known]
    parts.append(svg.polyline(line, "line val"))
    parts += _marks(frame, answers(entry), low)
    words = "; ".join(
        f"at {wording.percent(row.threshold)}, {wording.percent(row.share)} answered, "
        f"{wording.percent(row.accuracy['value'])} right"
        for row in answers(entry)
        if row.accuracy is not None
    )
    description = f"Share right of the images answered, by the probability asked for: {words}."
    return Chart("Fewer answers, more of them right", svg.drawing(WIDTH, HEIGHT, parts, description, "chart"))


def _marks(frame: Frame, rows: Sequence[Answers], low: float) -> Iterable[str]:
    """A dot at each threshold of the table, and its probability where labels do not touch."""
    last = math.inf
    for row in rows:
        if row.accuracy is None:
            continue
        x, y = frame.x(row.share), frame.y(max(low, row.accuracy["value"]))
        yield svg.element("circle", cx=x, cy=y, r=3.2, class_="dot val")
        if row.threshold and last - x > _LABEL_GAP:
            yield svg.text(f"{100 * row.threshold:.4g} %", x - 3, y + 18, "tick", "end")
            last = x
