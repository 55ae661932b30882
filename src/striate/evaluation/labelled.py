"""What metrics are computed from: predictions that fit together, their labelled images, a score an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from striate.errors import DataError
from striate.schemas import Predictions

_CHUNK_NUMBERS = 4_000_000  # logits treated at once, so that 1,000 classes need no gigabytes


@dataclass(frozen=True)
class Scores:
    """What one image's logits and label come to, for n labelled images.

    Attributes:
        labels: int64 (n,), true classes.
        predicted: int64 (n,), the most probable class, the first of equals.
        rank: int64 (n,), how many classes stand before the true one; among equals the first leads.
        confidence: float64 (n,), probability of the predicted class.
        log_loss: float64 (n,), `-ln p(true class)`.
        brier: float64 (n,), `sum over classes of (p - y)²`, y 1 for the true class and 0 for the others.
        peak: float64 (n,), the largest logit.
        mass: float64 (n,), `sum of exp(logit - peak)`.
    """

    labels: np.ndarray
    predicted: np.ndarray
    rank: np.ndarray
    confidence: np.ndarray
    log_loss: np.ndarray
    brier: np.ndarray
    peak: np.ndarray
    mass: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """Which images are named correctly, bool (n,)."""
        right: np.ndarray = self.predicted == self.labels
        return right


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


def labelled(predictions: Predictions) -> Predictions:
    """Return the images of `predictions` whose label is known.

    Raises:
        DataError: shapes that do not fit one another, logits that are not finite, labels out of range, or
            no labelled image at all.
    """
    check(predictions)
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


def check(predictions: Predictions) -> None:
    """Refuse predictions whose arrays do not fit each other.

    Raises:
        DataError: what does not fit; what was expected; what to do.
    """
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


def scores(known: Predictions) -> Scores:
    """Return the scores of each image; every label must be known."""
    parts = [_chunk_scores(part) for part in chunks(known)]
    return Scores(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _check_finite(predictions: Predictions) -> None:
    finite = np.isfinite(predictions.logits).all(axis=1)
    if not finite.all():
        bad = predictions.images[int(np.argmin(finite))]
        raise DataError(
            f"the logits of {bad!r} hold NaN or infinity: the network's weights or its input went wrong. "
            "Train again, with a smaller learning rate."
        )


def _chunk_scores(part: Predictions) -> tuple[np.ndarray, ...]:
    logits, labels = part.logits, part.labels.astype(np.int64)
    images, predicted = np.arange(len(labels)), part.predicted
    own = logits[images, labels][:, None]
    before = (logits == own) & (np.arange(logits.shape[1]) < labels[:, None])
    rank = np.count_nonzero(logits > own, axis=1) + np.count_nonzero(before, axis=1)
    shifted = logits.astype(np.float64)
    peak = shifted.max(axis=1)
    shifted -= peak[:, None]
    of_label = shifted[images, labels]
    probabilities = np.exp(shifted, out=shifted)
    mass = probabilities.sum(axis=1)
    probabilities /= mass[:, None]
    log_loss = np.log(mass) - of_label
    own_probability = probabilities[images, labels]
    confidence = probabilities[images, predicted]
    probabilities[images, labels] = 0  # what is left belongs to the other classes
    brier = np.einsum("nk,nk->n", probabilities, probabilities) + (1 - own_probability) ** 2
    return labels, predicted, rank, confidence, log_loss, brier, peak, mass
