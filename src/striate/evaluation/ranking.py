"""How well probabilities rank images: areas under one-against-rest ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate.evaluation.intervals import roc_area, sum_interval, wilson
from striate.evaluation.labelled import Scores
from striate.schemas import Predictions

_BLOCK_NUMBERS = 2_000_000  # probabilities turned class by class at once


@dataclass(frozen=True)
class Areas:
    """Areas of the classes that have images and are not all images there are, in their order.

    Attributes:
        classes: int64 (C,), positions of these classes.
        positives: int64 (C,), images of each.
        negatives: int64 (C,), images of all others.
        roc: float64 (C,), area under the ROC curve.
        precision: float64 (C,), average precision.
        excess: float64 (C,), by how much average precision is too large on average, from its halves;
            NaN for a class of one image.
        correlation: for "macro" and "weighted", variance of the mean area over what it would be if
            the classes' areas were independent; they are not, as every image counts for each.
    """

    classes: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray
    roc: np.ndarray
    precision: np.ndarray
    excess: np.ndarray
    correlation: dict[str, float]


def one_against_rest(known: Predictions, scores: Scores) -> Areas:
    """Return the areas of every class against all others, ranked by its probability.

    They equal scikit-learn's `roc_auc_score(labels == k, probabilities[:, k])` and `average_precision_score`
    of the same. How an area varies, and with the others, follows from how each image takes part in it:
    E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, Comparing the areas under two or more correlated
    receiver operating characteristic curves, Biometrics 44 (1988) 837-845.
    """
    sizes = np.bincount(scores.labels, minlength=len(known.class_names))
    n = len(scores.labels)
    classes = np.flatnonzero((sizes > 0) & (sizes < n))
    shares = {"macro": np.full(len(classes), 1 / max(1, len(classes)))}
    shares["weighted"] = sizes[classes] / max(1, sizes[classes].sum())
    parts = {average: np.zeros(n) for average in shares}
    independent = dict.fromkeys(shares, 0.0)
    roc, precision, excess = (np.empty(len(classes)) for _ in range(3))
    halves = _halves(scores.labels)
    for position, (label, probability) in enumerate(columns(known, scores, classes)):
        positive = scores.labels == label
        roc[position], precision[position], part = _areas(probability, positive)
        excess[position] = _excess(precision[position], probability, positive, halves)
        variance = _stratified_variance(part, scores.labels, sizes)
        for average, share in shares.items():
            parts[average] += share[position] * part
            independent[average] += share[position] ** 2 * variance
    correlation = {
        average: _stratified_variance(part, scores.labels, sizes) / independent[average]
        if independent[average] > 0
        else 1.0
        for average, part in parts.items()
    }
    return Areas(classes, sizes[classes], n - sizes[classes], roc, precision, excess, correlation)


def columns(known: Predictions, scores: Scores, classes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each of `classes` with its probability for every image, float64 (n,)."""
    width = max(1, _BLOCK_NUMBERS // max(1, len(scores.labels)))
    for start in range(0, len(classes), width):
        block = classes[start : start + width]
        probabilities = known.logits[:, block].T.astype(np.float64)  # (classes of the block, n)
        probabilities -= scores.peak
        np.exp(probabilities, out=probabilities)
        probabilities /= scores.mass
        yield from zip(block.tolist(), probabilities, strict=True)


def entries(areas: Areas, classes: int, level: float) -> dict[str, Any]:
    """Return `roc_auc` and `average_precision` of `metrics.json`, on average and of each class.

    Returns:
        For both names the averages (None without any area); under `per_class`, for each of the K classes, a
        mapping of both names to an area with its interval or None.
    """
    intervals = {
        "roc_auc": (areas.roc, *roc_area(areas.roc, areas.positives, areas.negatives, level), 0.0),
        "average_precision": (areas.precision, *_precision_limits(areas, level), areas.excess),
    }
    per_class: list[dict[str, Any]] = [dict.fromkeys(intervals) for _ in range(classes)]
    found: dict[str, Any] = {"per_class": per_class}
    for name, (values, low, high, excess) in intervals.items():
        for row, label in enumerate(areas.classes.tolist()):
            per_class[label][name] = _estimate(values[row], low[row], high[row])
        found[name] = None
        if len(values):
            averages = _averages(areas, values, low, high, np.where(np.isnan(excess), values - low, excess))
            second = per_class[-1][name]
            found[name] = averages if classes > 2 else {"macro": second, "weighted": dict(second)}
    return found


def _averages(
    areas: Areas, values: np.ndarray, low: np.ndarray, high: np.ndarray, excess: np.ndarray
) -> dict[str, Any]:
    """Plain and weighted mean over the classes; the mean of many keeps the excess of each."""
    weights = {"macro": np.ones(len(values)), "weighted": areas.positives.astype(np.float64)}
    averages = {}
    for average, weight in weights.items():
        shares, value = weight / weight.sum(), float(np.sum(weight * values) / weight.sum())
        limits = sum_interval(values, low, high, shares, areas.correlation[average])
        common = max(0.0, float(np.sum(shares * excess)))
        averages[average] = _estimate(value, limits[0] - common, limits[1])
    return averages


def _estimate(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": float(value), "low": max(0.0, float(low)), "high": min(1.0, float(high))}


def _precision_limits(areas: Areas, level: float) -> np.ndarray:
    """Limits of average precision, float64 (2, C): those of a share of as many images as are positive.

    Source: K. Boyd, K. H. Eng and C. D. Page, Area under the precision-recall curve: point estimates and
    confidence intervals, ECML PKDD 2013, LNCS 8190, 451-466 (binomial interval), with Wilson's limits.
    """
    limits = [
        wilson(precision * positives, positives, level)
        for precision, positives in zip(areas.precision.tolist(), areas.positives.tolist(), strict=True)
    ]
    return np.array(limits).reshape(-1, 2).T


def _areas(probability: np.ndarray, positive: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Area under the ROC curve, average precision, and each image's part in the first, float64 (n,).

    An image's part is the share of the images of the other kind with which it is in order, divided by the
    number of its own kind: what remains of it beside its class's mean is the image's influence on the area.
    """
    ranked = np.sort(probability[positive])
    others = probability[~positive]
    m, n = len(ranked), len(others)
    below = np.searchsorted(ranked, others)  # positives with a smaller probability
    upto = _searchsorted_right(ranked, others, below)  # ... or an equal one
    beaten = np.bincount(upto, minlength=m + 1).cumsum()[:m]  # by the i-th positive: others strictly below it
    met = np.bincount(below, minlength=m + 1).cumsum()[:m]  # ... or level with it
    part = np.empty(len(probability))
    part[~positive] = (m - (below + upto) / 2) / (m * n)
    places = np.searchsorted(ranked, probability[positive])
    inside = ((beaten + met) / 2)[places]  # others below each positive, those level with it by half
    part[positive] = inside / (m * n)
    named = m - np.searchsorted(ranked, ranked)  # positives at least as probable as each
    precision = float(np.mean(named / (named + n - beaten)))
    return float(inside.sum() / (m * n)), precision, part


def _halves(labels: np.ndarray) -> np.ndarray:
    """Divide the images of each class into two halves, one by one: bool (n,)."""
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    place = np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    halves: np.ndarray = place % 2 == 0
    return halves


def _excess(precision: float, probability: np.ndarray, positive: np.ndarray, halves: np.ndarray) -> float:
    """By how much an average precision is too large: half as many images have twice the excess.

    Source: M. H. Quenouille, Approximate tests of correlation in time-series, Journal of the Royal
    Statistical Society B 11 (1949) 68-84 (bias from two halves).
    """
    if np.count_nonzero(positive) < 2:
        return float("nan")
    parts = [_average_precision(probability[half], positive[half]) for half in (halves, ~halves)]
    return sum(parts) / 2 - precision


def _average_precision(probability: np.ndarray, positive: np.ndarray) -> float:
    """Mean over the positives of the share of positives among all that are as probable as they."""
    ranked, others = np.sort(probability[positive]), probability[~positive]
    upto = np.searchsorted(ranked, others, "right")
    beaten = np.bincount(upto, minlength=len(ranked) + 1).cumsum()[: len(ranked)]
    named = len(ranked) - np.searchsorted(ranked, ranked)
    return float(np.mean(named / (named + len(others) - beaten)))


def _searchsorted_right(ranked: np.ndarray, values: np.ndarray, left: np.ndarray) -> np.ndarray:
    """`np.searchsorted(ranked, values, "right")`, quick where few values occur in `ranked`."""
    right = left.copy()
    equal = ranked[np.minimum(left, len(ranked) - 1)] == values
    right[equal] = np.searchsorted(ranked, values[equal], "right")
    return right


def _stratified_variance(part: np.ndarray, labels: np.ndarray, sizes: np.ndarray) -> float:
    """Variance of a sum of `part` over new images of the same classes; a class of one image adds nothing."""
    several = sizes > 1
    mean = np.bincount(labels, part, len(sizes)) / np.maximum(sizes, 1)
    squares = np.bincount(labels, (part - mean[labels]) ** 2, len(sizes))
    return float(np.sum(squares[several] * sizes[several] / (sizes[several] - 1)))
