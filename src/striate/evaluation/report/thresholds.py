"""For two classes: what a threshold would cost, from the operating points of `metrics.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from striate.evaluation.thresholds import choose_threshold

COUNTS = ("true_positive", "false_positive", "true_negative", "false_negative")
RATIOS = (0.1, 1.0, 10.0)
"""Costs of a missed image in false alarms that the page shows without a script."""


@dataclass(frozen=True)
class Explorer:
    """What the threshold explorer needs.

    Attributes:
        first, second: names of the classes; the second is the one that is looked for.
        split: the images whose operating points these are.
        honest: whether these images may choose a threshold (validation images may, test images may not).
        points: threshold (ascending), true positives, false positives, true negatives, false negatives.
        examples: (cost ratio, its best point).
    """

    first: str
    second: str
    split: str
    honest: bool
    points: Sequence[Sequence[float]]
    examples: Sequence[tuple[float, Sequence[float]]]


def explorer(
    metrics: Mapping[str, Mapping[str, Any]], split: str, evaluated: bool = False
) -> Explorer | None:
    """Return the explorer of validation's operating points, else of `split`'s; None without any.

    Args:
        metrics: split -> entry of `metrics.json`.
        split: what the report is about.
        evaluated: whether these images are of other data than was trained on, none of them for choosing.
    """
    validated = not evaluated and bool(metrics.get("val", {}).get("operating_points"))
    chosen = "val" if validated else split
    entry = metrics[chosen]
    if not entry.get("operating_points"):
        return None
    rows = {row["threshold"]: row for row in entry["operating_points"]}
    points = {threshold: [threshold, *(row[count] for count in COUNTS)] for threshold, row in rows.items()}
    first, second = (row["name"] for row in entry["per_class"])
    examples = [(ratio, points[choose_threshold(entry["operating_points"], ratio, 1)]) for ratio in RATIOS]
    return Explorer(first, second, chosen, validated, list(points.values()), examples)
