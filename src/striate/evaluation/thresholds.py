"""Two classes: from which probability of the second class an image is named so, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from striate.errors import DataError, UserError
from striate.evaluation import bootstrap
from striate.evaluation.intervals import sum_interval, wilson
from striate.evaluation.labelled import labelled
from striate.schemas import Predictions

MOST_POINTS = 201
DEFAULT = 0.5


def operating_points(predictions: Predictions, most: int = MOST_POINTS) -> list[dict[str, Any]]:
    """Return what a range of thresholds would name rightly and wrongly; positive is the second class.

    An image is named positive where the probability of the second class is above the threshold, so that 0.5
    gives the predicted class itself. Thresholds lie between the probabilities that occur, all of them where
    these are few, else with about equally many between one and the next.

    Returns:
        At most `most` mappings with `threshold` (ascending; 0, 0.5 and 1 among them), `true_positive`,
        `false_positive`, `true_negative`, `false_negative`.

    Raises:
        DataError: not two classes, or as `labelled`.
    """
    known = _two(predictions)
    margin, positive = _margins(known), known.labels == 1
    cuts = _thresholds(margin, most)
    above = [_count_above(margin[kind], _logit(cuts)) for kind in (positive, ~positive)]
    positives, negatives = int(positive.sum()), int((~positive).sum())
    return [
        {
            "threshold": float(cut),
            "true_positive": int(right),
            "false_positive": int(wrong),
            "true_negative": negatives - int(wrong),
            "false_negative": positives - int(right),
        }
        for cut, right, wrong in zip(cuts, *above, strict=True)
    ]


def choose_threshold(
    points: Sequence[Mapping[str, Any]],
    miss_cost: float,
    false_alarm_cost: float,
    *,
    prevalence: float | None = None,
) -> float:
    """Return the threshold with the least expected cost among `points`.

    Choose it on the validation split and measure its cost on the test split (`measure`): on the images that
    chose it, it looks cheaper than it is. Among equally cheap ones it is the nearest to the threshold that
    would be best if the probabilities were right, `false_alarm_cost / (false_alarm_cost + miss_cost)`.
    Source of that: C. Elkan, The foundations of cost-sensitive learning, IJCAI 2001, equation 2.

    Args:
        points: `operating_points` of an entry of `metrics.json`.
        miss_cost: of an image of the second class that is named as the first; not negative.
        false_alarm_cost: of an image of the first class that is named as the second.
        prevalence: share of the second class where the network will be used; by default, as in `points`.

    Raises:
        UserError: costs or prevalence that make no sense; no points.
    """
    _check_costs(miss_cost, false_alarm_cost, prevalence)
    if not points:
        raise UserError("no operating points: expected those of a network with two classes.")
    costs = np.array([_cost(point, miss_cost, false_alarm_cost, prevalence) for point in points])
    ideal = false_alarm_cost / (false_alarm_cost + miss_cost)
    cheapest = [
        point["threshold"]
        for point, cost in zip(points, costs, strict=True)
        if cost <= costs.min() + 1e-12 * max(miss_cost, false_alarm_cost)
    ]
    return float(min(cheapest, key=lambda threshold: abs(threshold - ideal)))


def apply(predictions: Predictions, threshold: float) -> np.ndarray:
    """Return the class of each image, int64 (N,): 1 where its probability is above `threshold`, else 0.

    Raises:
        DataError: not two classes.
        UserError: a threshold that is not within [0, 1].
    """
    _check_two(predictions)
    if not 0 <= threshold <= 1:
        raise UserError(f"threshold is {threshold}; expected a probability, 0 to 1.")
    return (_margins(predictions) > _logit(np.array(threshold))).astype(np.int64)


def measure(
    predictions: Predictions,
    threshold: float,
    miss_cost: float,
    false_alarm_cost: float,
    *,
    prevalence: float | None = None,
    level: float = 0.95,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = bootstrap.SEED,
) -> dict[str, Any]:
    """Return what `threshold` costs on labelled images, with a stratified bootstrap interval.

    Where a class was named without one mistake, no resample holds one either; its part of the interval is
    then Wilson's.

    Args:
        predictions: of images that did not choose the threshold.
        threshold: of `choose_threshold`.
        miss_cost: of an image of the second class that is named as the first; not negative.
        false_alarm_cost: of an image of the first class that is named as the second.
        prevalence: share of the second class where the network will be used; by default, as here.
        level: of the interval.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        `threshold`, `samples`, the four counts, `misses` and `false_alarms` (share of their class,
        None for a class without images), and `cost`: `value`, `low`, `high` per image.

    Raises:
        UserError: costs, threshold or prevalence that make no sense.
        DataError: not two classes, or as `labelled`.
    """
    _check_costs(miss_cost, false_alarm_cost, prevalence)
    known = _two(predictions)
    named, positive = apply(known, threshold) == 1, known.labels == 1
    point = {
        "threshold": float(threshold),
        "true_positive": int(np.count_nonzero(named & positive)),
        "false_positive": int(np.count_nonzero(named & ~positive)),
        "true_negative": int(np.count_nonzero(~named & ~positive)),
        "false_negative": int(np.count_nonzero(~named & positive)),
    }
    errors = _errors(point)
    shares = np.array(_shares(point, prevalence)) * (miss_cost, false_alarm_cost)
    return {
        **point,
        "samples": len(known.labels),
        "misses": _rate(*errors[0], level),
        "false_alarms": _rate(*errors[1], level),
        "cost": _cost_interval(shares, np.array(errors), level, resamples, seed),
    }


def _cost_interval(
    shares: np.ndarray, errors: np.ndarray, level: float, resamples: int, seed: int
) -> dict[str, float]:
    """Cost an image: `shares` (2,) times each class's rate of errors; `errors`: (2, 2), count and size."""
    wrong, size = errors[:, 0], np.maximum(errors[:, 1], 1)
    rates = wrong / size
    drawn = np.random.default_rng(seed).binomial(size, rates, (resamples, 2)) / size @ shares
    low, high = bootstrap.percentiles(drawn, level)
    value = float(shares @ rates)
    limits = np.array([wilson(wrong, size, level) for wrong, size in errors.tolist()])
    unmoved = (wrong == 0) | (wrong == errors[:, 1])
    rest = float(shares[unmoved] @ rates[unmoved])
    ends = sum_interval(
        np.append(rates[unmoved], value - rest),
        np.append(limits[unmoved, 0], float(low) - rest),
        np.append(limits[unmoved, 1], float(high) - rest),
        np.append(shares[unmoved], 1.0),
    )
    return {"value": value, "low": max(0.0, ends[0]), "high": min(float(shares.sum()), ends[1])}


