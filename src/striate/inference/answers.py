"""The most probable classes of images, as a table for people and as records for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.errors import UserError
from striate.schemas import PREDICTION_COLUMNS, Predictions, guard

if TYPE_CHECKING:
    import pandas as pd

_PROBABILITY_DIGITS = 6
_CHUNK_VALUES = 2**22
"""So many logits are sorted at a time: 32 MB of positions."""


def check_top(top: int, num_classes: int | None = None) -> int:
    """Return how many of the most probable classes are wanted.

    Args:
        top: how many.
        num_classes: K, where it is known.

    Raises:
        UserError: it is less than 1, or more than there are.
    """
    if not isinstance(top, int) or isinstance(top, bool) or top < 1:
        raise UserError(f"top is {top!r}: expected how many classes to name, at least 1, as in --top 3.")
    if num_classes is not None and top > num_classes:
        raise UserError(f"top is {top}, but the model has {num_classes} classes; give at most that.")
    return top


def ranked(predictions: Predictions, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the `most` most probable classes of each image, and their probabilities.

    Args:
        predictions: of N images and K classes.
        most: from 1 to K.

    Returns:
        int64 (N, most), positions in the class names, the most probable first, of equals the first; float64
        (N, most).
    """
    n, k = predictions.logits.shape
    order = np.empty((n, most), np.int64)
    step = max(1, _CHUNK_VALUES // k)
    for start in range(0, n, step):
        part = predictions.logits[start : start + step]
        order[start : start + step] = np.argsort(-part, axis=1, kind="stable")[:, :most]
    return order, np.take_along_axis(predictions.probabilities, order, axis=1)


def top_table(predictions: Predictions, top: int, abstained: np.ndarray | None = None) -> pd.DataFrame:
    """Return a row an image: `PREDICTION_COLUMNS`, `class_1`, `probability_1` and so on up to `top`.

    Probabilities have six decimals; names are guarded (`schemas.guard`); `label` is empty where unknown.

    Args:
        predictions: of N images.
        top: from 1 to K.
        abstained: bool (N,); the column of this name then follows the probability, 1 or 0.
    """
    import pandas as pd

    names = np.array([guard(name) for name in predictions.class_names] + [""], dtype=object)  # [-1]: unknown
    order, probabilities = ranked(predictions, top)
    probabilities = probabilities.round(_PROBABILITY_DIGITS)
    first = ([guard(image) for image in predictions.images], names[predictions.labels])
    values = (*first, names[order[:, 0]], probabilities[:, 0])
    columns: dict[str, Any] = dict(zip(PREDICTION_COLUMNS, values, strict=True))
    if abstained is not None:
        columns["abstained"] = abstained.astype(int)
    for rank in range(top):
        columns[f"class_{rank + 1}"] = names[order[:, rank]]
        columns[f"probability_{rank + 1}"] = probabilities[:, rank]
    return pd.DataFrame(columns)


def as_records(
    predictions: Predictions, most: int, abstained: np.ndarray | None = None
) -> Iterator[dict[str, Any]]:
    """Yield what JSON says of each image: names as they are, probabilities unrounded.

    `image`, `predicted`, `probability`, with `abstained`, bool (N,), that too, and `probabilities`: the
    `most` most probable classes with their probabilities, the most probable first.
    """
    order, probabilities = ranked(predictions, most)
    for number, image in enumerate(predictions.images):
        names = [predictions.class_names[place] for place in order[number]]
        values = dict(zip(names, probabilities[number].tolist(), strict=True))
        record: dict[str, Any] = {"image": image, "predicted": names[0], "probability": values[names[0]]}
        if abstained is not None:
            record["abstained"] = bool(abstained[number])
        yield record | {"probabilities": values}
