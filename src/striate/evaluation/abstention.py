"""What comes of leaving uncertain images to a person: how many are answered, and how many of them rightly."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from striate.errors import UserError
from striate.evaluation.labelled import Scores

MOST_POINTS = 200
LEVELS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
"""Thresholds that are always among the points; the report lists them."""


def answered_points(scores: Scores, most: int = MOST_POINTS) -> list[dict[str, Any]]:
    """Return how many images have at least a range of probabilities, and how many of them are named rightly.

    Thresholds are the probabilities of the predicted classes themselves, all of them where these are few,
    else with about equally many images between one and the next; and `LEVELS`.

    Returns:
        At most `most` and `LEVELS` mappings with `threshold` (ascending, the first 0), `answered`, `correct`.
    """
    order = np.argsort(scores.confidence, kind="stable")
    confidence = scores.confidence[order]
    right = np.concatenate([[0], np.cumsum(scores.correct[order])])  # right[i]: among the i least certain
    distinct = np.unique(confidence)
    if len(distinct) > most:
        places = np.linspace(0, len(confidence) - 1, most).round().astype(int)
        distinct = np.unique(confidence[places])
    thresholds = np.unique(np.concatenate([distinct, LEVELS]))
    below = np.searchsorted(confidence, thresholds)
    return [
        {
            "threshold": float(threshold),
            "answered": len(confidence) - int(start),
            "correct": int(right[-1] - right[start]),
        }
        for threshold, start in zip(thresholds, below, strict=True)
    ]


def at_least(points: Sequence[Mapping[str, Any]], threshold: float) -> Mapping[str, Any] | None:
    """Return the first of `points` at `threshold` or above it; None where no image is as certain."""
    return next((point for point in points if point["threshold"] >= threshold and point["answered"]), None)


def points_of(entry: Any) -> Sequence[Mapping[str, Any]]:
    """Return the points of a split's metrics, ascending; none where it has none, or where any cannot be.

    Args:
        entry: from a bundle, which another program may have written: anything that JSON can hold.
    """
    if not isinstance(entry, Mapping) or not isinstance(entry.get("answered"), list):
        return ()
    points = entry["answered"]
    return points if all(_is_point(point, entry.get("samples")) for point in points) else ()


def _is_point(point: Any, samples: Any) -> bool:
    """Whether this is a threshold with counts of which none is larger than the one before."""
    if not isinstance(point, Mapping) or not _is_number(point.get("threshold"), int | float):
        return False
    counts: tuple[Any, ...] = (samples, point.get("answered"), point.get("correct"), 0)
    if not all(_is_number(count, int) for count in counts):
        return False
    return all(larger >= smaller for larger, smaller in itertools.pairwise(counts))


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def check_threshold(threshold: float) -> float:
    """Return the probability below which an image is left to a person.

    Raises:
        UserError: it is no number from 0 to 1.
    """
    try:
        fits = 0 <= threshold <= 1
    except TypeError:  # no number
        fits = False
    if not fits:
        raise UserError(
            f"abstain is {threshold!r}: expected a probability, 0 (answer always) to 1, as in --abstain 0.9."
        )
    return float(threshold)
