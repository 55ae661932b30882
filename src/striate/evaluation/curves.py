"""One-against-rest ROC and precision-recall curves as tidy tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from striate.evaluation.labelled import labelled, scores
from striate.evaluation.ranking import columns
from striate.schemas import Predictions, guard

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

CURVE_COLUMNS = ("class", "curve", "threshold", "x", "y")
MOST_CLASSES = 50
"""With more classes, only those with the smallest area under the ROC curve have curves."""
MOST_POINTS = 200
"""Points of one curve at most."""


def curves_table(predictions: Predictions, entry: Mapping[str, Any]) -> pd.DataFrame:
    """Return both curves of each class (at most 50) for `curves-<split>.csv`; names are guarded.

    Args:
        predictions: the logits and labels that `entry` was computed from.
        entry: its metrics, which say which classes have the smallest areas.

    Returns:
        `class`, `curve` ("roc" or "pr"), `threshold` (an image counts as of the class
        where its probability is at least this; infinite at a curve's beginning), `x` and `y`: for "roc" share
        of the other images named so and share of the class found, for "pr" share of the class found and
        share that is right of those named so.

    Raises:
        DataError: as `labelled`.
    """
    import pandas as pd

    known = labelled(predictions)
    each = scores(known)
    parts = []
    for label, probability in columns(known, each, chosen_classes(entry)):
        positive = each.labels == label
        for curve, points in (
            ("roc", roc_curve(probability, positive)),
            ("pr", pr_curve(probability, positive)),
        ):
            parts.append(_rows(known.class_names[label], curve, points))
    empty = pd.DataFrame(columns=list(CURVE_COLUMNS))
    return pd.concat(parts, ignore_index=True) if parts else empty


def chosen_classes(entry: Mapping[str, Any], most: int = MOST_CLASSES) -> np.ndarray:
    """Return the positions of the classes whose curves are shown, int64, ascending.

    Those that have an area, and of more than `most` the ones with the smallest.
    """
    areas = [
        (row["roc_auc"]["value"], index) for index, row in enumerate(entry["per_class"]) if row["roc_auc"]
    ]
    return np.array(sorted(index for _, index in sorted(areas)[:most]), np.int64)


def roc_curve(probability: np.ndarray, positive: np.ndarray, most: int = MOST_POINTS) -> np.ndarray:
    """Return (threshold, share of negatives, share of positives) at or above it, float64 (P, 3).

    Points on a straight line between others are left out; of what remains
    above `most` those are kept that are about equally far apart along the curve.

    Args:
        probability: float (n,).
        positive: bool (n,), with both values in it.
        most: number of points at most.
    """
    thresholds, right, wrong = _counts(probability, positive)
    x = np.concatenate([[0.0], wrong / wrong[-1]])
    y = np.concatenate([[0.0], right / right[-1]])
    points = np.stack([np.concatenate([[np.inf], thresholds]), x, y], axis=1)
    corner = np.ones(len(points), bool)
    corner[1:-1] = np.diff(x)[:-1] * np.diff(y)[1:] != np.diff(y)[:-1] * np.diff(x)[1:]
    points = points[corner]
    return _thinned(points, points[:, 1] + points[:, 2], most)


def pr_curve(probability: np.ndarray, positive: np.ndarray, most: int = MOST_POINTS) -> np.ndarray:
    """Return (threshold, recall, precision) of what is at or above it, float64 (P, 3); recall ascends.

    A point stands where recall grows, so that the sum of `precision * growth` is the average precision; of
    more than `most` those are kept that are about equally far apart in recall. It begins at recall 0 with
    precision 1, as in scikit-learn's `precision_recall_curve`.

    Args:
        probability: float (n,).
        positive: bool (n,), with both values in it.
        most: number of points at most.
    """
    thresholds, right, wrong = _counts(probability, positive)
    grows = np.diff(right, prepend=0) > 0
    thresholds, right, wrong = thresholds[grows], right[grows], wrong[grows]
    points = np.stack([thresholds, right / right[-1], right / (right + wrong)], axis=1)
    points = np.concatenate([[[np.inf, 0.0, 1.0]], points])
    return _thinned(points, points[:, 1], most)


def _counts(probability: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct probabilities, descending, and how many positives and negatives are at or above each."""
    order = np.argsort(-probability, kind="stable")
    ranked, truth = probability[order], positive[order]
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    right = np.cumsum(truth)[last]
    return ranked[last], right, last + 1 - right


def _thinned(points: np.ndarray, along: np.ndarray, most: int) -> np.ndarray:
    """Keep at most `most` points, the first and last too, at about equal steps of `along` (ascending)."""
    if len(points) <= most:
        return points
    wanted = np.linspace(along[0], along[-1], most)
    kept = np.unique(np.searchsorted(along, wanted).clip(0, len(points) - 1))
    kept[0], kept[-1] = 0, len(points) - 1
    fewer: np.ndarray = points[kept]
    return fewer


def _rows(name: str, curve: str, points: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame(points, columns=list(CURVE_COLUMNS[2:]))
    table.insert(0, "class", guard(name))
    table.insert(1, "curve", curve)
    return table
