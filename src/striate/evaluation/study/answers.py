"""What several runs answered for the same labelled images, in one order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from striate.errors import DataError
from striate.evaluation.labelled import labelled
from striate.schemas import Predictions


@dataclass(frozen=True)
class Answers:
    """The answers of R runs for n images of one set.

    Attributes:
        images: paths, (n,).
        labels: int64 (n,), positions in `class_names`.
        class_names: (K,).
        predicted: int64 (R, n).
        confidence: float32 (R, n), the probability that each run gave its answer.
    """

    images: tuple[str, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    predicted: np.ndarray
    confidence: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """Which answers are right, bool (R, n)."""
        right: np.ndarray = self.predicted == self.labels
        return right


def parts_of(sizes: Sequence[int]) -> list[slice]:
    """Return where the runs of each entry stand among all, which follow one another.

    Args:
        sizes: how many runs each entry has.
    """
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def majority(correct: np.ndarray) -> np.ndarray:
    """Return which images more than half of the runs name correctly, bool (n,).

    Args:
        correct: bool (R, n), whether each run names each image correctly.
    """
    most: np.ndarray = correct.mean(axis=0) > 0.5
    return most


def gather(runs: Iterable[tuple[str, Predictions]], what: str) -> Answers:
    """Return the answers of all runs, in the order of the first run's images.

    Args:
        runs: (name, predictions) of each; taken one at a time, so that the logits of one fit into memory.
        what: the images, in a message: "test images".

    Raises:
        DataError: two runs do not have the same images, labels or classes; says how they differ.
    """
    first: Predictions | None = None
    first_name, predicted, confidence = "", [], []
    for name, found in runs:
        known = labelled(found)
        if first is None:
            first, first_name = known, name
        order, classes = _placed(first, first_name, known, name, what)
        predicted.append(classes[known.predicted[order]])
        confidence.append(known.probabilities.max(axis=1)[order].astype(np.float32))
    if first is None:
        raise ValueError("no run to gather answers from; expected at least one")
    return Answers(first.images, first.labels, first.class_names, np.stack(predicted), np.stack(confidence))


def _placed(
    first: Predictions, first_name: str, other: Predictions, name: str, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return where each of the first run's images stands in the other, and its classes in the first's."""
    if set(first.class_names) != set(other.class_names):
        raise DataError(_other_classes(first, first_name, other, name))
    places = {image: place for place, image in enumerate(other.images)}
    shared = [image for image in first.images if image in places]
    if len(shared) < len(first.images) or len(first.images) < len(other.images):
        raise DataError(
            f"{first_name} and {name} were measured on different {what}: {len(first.images):,} and "
            f"{len(other.images):,}, of which {len(shared):,} are the same. {WAY_OUT}"
        )
    order = np.array([places[image] for image in first.images], np.int64)
    position = {class_name: number for number, class_name in enumerate(first.class_names)}
    classes = np.array([position[class_name] for class_name in other.class_names], np.int64)
    differing = np.flatnonzero(classes[other.labels[order]] != first.labels)
    if len(differing):
        raise DataError(
            f"{first_name} and {name} take {len(differing):,} of the {what} for another class, such as "
            f"{first.images[differing[0]]!r}. {WAY_OUT}"
        )
    return order, classes


WAY_OUT = (
    "Measure all of them on the same images: give 'striate compare' the data with --set NAME=DATA, or use "
    "'striate evaluate RUN DATA' for each and compare what that writes."
)
"""What to do about runs that were measured on different images."""


def _other_classes(first: Predictions, first_name: str, other: Predictions, name: str) -> str:
    odd: Sequence[str] = sorted(set(first.class_names) ^ set(other.class_names))
    listed = ", ".join(repr(class_name) for class_name in odd[:4]) + (", ..." if len(odd) > 4 else "")
    return (
        f"{first_name} and {name} tell different classes apart: {listed} only one of them knows. "
        "Train both on the same classes (--classes) to compare them."
    )
