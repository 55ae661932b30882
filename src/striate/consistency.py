"""Whether the files of a run belong together: one may have been sorted, edited, or come from another run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from striate.errors import RunError
from striate.schemas import Predictions, guard

if TYPE_CHECKING:
    import pandas as pd

_NEXT = "Evaluate the model anew."


def check_rows(predictions: Predictions, table: pd.DataFrame, what: str) -> None:
    """Make sure that the table for people and the logits are in the same order.

    Args:
        predictions: from the file for programs.
        table: with the columns `label` and `predicted`, as text; as many rows.
        what: how the error begins.

    Raises:
        RunError: a label is out of range, or a row differs.
    """
    names, labels = predictions.class_names, predictions.labels
    if len(labels) and not (labels.min() >= -1 and labels.max() < len(names)):
        raise RunError(
            f"{what}: labels run from {labels.min()} to {labels.max()} with {len(names)} classes. {_NEXT}"
        )
    guarded = np.array([*map(guard, names), ""], dtype=object)  # [-1]: unknown
    for column, numbers in (("label", labels), ("predicted", predictions.predicted)):
        rows = np.flatnonzero(table[column].to_numpy(object) != guarded[numbers])
        if len(rows):
            raise RunError(
                f"{what}: row {rows[0] + 1} has the {column} {table[column].iloc[rows[0]]!r}; expected "
                f"{guarded[numbers[rows[0]]]!r}. Was the table sorted or edited? {_NEXT}"
            )


def check_classes(predictions: Predictions, class_names: Sequence[str], what: str) -> None:
    """Make sure that `predictions` are about `class_names`.

    Raises:
        RunError: they are about others, or in another order.
    """
    if tuple(class_names) != predictions.class_names:
        found, expected = _some(predictions.class_names), _some(class_names)
        raise RunError(f"{what}: its classes are {found}; expected {expected}. {_NEXT}")


def check_samples(predictions: Predictions, samples: pd.DataFrame, what: str) -> None:
    """Make sure that `predictions` are about `samples`, rows of `samples.csv`, whatever their order.

    Raises:
        RunError: images are missing, have another label, or do not belong.
    """
    names = [*predictions.class_names, ""]  # [-1]: unknown
    found = Counter(zip(predictions.images, (names[label] for label in predictions.labels), strict=True))
    expected = Counter(zip(samples["path"], samples["label"], strict=True))
    missing, strange = (expected - found).total(), (found - expected).total()
    if missing or strange:
        raise RunError(
            f"{what}: of the {len(samples)} images there, {missing} are missing or have another label, and "
            f"{strange} do not belong. {_NEXT}"
        )


def _some(names: Sequence[str], most: int = 4) -> str:
    """Return the first of `names`, and how many there are."""
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown}, ... ({len(names)})" if len(names) > most else shown
