"""Files of a run that do not belong together are refused, each with what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from striate.consistency import check_classes, check_rows, check_samples
from striate.errors import RunError
from striate.evaluation import predictions_table
from striate.schemas import Predictions


@pytest.fixture
def predictions() -> Predictions:
    logits = np.array([[1.0, 2.0], [3.0, -1.0], [0.0, 1.0]], np.float32)
    return Predictions(("a.png", "b.png", "c.png"), np.array([1, 0, -1]), logits, ("=x", "y"))


@pytest.fixture
def samples() -> pd.DataFrame:
    return pd.DataFrame({"path": ["c.png", "b.png", "a.png"], "label": ["", "=x", "y"]})


def test_what_belongs_together_passes(predictions, samples):
    check_rows(predictions, predictions_table(predictions).astype(str), "it")
    check_classes(predictions, ["=x", "y"], "it")
    check_samples(predictions, samples, "it")


def test_a_sorted_table_is_refused(predictions):
    table = predictions_table(predictions).astype(str)[::-1].reset_index(drop=True)
    with pytest.raises(RunError, match=r"it: row 1 has the label ''; expected 'y'\. Was the table sorted"):
        check_rows(predictions, table, "it")


def test_other_logits_are_refused(predictions):
    table = predictions_table(predictions).astype(str)
    with pytest.raises(RunError, match="row 1 has the predicted 'y'; expected \"'=x\""):
        check_rows(replace(predictions, logits=-predictions.logits), table, "it")


@pytest.mark.parametrize("label", [-2, 2])
def test_labels_out_of_range_are_refused(predictions, label):
    table = predictions_table(predictions).astype(str)
    with pytest.raises(RunError, match="labels run from"):
        check_rows(replace(predictions, labels=np.array([0, 1, label])), table, "it")


@pytest.mark.parametrize("names", [("y", "=x"), ("=x", "y", "z"), tuple(map(str, range(9)))])
def test_other_classes_are_refused(predictions, names):
    with pytest.raises(RunError, match="its classes are '=x', 'y'; expected"):
        check_classes(predictions, names, "it")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda table: table[:2], "of the 2 images there, 0 are missing or have another label, and 1 do not"),
        (lambda table: table.assign(label="y"), "2 are missing or have another label, and 2 do not"),
        (lambda table: pd.concat([table, table[:1]]), "of the 4 images there, 1 are missing"),
        (lambda table: table.assign(path=["c.png", "b.png", "d.png"]), "1 are missing .* 1 do not"),
    ],
)
def test_other_images_or_labels_are_refused(predictions, samples, change, text):
    with pytest.raises(RunError, match=text):
        check_samples(predictions, change(samples), "it")
