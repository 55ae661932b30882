"""One split's entry of `metrics.json`, computed from saved logits alone; `docs/metrics.md` describes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from striate.errors import DataError
from striate.evaluation.intervals import wilson
from striate.schemas import Predictions

LEVEL = 0.95
"""Level of every interval in `metrics.json`."""
DENSE_CLASSES = 100
"""With more classes, the confusion matrix is stored as its non-zero cells."""
_CHUNK_NUMBERS = 4_000_000  # logits treated at once, so that 1,000 classes need no gigabytes


def compute_metrics(predictions: Predictions) -> dict[str, Any]:
    """Return the metrics of the labelled images, ready for JSON (see `docs/metrics.md`).

    Precision, recall and F1 equal scikit-learn's `precision_recall_fscore_support` with
    `labels` = the classes that have at least one image here, and `zero_division=0`.

    Raises:
        DataError: shapes that do not fit one another, logits that are not finite, labels out of range, or
            no labelled image at all.
    """
    _check(predictions)
    labelled = _labelled(predictions)
    confusion = _confusion(labelled)
    names = predictions.class_names
    samples, correct = len(labelled.labels), int(np.trace(confusion))
    per_class = _per_class(confusion, names)
    entry = {
        "samples": samples,
        "unlabelled": len(predictions.labels) - samples,
        "correct": correct,
        "level": LEVEL,
        "accuracy": _share(correct, samples),
        "log_loss": {"value": _log_loss(labelled)},
    }
    if len(names) == 2:
        entry["squared_error"] = {"value": _squared_error(labelled)}
    for metric in ("precision", "recall", "f1"):
        entry[metric] = _averages(per_class, metric)
    entry["most_frequent"] = _most_frequent(per_class, samples)
    entry["absent_classes"] = [row["name"] for row in per_class if row["samples"] == 0]
    entry["per_class"] = per_class
    entry.update(_stored_confusion(confusion))
    return entry


def confusion_matrix(entry: Mapping[str, Any]) -> np.ndarray:
    """Return the counts of an entry of `metrics.json`, int64 (K, K): rows true, columns predicted classes."""
    if "confusion" in entry:
        return np.asarray(entry["confusion"], np.int64)
    confusion = np.zeros((len(entry["per_class"]),) * 2, np.int64)
    cells = np.asarray(entry["confusion_cells"], np.int64).reshape(-1, 3)
    confusion[cells[:, 0], cells[:, 1]] = cells[:, 2]
    return confusion


def chunks(predictions: Predictions) -> Iterator[Predictions]:
    """Yield `predictions` in pieces whose probabilities fit comfortably into memory."""
    rows = max(1, _CHUNK_NUMBERS // max(1, len(predictions.class_names)))
    for start in range(0, len(predictions.labels), rows):
        part = slice(start, start + rows)
        yield replace(
            predictions,
            images=predictions.images[part],
            labels=predictions.labels[part],
            logits=predictions.logits[part],
        )


def _check(predictions: Predictions) -> None:
    images, labels, logits = len(predictions.images), predictions.labels, predictions.logits
    classes = len(predictions.class_names)
    if classes < 2:
        raise DataError(f"predictions for {classes} class: telling classes apart takes at least 2.")
    if logits.shape != (images, classes):
        raise DataError(
            f"logits have the shape {logits.shape}; with {images} images and {classes} classes expected "
            f"{(images, classes)}. The files belong to different predictions: evaluate the model anew."
        )
    if labels.shape != (images,) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"labels are {labels.dtype} of shape {labels.shape}; expected a whole number for each of "
            f"{images} images. Evaluate the model anew."
        )
    if images and (labels.min() < -1 or labels.max() >= classes):
        raise DataError(
            f"labels run from {labels.min()} to {labels.max()}; with {classes} classes expected -1 (unknown) "
            f"to {classes - 1}. Evaluate the model anew."
        )
    for part in chunks(predictions):
        _check_finite(part)


def _check_finite(predictions: Predictions) -> None:
    finite = np.isfinite(predictions.logits).all(axis=1)
    if not finite.all():
        bad = predictions.images[int(np.argmin(finite))]
        raise DataError(
            f"the logits of {bad!r} hold NaN or infinity: the network's weights or its input went wrong. "
            "Train again, with a smaller learning rate."
        )


def _labelled(predictions: Predictions) -> Predictions:
    known = predictions.labels >= 0
    if not known.any():
        raise DataError(
            f"none of the {len(known)} images has a known label, so there is nothing to measure. "
            "Put images into folders named after their classes."
        )
    if known.all():
        return predictions
    return Predictions(
        tuple(image for image, keep in zip(predictions.images, known, strict=True) if keep),
        predictions.labels[known],
        predictions.logits[known],
        predictions.class_names,
    )


def _confusion(labelled: Predictions) -> np.ndarray:
    """int64 (K, K): rows true, columns predicted."""
    classes = len(labelled.class_names)
    cells = labelled.labels.astype(np.int64) * classes + labelled.predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _share(successes: int, n: int) -> dict[str, float]:
    low, high = wilson(successes, n, LEVEL)
    return {"value": successes / n if n else 0.0, "low": low, "high": high}


def _per_class(confusion: np.ndarray, names: tuple[str, ...]) -> list[dict[str, Any]]:
    hits, samples, predicted = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    columns = zip(names, samples.tolist(), predicted.tolist(), hits.tolist(), strict=True)
    return [_class_row(*row) for row in columns]


def _class_row(name: str, samples: int, predicted: int, correct: int) -> dict[str, Any]:
    """A class's metrics; one whose denominator is zero stands at 0 and is named in `undefined`."""
    denominators = {"precision": predicted, "recall": samples, "f1": samples + predicted}
    return {
        "name": name,
        "samples": samples,
        "predicted": predicted,
        "correct": correct,
        "precision": _share(correct, predicted),
        "recall": _share(correct, samples),
        "f1": {"value": 2 * correct / (samples + predicted) if samples + predicted else 0.0},
        "undefined": [metric for metric, denominator in denominators.items() if denominator == 0],
    }


