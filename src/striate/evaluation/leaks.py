"""What a result would be without the images that have a copy among the training images."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from striate.evaluation.intervals import wilson
from striate.evaluation.labelled import labelled
from striate.schemas import Predictions


def without_images(predictions: Predictions, images: Collection[str], level: float) -> dict[str, Any]:
    """Return `left_out`, `samples`, `correct` and `accuracy` (None without an image) of the other images.

    Args:
        predictions: images without a known label do not count.
        images: paths of those to leave out.
        level: of the interval.

    Raises:
        DataError: as `labelled`.
    """
    known = labelled(predictions)
    gone = set(images)
    kept = np.array([image not in gone for image in known.images])
    samples, correct = int(kept.sum()), int((known.predicted == known.labels)[kept].sum())
    low, high = wilson(correct, samples, level)
    return {
        "left_out": len(kept) - samples,
        "samples": samples,
        "correct": correct,
        "accuracy": {"value": correct / samples, "low": low, "high": high} if samples else None,
    }
