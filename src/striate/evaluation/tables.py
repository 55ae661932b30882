"""Tables for people: predictions of images; metrics of classes, bins, pairs and thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.evaluation.intervals import wilson
from striate.evaluation.labelled import chunks
from striate.schemas import PREDICTION_COLUMNS, Predictions, guard

if TYPE_CHECKING:
    import pandas as pd

ALL_PROBABILITIES = 50
"""Up to this many classes, the table holds the probability of each."""
RANKS = ("second", "third", "fourth", "fifth")
PAIR_COLUMNS = ("first", "second", "first_as_second", "second_as_first", "p_value", "p_adjusted", "verdict")
_PROBABILITY_DIGITS = 6
_OUTCOMES = (("true", "positive"), ("false", "positive"), ("true", "negative"), ("false", "negative"))


def predictions_table(predictions: Predictions, abstained: np.ndarray | None = None) -> pd.DataFrame:
    """Return a row an image: image, label, predicted, probability, and further probabilities.

    With `abstained`, bool (N,), the column of this name follows the probability: 1 for images that are left
    to a person, else 0.

    Up to 50 classes the probability of each follows as `p(<class>)`; with more, `second`, `p_second` and so
    on up to the fifth. Probabilities have six decimals. `label` is empty where it is unknown. Names are
    guarded (`guard`).
    """
    import pandas as pd

    names = np.array([guard(name) for name in predictions.class_names] + [""], dtype=object)  # [-1]: unknown
    many = len(predictions.class_names) > ALL_PROBABILITIES
    columns = _ranked_columns() if many else [f"p({name})" for name in predictions.class_names]
    empty = pd.DataFrame(columns=[*PREDICTION_COLUMNS, *columns])
    parts = [_rows(part, names, many, columns) for part in chunks(predictions)]
    table = pd.concat(parts, ignore_index=True) if parts else empty
    if abstained is not None:
        table.insert(len(PREDICTION_COLUMNS), "abstained", abstained.astype(int))
    return table


def per_class_table(entry: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row a class of an entry of `metrics.json`, for `per-class-<split>.csv`; names are guarded.

    What a class does not have is empty.
    """
    import pandas as pd

    rows = []
    for row in entry["per_class"]:
        values = {"class": guard(row["name"])} | {
            key: row[key] for key in ("samples", "predicted", "correct")
        }
        for metric in ("precision", "recall", "f1", "roc_auc", "average_precision"):
            values[metric], values[f"{metric}_low"], values[f"{metric}_high"] = _ends(row[metric])
        values["few"] = int(row["few"])
        values["undefined"] = " ".join(row["undefined"])
        rows.append(values)
    return pd.DataFrame(rows)


def calibration_table(entry: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row a bin that holds images, for `calibration-<split>.csv`."""
    import pandas as pd

    return pd.DataFrame(entry["calibration"]["bins"])


def answers_table(entry: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row a probability from which on images are answered, for `answers-<split>.csv`.

    Beside the counts: `share` (of all images that are answered), and `accuracy` of these with its Wilson
    interval, empty where there are none.
    """
    import pandas as pd

    rows = []
    for point in entry["answered"]:
        answered, correct = point["answered"], point["correct"]
        low, high = wilson(correct, answered, entry["level"]) if answered else (None, None)
        rows.append(
            {
                **point,
                "share": answered / entry["samples"],
                "accuracy": correct / answered if answered else None,
                "accuracy_low": low,
                "accuracy_high": high,
            }
        )
    return pd.DataFrame(rows)


def confused_pairs_table(entry: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row a pair, the most confused first, for `confused-pairs-<split>.csv`; names are guarded."""
    import pandas as pd

    rows = [
        {**pair, "first": guard(pair["first"]), "second": guard(pair["second"])}
        for pair in entry["confused_pairs"]
    ]
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS))


def thresholds_table(entry: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row a threshold of two classes, for `thresholds-<split>.csv`.

    Beside the counts: `recall` (of the second class, its share found), `specificity` (of the first),
    `precision` and `accuracy`; empty where there is nothing to divide by.

    Raises:
        KeyError: more than two classes.
    """
    import pandas as pd

    table = pd.DataFrame(entry["operating_points"])
    tp, fp, tn, fn = (table[f"{name}_{kind}"] for name, kind in _OUTCOMES)
    for column, part, whole in (
        ("recall", tp, tp + fn),
        ("specificity", tn, tn + fp),
        ("precision", tp, tp + fp),
        ("accuracy", tp + tn, tp + fp + tn + fn),
    ):
        table[column] = part / whole.where(whole > 0)
    return table


def _ends(score: Mapping[str, float] | None) -> tuple[float | None, ...]:
    return (None, None, None) if score is None else (score["value"], score["low"], score["high"])


def _rows(part: Predictions, names: np.ndarray, many: bool, columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    probabilities, predicted = part.probabilities.round(_PROBABILITY_DIGITS), part.predicted
    table = pd.DataFrame(
        {
            "image": [guard(image) for image in part.images],
            "label": names[part.labels],
            "predicted": names[predicted],
            "probability": np.take_along_axis(probabilities, predicted[:, None], axis=1)[:, 0],
        }
    )
    further = _runners_up(part.logits, probabilities, names) if many else probabilities
    return pd.concat([table, pd.DataFrame(further, columns=columns)], axis=1)


def _runners_up(logits: np.ndarray, probabilities: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Name and probability of the second to fifth class, object (n, 8); among equals the first leads."""
    rest = logits.astype(np.float64)
    images = np.arange(len(rest))
    rest[images, rest.argmax(axis=1)] = -np.inf
    further = np.empty((len(rest), 2 * len(RANKS)), dtype=object)
    for rank in range(len(RANKS)):
        following = rest.argmax(axis=1)
        further[:, 2 * rank] = names[following]
        further[:, 2 * rank + 1] = probabilities[images, following]
        rest[images, following] = -np.inf
    return further


def _ranked_columns() -> list[str]:
    return [column for rank in RANKS for column in (rank, f"p_{rank}")]
