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
        points: [threshold, true positive, false positive, true negative, false negative], thresholds ascending.
        examples: (cost ratio, its best point).
    """

    first: str
    second: str
    split: str
    honest: bool
    points: Sequence[Sequence[float]]
    examples: Sequence[tuple[float, Sequence[float]]]


def explorer(metrics: Mapping[str, Mapping[str, Any]], split: str) -> Explorer | None:
    """Return the explorer of validation's operating points, else of `split`'s; None without any."""
    chosen = "val" if metrics.get("val", {}).get("operating_points") else split
    entry = metrics[chosen]
    if not entry.get("operating_points"):
        return None
    rows = {row["threshold"]: row for row in entry["operating_points"]}
    points = {threshold: [threshold, *(row[count] for count in COUNTS)] for threshold, row in rows.items()}
    first, second = (row["name"] for row in entry["per_class"])
    examples = [(ratio, points[choose_threshold(entry["operating_points"], ratio, 1)]) for ratio in RATIOS]
    return Explorer(first, second, chosen, chosen == "val", list(points.values()), examples)
