"""How accurate networks stay while images are distorted more and more, and which of them stays so longer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from striate.evaluation.intervals import LEVEL, wilson
from striate.evaluation.pairs import SIGNIFICANCE, holm
from striate.evaluation.study.comparison import NOT_DISTINGUISHABLE
from striate.evaluation.study.exchange import adjusted_mean, exchange_test
from striate.evaluation.wording import percent

FORMAT = 1
TELLING = 0.05
"""From such a difference of accuracy on images as they are, losses alone are no fair comparison."""


@dataclass(frozen=True)
class Course:
    """What M models answered under one distortion.

    Attributes:
        name: of the distortion.
        unit: of its levels.
        levels: (L,), in the order in which they are drawn.
        neutral: the level that changes nothing.
        correct: bool (M, L, n), whether each image is named correctly at each level.
    """

    name: str
    unit: str
    levels: tuple[float, ...]
    neutral: float
    correct: np.ndarray

    @property
    def losses(self) -> np.ndarray:
        """What each image loses, averaged over the levels that change it, float64 (M, n): -1 to 1."""
        at = self.levels.index(self.neutral)
        distorted = np.delete(self.correct, at, axis=1).mean(axis=1)
        lost: np.ndarray = self.correct[:, at].astype(np.float64) - distorted
        return lost


def describe(names: Sequence[str], courses: Sequence[Course], level: float = LEVEL) -> dict[str, Any]:
    """Return what `robustness.json` holds.

    Of each distortion: accuracy at every level (Wilson's intervals); the accuracy that each model loses on
    average over the levels; and for each pair which loses less, by the randomisation test on the same images,
    adjusted by Holm's method for all pairs and distortions.

    Args:
        names: of the models, (M,).
        courses: one or more, of the same images.
        level: of the intervals.
    """
    described = [_course(names, course, level) for course in courses]
    rows = [row for course in described for row in course["pairs"]]
    for row, p_adjusted in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_adjusted"] = p_adjusted
        row["verdict"] = _verdict(row["difference"], p_adjusted)
    return {
        "format": FORMAT,
        "level": level,
        "models": list(names),
        "samples": int(courses[0].correct.shape[2]),
        "distortions": described,
    }


def sentences(result: Mapping[str, Any]) -> list[str]:
    """Return what was found of each pair of models, one sentence each."""
    names = result["models"]
    told = []
    for first, second in combinations(range(len(names)), 2):
        rows = {
            course["name"]: row
            for course in result["distortions"]
            for row in course["pairs"]
            if (row["first"], row["second"]) == (first, second)
        }
        told.append(_sentence(names[first], names[second], rows))
    return told


def remarks(result: Mapping[str, Any]) -> list[str]:
    """Return what must be known to judge the findings."""
    curves = result["distortions"][0]["curves"]
    neutral = result["distortions"][0]["neutral"]
    clean = [
        next(point["value"] for point in curve["points"] if point["level"] == neutral) for curve in curves
    ]
    best, worst = max(clean), min(clean)
    if best - worst < TELLING:
        return []
    names = result["models"][clean.index(best)], result["models"][clean.index(worst)]
    return [
        f"Images as they are '{names[0]}' names correctly {percent(best)} of the time, '{names[1]}' "
        f"{percent(worst)}. Who has less to lose loses less: read the curves, not the losses alone."
    ]


def _sentence(first: str, second: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    less = [name for name, row in rows.items() if row["verdict"] == "loses less"]
    more = [name for name, row in rows.items() if row["verdict"] == "loses more"]
    same = [name for name, row in rows.items() if row["verdict"] == NOT_DISTINGUISHABLE]
    parts = [
        f"{verb} under {listed(names)}"
        for verb, names in (
            (f"loses less than '{second}'", less),
            (f"loses more than '{second}'", more),
            (f"is not distinguishable from '{second}'", same),
        )
        if names
    ]
    return f"'{first}' {'; '.join(parts)}."


def _course(names: Sequence[str], course: Course, level: float) -> dict[str, Any]:
    samples = course.correct.shape[2]
    steps = len(course.levels) - 1
    curves = []
    for name, correct, losses in zip(names, course.correct, course.losses, strict=True):
        counts = correct.sum(axis=1).tolist()
        limits = [wilson(count, samples, level) for count in counts]
        curves.append(
            {
                "model": name,
                "points": [
                    {"level": at, "value": count / samples, "low": low, "high": high}
                    for at, count, (low, high) in zip(course.levels, counts, limits, strict=True)
                ],
                "loss": _mean(losses, level),
            }
        )
    return {
        "name": course.name,
        "unit": course.unit,
        "neutral": course.neutral,
        "curves": curves,
        "pairs": [_pair(course.losses, steps, pair, level) for pair in combinations(range(len(names)), 2)],
    }


def _pair(losses: np.ndarray, steps: int, pair: tuple[int, int], level: float) -> dict[str, Any]:
    """How much more the first loses than the second, over the same images."""
    first, second = pair
    differences = losses[first] - losses[second]
    found = _mean(differences, level)
    return {
        "first": first,
        "second": second,
        "difference": found["value"],
        "low": found["low"],
        "high": found["high"],
        "p_value": exchange_test([np.rint(differences * steps).astype(np.int64)]),
    }


def _mean(values: np.ndarray, level: float) -> dict[str, float]:
    mean = float(values.mean())
    error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
    _, low, high = adjusted_mean(values, level)
    return {"value": mean, "low": min(low, mean), "high": max(high, mean), "error": error}


def _verdict(difference: float, p_adjusted: float) -> str:
    if p_adjusted >= SIGNIFICANCE or not difference:
        return NOT_DISTINGUISHABLE
    return "loses less" if difference < 0 else "loses more"


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them: `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
