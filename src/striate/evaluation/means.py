"""Log loss, Brier score and calibration: means over images, with intervals."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from striate.evaluation.bootstrap import percentiles, skewed_limits
from striate.evaluation.calibration import chance_error, expected_error, expected_excess, gaps, reliability
from striate.evaluation.labelled import Scores


def columns(scores: Scores) -> np.ndarray:
    """Return float64 (n, 17), what `mean_scores` needs the sums of: log loss, Brier score, 15 gaps."""
    return np.column_stack([scores.log_loss, scores.brier, gaps(scores)])


def mean_scores(scores: Scores, sums: np.ndarray, classes: int, level: float) -> dict[str, Any]:
    """Return `log_loss`, `brier`, `calibration` and, for two classes, `squared_error` of `metrics.json`.

    Args:
        scores: of n labelled images.
        sums: float64 (B, 17), of their `columns`, in each of B resamples.
        classes: K.
        level: of the intervals.
    """
    found: dict[str, Any] = {
        "log_loss": _mean(scores.log_loss, sums[:, 0], scores, level, None),
        "brier": _mean(scores.brier, sums[:, 1], scores, level, 2.0),
    }
    if classes == 2:  # both classes are off by the same p - y
        found["squared_error"] = {name: value / 2 for name, value in found["brier"].items()}
    bins = reliability(scores, level)
    found["calibration"] = {"ece": _calibration_error(scores, sums[:, 2:], bins, level), "bins": bins}
    return found


def _calibration_error(
    scores: Scores, sums: np.ndarray, bins: list[dict[str, Any]], level: float
) -> dict[str, float | None]:
    """The error, its resamples brought to the same mean, and below its excess taken off (all, if by chance).

    Added by squares: bins that are all right, or all wrong, by Wilson's limits of what was never seen there.
    """
    n, each = len(scores.labels), gaps(scores)
    error = float(expected_error(each.sum(axis=0), n))
    drawn = expected_error(sums, n)
    low, high = percentiles(drawn - drawn.mean() + error, level)
    by_chance = error <= chance_error(sums, n, (1 + level) / 2)
    excess = error if by_chance else expected_excess(each.sum(axis=0), sums, n)
    uniform = [
        row["samples"] / n * (row["accuracy_high"] - row["accuracy_low"])
        for row in bins
        if row["accuracy"] in (0, 1)
    ]
    hidden = math.hypot(_deviation_of_singles(each.sum(axis=1), scores, level), *uniform)
    return _interval(error, (float(low) - excess, float(high)), hidden, 1.0, certain=n > 1)


def _mean(
    values: np.ndarray, sums: np.ndarray, scores: Scores, level: float, most: float | None
) -> dict[str, float | None]:
    n = len(values)
    alone = _deviation_of_singles(values, scores, level)
    limits = skewed_limits(float(values.mean()), sums / n, level)
    return _interval(float(values.mean()), limits, alone, most, certain=n > 1)


def _interval(
    value: float, drawn: tuple[float, float], alone: float, most: float | None, *, certain: bool
) -> dict[str, float | None]:
    """The limits `drawn` and, added by squares, what classes of one image contribute.

    A single image (not `certain`) tells nothing of others: the interval is all that is possible, and open
    (None) where nothing bounds it.
    """
    if not certain:
        return {"value": value, "low": 0.0, "high": most}
    low = value - math.hypot(max(0.0, value - drawn[0]), alone)
    high = value + math.hypot(max(0.0, drawn[1] - value), alone)
    return {"value": value, "low": max(0.0, low), "high": high if most is None else min(most, high)}


def _deviation_of_singles(values: np.ndarray, scores: Scores, level: float) -> float:
    """How far classes of one image may move a mean, which no resample of them shows.

    They are taken to vary as all images together do (collapsed strata, on the safe side).
    """
    alone = int(np.count_nonzero(np.bincount(scores.labels) == 1))
    if not alone or len(values) < 2:
        return 0.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    return float(z * np.std(values, ddof=1) * np.sqrt(alone) / len(values))
