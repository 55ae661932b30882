"""One split's entry of `metrics.json`, computed from saved logits alone; `docs/metrics.md` describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from striate.evaluation import abstention, bootstrap, ranking, thresholds
from striate.evaluation.counts import average_scores, class_rows, class_scores
from striate.evaluation.intervals import LEVEL, wilson
from striate.evaluation.labelled import Scores, chunks, labelled, scores
from striate.evaluation.means import columns, mean_scores
from striate.evaluation.pairs import confused_pairs
from striate.schemas import Predictions

__all__ = ["DENSE_CLASSES", "FORMAT", "LEVEL", "chunks", "compute_metrics", "confusion_matrix"]

FORMAT = 2
"""Version of the entry; entries without `format` come from before there were versions."""
DENSE_CLASSES = 100
"""With more classes, the confusion matrix is stored as its non-zero cells."""
TOP = (2, 3, 5)


def compute_metrics(
    predictions: Predictions,
    *,
    temperature: float = 1.0,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = bootstrap.SEED,
) -> dict[str, Any]:
    """Return the metrics of the labelled images, ready for JSON (see `docs/metrics.md`).

    What scikit-learn computes too equals it: precision, recall and F1 its
    `precision_recall_fscore_support` with `labels` = the classes that have at least one image here, and
    `zero_division=0`.

    Args:
        predictions: of any split, logits as the network put them out; images without a known label do not
            count.
        temperature: what logits are divided by. Every number is that of the probabilities so made; what they
            were before stands under `calibration`.
        resamples: how often the bootstrap draws test images; fewer where they are more than 100,000.
        seed: of these draws; the same predictions and seed give the same entry.

    Raises:
        DataError: shapes that do not fit one another, logits that are not finite, labels out of range, or
            no labelled image at all.
    """
    raw = labelled(predictions)
    known = raw.at_temperature(temperature)
    names = known.class_names
    each = scores(known)
    stages = [each] if known is raw else [each, scores(raw)]
    confusion = _confusion(each, len(names))
    samples, correct = len(each.labels), int(np.trace(confusion))
    summed = np.hstack([columns(stage) for stage in stages])
    draws = bootstrap.draw(each, len(names), summed, resamples=resamples, seed=seed)
    areas = ranking.entries(ranking.one_against_rest(known, each), len(names), LEVEL)
    per_class = class_scores(confusion, draws, LEVEL)
    averages = average_scores(per_class, draws, LEVEL)
    rows = class_rows(names, confusion, per_class, areas["per_class"], LEVEL)
    return {
        "format": FORMAT,
        "samples": samples,
        "unlabelled": len(predictions.labels) - samples,
        "correct": correct,
        "level": LEVEL,
        "accuracy": _share(correct, samples),
        "balanced_accuracy": dict(averages["recall"]["macro"]),
        "top_k": _top(each, len(names)),
        **averages,
        "roc_auc": areas["roc_auc"],
        "average_precision": areas["average_precision"],
        **_mean_scores(stages, draws.sums, len(names), temperature),
        "most_frequent": _most_frequent(rows, samples),
        "absent_classes": [row["name"] for row in rows if row["samples"] == 0],
        "per_class": rows,
        "confused_pairs": confused_pairs(confusion, names),
        "answered": abstention.answered_points(each),
        **_stored_confusion(confusion),
        **({"operating_points": thresholds.operating_points(known)} if len(names) == 2 else {}),
        "bootstrap": {"resamples": len(draws), "seed": seed, "method": bootstrap.METHOD},
    }


def confusion_matrix(entry: Mapping[str, Any]) -> np.ndarray:
    """Return the counts of an entry of `metrics.json`, int64 (K, K): rows true, columns predicted classes."""
    if "confusion" in entry:
        return np.asarray(entry["confusion"], np.int64)
    confusion = np.zeros((len(entry["per_class"]),) * 2, np.int64)
    cells = np.asarray(entry["confusion_cells"], np.int64).reshape(-1, 3)
    confusion[cells[:, 0], cells[:, 1]] = cells[:, 2]
    return confusion


def _confusion(each: Scores, classes: int) -> np.ndarray:
    """int64 (K, K): rows true, columns predicted."""
    cells = each.labels * classes + each.predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _mean_scores(
    stages: Sequence[Scores], sums: np.ndarray, classes: int, temperature: float
) -> dict[str, Any]:
    """Scores of the probabilities, and under `calibration` what they were before the temperature."""
    width = sums.shape[1] // len(stages)
    found, *before = (
        mean_scores(stage, sums[:, place * width : (place + 1) * width], classes, LEVEL)
        for place, stage in enumerate(stages)
    )
    found["calibration"]["temperature"] = temperature
    for scored in before:
        found["calibration"]["before"] = {
            "log_loss": scored["log_loss"],
            "brier": scored["brier"],
            **scored["calibration"],
        }
    return found


def _share(successes: int, n: int) -> dict[str, float]:
    low, high = wilson(successes, n, LEVEL)
    return {"value": successes / n if n else 0.0, "low": low, "high": high}


def _top(each: Scores, classes: int) -> dict[str, dict[str, float]]:
    """Map k to the share of images whose true class is among the k most probable ones."""
    n = len(each.rank)
    return {str(k): _share(int(np.count_nonzero(each.rank < k)), n) for k in TOP if k < classes}


def _most_frequent(rows: list[dict[str, Any]], samples: int) -> dict[str, Any]:
    """What naming the most frequent class every time would reach: the least that a classifier should beat."""
    row = max(rows, key=lambda row: int(row["samples"]))
    return {"name": row["name"], "value": row["samples"] / samples}


def _stored_confusion(confusion: np.ndarray) -> dict[str, Any]:
    if len(confusion) <= DENSE_CLASSES:
        return {"confusion": confusion.tolist()}
    true, predicted = np.nonzero(confusion)
    cells = np.stack([true, predicted, confusion[true, predicted]], axis=1)
    return {"confusion_cells": cells.tolist()}