def _errors(point: Mapping[str, Any]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Misses and images of the second class; false alarms and images of the first."""
    misses, alarms = int(point["false_negative"]), int(point["false_positive"])
    return (misses, misses + int(point["true_positive"])), (alarms, alarms + int(point["true_negative"]))


def _shares(point: Mapping[str, Any], prevalence: float | None) -> tuple[float, float]:
    """Share of the second class and of the first; a class that is to be expected must have been measured."""
    (_, positives), (_, negatives) = _errors(point)
    if prevalence is None:
        prevalence = positives / (positives + negatives)
    for share, size, name in ((prevalence, positives, "second"), (1 - prevalence, negatives, "first")):
        if share and not size:
            raise DataError(f"no labelled image of the {name} class: its mistakes cannot be measured.")
    return prevalence, 1 - prevalence


def _cost(point: Mapping[str, Any], miss: float, alarm: float, prevalence: float | None) -> float:
    rates = [wrong / max(1, size) for wrong, size in _errors(point)]
    second, first = _shares(point, prevalence)
    return second * miss * rates[0] + first * alarm * rates[1]


def _rate(wrong: int, size: int, level: float) -> dict[str, float] | None:
    if not size:
        return None
    low, high = wilson(wrong, size, level)
    return {"value": wrong / size, "low": low, "high": high}


def _margins(predictions: Predictions) -> np.ndarray:
    """Logarithm of p / (1 - p), p the probability of the second class: it does not round to 0 or 1."""
    logits = predictions.logits.astype(np.float64)
    margins: np.ndarray = logits[:, 1] - logits[:, 0]
    return margins


def _count_above(margins: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """How many of `margins` are above each of `cuts`."""
    count: np.ndarray = len(margins) - np.searchsorted(np.sort(margins), cuts, "right")
    return count


def _logit(probabilities: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        logits: np.ndarray = np.log(probabilities) - np.log1p(-probabilities)
    return logits


def _thresholds(margins: np.ndarray, most: int) -> np.ndarray:
    """Ascending probabilities: 0, 0.5, 1, and as many between neighbouring ones of the images as fit."""
    distinct = np.unique(1 / (1 + np.exp(-np.clip(margins, -700, 700))))
    between = (distinct[1:] + distinct[:-1]) / 2
    room = most - 3
    if len(between) > room:
        between = between[np.linspace(0, len(between) - 1, room).round().astype(int)]
    return np.unique(np.concatenate([between, [0.0, DEFAULT, 1.0]]))


def _check_costs(miss_cost: float, false_alarm_cost: float, prevalence: float | None) -> None:
    for name, cost in (("miss_cost", miss_cost), ("false_alarm_cost", false_alarm_cost)):
        if not (math.isfinite(cost) and cost >= 0):
            raise UserError(f"{name} is {cost}; expected a number that is not negative.")
    if not miss_cost and not false_alarm_cost:
        raise UserError("miss_cost and false_alarm_cost are both 0: then every threshold is as good.")
    if prevalence is not None and not 0 <= prevalence <= 1:
        raise UserError(f"prevalence is {prevalence}; expected the share of the second class, 0 to 1.")


def _two(predictions: Predictions) -> Predictions:
    _check_two(predictions)
    return labelled(predictions)


def _check_two(predictions: Predictions) -> None:
    classes = len(predictions.class_names)
    if classes != 2:
        raise DataError(f"a threshold divides two classes; these predictions have {classes}.")
