"""Precision, recall and F1 of each class and on average, with intervals, from the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate.evaluation.bootstrap import Resamples, percentiles
from striate.evaluation.intervals import sum_interval, wilson

METRICS = ("precision", "recall", "f1")
FEW_IMAGES = 10
"""A class with fewer labelled images is measured too roughly to be judged."""


@dataclass(frozen=True)
class ClassScores:
    """One metric of every class; a class whose denominator is zero stands at 0, its limits at 0 and 1.

    Attributes:
        value: float64 (K,).
        low: float64 (K,), lower limit from Wilson's interval.
        high: float64 (K,).
        drawn: float64 (B, K), the metric in each resample.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    drawn: np.ndarray

    @property
    def unmoved(self) -> np.ndarray:
        """Where every resample agrees, as nothing that varies was seen (all right, one image), bool (K,)."""
        same: np.ndarray = np.ptp(self.drawn, axis=0) < 1e-12
        return same


def class_scores(confusion: np.ndarray, draws: Resamples, level: float) -> dict[str, ClassScores]:
    """Return precision, recall and F1 of each class.

    Args:
        confusion: int64 (K, K); rows true, columns predicted.
        draws: resamples of the same images.
        level: of the limits.
    """
    correct, samples, named = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    limits = {
        "precision": _limits(correct, named, level),
        "recall": _limits(correct, samples, level),
        "f1": _f1_limits(correct, samples + named - correct, level),
    }
    values = _three(correct, samples, named)
    drawn = _three(draws.correct, draws.samples, draws.named)
    return {
        metric: ClassScores(values[metric], limits[metric][0], limits[metric][1], drawn[metric])
        for metric in METRICS
    }


def average_scores(scores: Mapping[str, ClassScores], draws: Resamples, level: float) -> dict[str, Any]:
    """Return each metric's mean over the classes that have images: plain (macro) and by their number."""
    present = draws.samples > 0
    weights = {"macro": present.astype(np.float64), "weighted": draws.samples}
    return {
        metric: {average: _average(each, weight, level) for average, weight in weights.items()}
        for metric, each in scores.items()
    }


def class_rows(
    names: Sequence[str],
    confusion: np.ndarray,
    scores: Mapping[str, ClassScores],
    areas: Sequence[Mapping[str, Any]],
    level: float,
) -> list[dict[str, Any]]:
    """Return the entry's `per_class`.

    Args:
        names: (K,).
        confusion: int64 (K, K).
        scores: of `class_scores`.
        areas: (K,) `roc_auc` and `average_precision` of each class.
        level: of the limits.
    """
    counts = confusion.sum(axis=1), confusion.sum(axis=0), np.diagonal(confusion)
    limits = {metric: (scores[metric].low, scores[metric].high) for metric in ("precision", "recall")}
    limits["f1"] = _f1_interval(scores["f1"], counts[0] < FEW_IMAGES, level)
    rows = []
    for index, (name, samples, predicted, correct) in enumerate(
        zip(names, *(count.tolist() for count in counts), strict=True)
    ):
        denominators = {"precision": predicted, "recall": samples, "f1": samples + predicted}
        row = {"name": name, "samples": samples, "predicted": predicted, "correct": correct}
        for metric, (lows, highs) in limits.items():
            row[metric] = estimate(scores[metric].value[index], lows[index], highs[index])
        row |= areas[index]
        row["few"] = samples < FEW_IMAGES
        row["undefined"] = [metric for metric, denominator in denominators.items() if denominator == 0]
        rows.append(row)
    return rows


def _f1_interval(f1: ClassScores, few: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The bootstrap's limits (K,) each, no narrower than Wilson's for `few` images; Wilson's if `unmoved`."""
    low, high = percentiles(f1.drawn, level)
    low = np.where(few, np.minimum(low, f1.low), low)
    high = np.where(few, np.maximum(high, f1.high), high)
    return np.where(f1.unmoved, f1.low, low), np.where(f1.unmoved, f1.high, high)


def estimate(value: float, low: float, high: float) -> dict[str, float]:
    """Return a share and its limits as plain numbers; the limits hold the share and stay within 0 and 1."""
    value = float(value)
    return {
        "value": value,
        "low": max(0.0, min(value, float(low))),
        "high": min(1.0, max(value, float(high))),
    }


def _average(each: ClassScores, weight: np.ndarray, level: float) -> dict[str, float]:
    """A mean with the percentile interval of its resamples.

    To that is added, by squares, how far the classes may be off whose resamples all agree: nothing that was
    never seen can be drawn, yet ten images out of ten named correctly do not make a class that never fails.
    """
    value = float(np.sum(each.value * weight) / weight.sum())  # divided last: a mean of ones is 1
    weight = weight / weight.sum()
    low, high = percentiles(each.drawn @ weight, level)
    unmoved = each.unmoved & (weight > 0)
    rest = float(np.sum((each.value * weight)[unmoved]))  # moves with the others' sum, which was resampled
    limits = sum_interval(
        np.append(each.value[unmoved], value - rest),
        np.append(each.low[unmoved], low - rest),
        np.append(each.high[unmoved], high - rest),
        np.append(weight[unmoved], 1.0),
    )
    return estimate(value, *limits)


def _three(correct: np.ndarray, samples: np.ndarray, named: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "precision": _divided(correct, named),
        "recall": _divided(correct, samples),
        "f1": _divided(2 * correct, samples + named),
    }


def _divided(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, 0 where both are."""
    part, whole = np.broadcast_arrays(part, whole)
    shares: np.ndarray = np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
    return shares


def _limits(successes: np.ndarray, n: np.ndarray, level: float) -> np.ndarray:
    """Wilson's limits, float64 (2, K)."""
    pairs = [wilson(*counts, level) for counts in zip(successes.tolist(), n.tolist(), strict=True)]
    return np.array(pairs).T


def _f1_limits(correct: np.ndarray, concerned: np.ndarray, level: float) -> np.ndarray:
    """Limits of F1, float64 (2, K).

    Of the images that are of a class or named so, the share q named correctly is a share as any other, and
    F1 is 2 q / (1 + q), which grows with q: Wilson's limits of q give those of F1.
    """
    share = _limits(correct, concerned, level)
    limits: np.ndarray = 2 * share / (1 + share)
    return limits