def _averages(per_class: list[dict[str, Any]], metric: str) -> dict[str, dict[str, float]]:
    """Mean over the classes that have images: plain (macro), and weighted by their number of images."""
    present = [row for row in per_class if row["samples"]]
    values = np.array([row[metric]["value"] for row in present])
    samples = np.array([row["samples"] for row in present])
    weighted = float(np.sum(values * samples) / samples.sum())
    return {"macro": {"value": float(values.mean())}, "weighted": {"value": weighted}}


def _most_frequent(per_class: list[dict[str, Any]], samples: int) -> dict[str, Any]:
    """What naming the most frequent class every time would reach: the least that a classifier should beat."""
    row = max(per_class, key=lambda row: int(row["samples"]))
    return {"name": row["name"], "value": row["samples"] / samples}


def _log_loss(labelled: Predictions) -> float:
    """Mean of `-log p(true class)`, natural logarithm, from the logits: exact where p underflows."""
    total = 0.0
    for part in chunks(labelled):
        logits = part.logits.astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        of_label = logits[np.arange(len(logits)), part.labels]
        total += float(np.sum(np.log(np.exp(logits).sum(axis=1)) - of_label))
    return total / len(labelled.labels)


def _squared_error(labelled: Predictions) -> float:
    """Mean of `(p - y)²`, p the probability of the second class and y 1 where it is the true one."""
    error = labelled.probabilities[:, 1] - labelled.labels
    return float(np.mean(error**2))


def _stored_confusion(confusion: np.ndarray) -> dict[str, Any]:
    if len(confusion) <= DENSE_CLASSES:
        return {"confusion": confusion.tolist()}
    true, predicted = np.nonzero(confusion)
    cells = np.stack([true, predicted, confusion[true, predicted]], axis=1)
    return {"confusion_cells": cells.tolist()}
