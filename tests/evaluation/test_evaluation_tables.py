"""Tables for people: what they hold, and that no cell is a formula."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_score, recall_score

from striate.evaluation import compute_metrics, per_class_table, predictions_table, wilson
from striate.evaluation.tables import answers_table, calibration_table, confused_pairs_table, thresholds_table
from striate.runs import Run
from striate.schemas import (
    PREDICTION_COLUMNS,
    Predictions,
    guard,
    read_table,
    unguard,
    write_images,
    write_table,
)


def test_small_problems_show_every_probability(make_predictions) -> None:
    predictions = make_predictions(50, 20)
    table = predictions_table(predictions)
    assert list(table.columns) == [*PREDICTION_COLUMNS, *(f"p(class {k})" for k in range(50))]
    np.testing.assert_allclose(table.iloc[:, 4:].to_numpy(float), predictions.probabilities, atol=5.1e-7)
    assert list(table["image"]) == list(predictions.images)
    assert list(table["label"]) == [f"class {k}" for k in predictions.labels]
    assert list(table["predicted"]) == [f"class {k}" for k in predictions.predicted]
    np.testing.assert_allclose(table["probability"], predictions.probabilities.max(axis=1), atol=5.1e-7)


def test_larger_problems_show_the_five_most_probable(make_predictions) -> None:
    predictions = make_predictions(51, 20)
    table = predictions_table(predictions)
    ranks = ["second", "third", "fourth", "fifth"]
    assert list(table.columns) == [*PREDICTION_COLUMNS, *(c for rank in ranks for c in (rank, f"p_{rank}"))]
    order = np.argsort(-predictions.logits, axis=1)
    for place, rank in enumerate(ranks, start=1):
        assert list(table[rank]) == [f"class {k}" for k in order[:, place]]
        expected = np.take_along_axis(predictions.probabilities, order[:, [place]], axis=1)[:, 0]
        np.testing.assert_allclose(table[f"p_{rank}"].astype(float), expected, atol=5.1e-7)


def test_five_most_probable_are_distinct_among_equals(make_predictions) -> None:
    predictions = make_predictions(60, 2)
    table = predictions_table(replace(predictions, logits=np.zeros_like(predictions.logits)))
    row = table.loc[0, ["predicted", "second", "third", "fourth", "fifth"]]
    assert list(row) == [f"class {k}" for k in range(5)]


def test_unknown_label_is_empty(make_predictions) -> None:
    predictions = make_predictions(3, 4)
    table = predictions_table(replace(predictions, labels=np.array([-1, 0, 1, -1])))
    assert list(table["label"]) == ["", "class 0", "class 1", ""]


def test_no_image_gives_a_table_with_columns_alone(make_predictions) -> None:
    predictions = replace(
        make_predictions(3, 1), images=(), labels=np.empty(0, int), logits=np.empty((0, 3), np.float32)
    )
    table = predictions_table(predictions)
    assert len(table) == 0
    assert tuple(table.columns[:4]) == PREDICTION_COLUMNS


def test_table_survives_the_csv_file(make_predictions, naughty_names, tmp_path) -> None:
    names = (*naughty_names[:8], "NA", "001")
    table = predictions_table(make_predictions(10, 40, names=names))
    write_table(tmp_path / "p.csv", table)
    again = read_table(tmp_path / "p.csv")
    assert {unguard(cell) for cell in again["label"]} <= set(names)
    assert list(again["label"]) == list(table["label"])


@given(st.text())
def test_guard_is_undone_by_unguard(text: str) -> None:
    assert unguard(guard(text)) == text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "'=", "''-"])
def test_no_cell_begins_like_a_formula(start: str) -> None:
    assert guard(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize("text", ["", "cat", "'quoted'", "a=b", "3-4"])
def test_plain_cells_stay_as_they_are(text: str) -> None:
    assert guard(text) == text


def test_tables_of_images_hold_no_formula_and_give_the_names_back(tmp_path) -> None:
    names = ["=1+1/a.png", '=HYPERLINK("x")', "'=quoted", "plain"]
    table = pd.DataFrame({"path": names, "label": names, "split": "train", "note": ""})
    run = Run(tmp_path)
    write_images(run.samples_file, table)
    assert not set(read_table(run.samples_file)["path"].str[0]) & set("=+-@")
    pd.testing.assert_frame_equal(run.samples().astype(object), table.astype(object))


def test_names_and_paths_are_guarded_in_both_tables(make_predictions) -> None:
    predictions = replace(make_predictions(2, 3, names=("=1+1", "-x")), images=("=a", "b", "@c"))
    table = predictions_table(predictions)
    assert list(table["image"]) == ["'=a", "b", "'@c"]
    assert set(table["label"]) | set(table["predicted"]) <= {"'=1+1", "'-x"}
    assert list(per_class_table(compute_metrics(predictions))["class"]) == ["'=1+1", "'-x"]


def test_per_class_table_holds_the_metrics(make_predictions) -> None:
    entry = compute_metrics(make_predictions(4, 50))
    table = per_class_table(entry)
    assert list(table["recall_low"]) == [row["recall"]["low"] for row in entry["per_class"]]
    assert list(table["f1"]) == [row["f1"]["value"] for row in entry["per_class"]]
    assert list(table["samples"]) == [row["samples"] for row in entry["per_class"]]


def test_per_class_table_leaves_empty_what_a_class_does_not_have(make_predictions) -> None:
    predictions = make_predictions(3, 40)
    entry = compute_metrics(replace(predictions, labels=np.zeros(40, int)))
    table = per_class_table(entry)
    assert table["roc_auc"].isna().all()
    assert list(table["few"]) == [0, 1, 1]
    assert table["f1_low"][0] == entry["per_class"][0]["f1"]["low"]


def test_calibration_and_pairs_tables_hold_the_entry(make_predictions) -> None:
    entry = compute_metrics(make_predictions(4, 60, names=("=a", "b", "c", "d")))
    bins = calibration_table(entry)
    assert bins["samples"].sum() == 60
    assert list(bins["accuracy"]) == [row["accuracy"] for row in entry["calibration"]["bins"]]
    pairs = confused_pairs_table(entry)
    assert len(pairs) == len(entry["confused_pairs"])
    assert "=a" not in {*pairs["first"], *pairs["second"]}
    assert "'=a" in {*pairs["first"], *pairs["second"]}


def test_pairs_table_without_mistakes_has_columns_alone() -> None:
    logits = np.eye(2, dtype=np.float32)
    table = confused_pairs_table(
        compute_metrics(Predictions(("a", "b"), np.array([0, 1]), logits, ("x", "y")))
    )
    assert len(table) == 0
    assert list(table.columns)[:2] == ["first", "second"]


def test_thresholds_table_has_rates_that_match_sklearn(make_predictions) -> None:
    predictions = make_predictions(2, 80)
    table = thresholds_table(compute_metrics(predictions))
    score = predictions.probabilities[:, 1]
    for row in table.itertuples():
        named = (score > row.threshold).astype(int)
        assert row.recall == pytest.approx(recall_score(predictions.labels, named))
        assert row.specificity == pytest.approx(recall_score(predictions.labels, named, pos_label=0))
        assert row.accuracy == pytest.approx(np.mean(named == predictions.labels))
        if named.any():
            assert row.precision == pytest.approx(precision_score(predictions.labels, named))
        else:
            assert np.isnan(row.precision)


def test_answers_have_shares_and_wilsons_interval(make_predictions) -> None:
    entry = compute_metrics(make_predictions(3, 40), resamples=100)
    table = answers_table(entry)
    assert len(table) == len(entry["answered"])
    for row in table.itertuples():
        assert row.share == row.answered / 40
        if row.answered:
            assert row.accuracy == row.correct / row.answered
            assert (row.accuracy_low, row.accuracy_high) == wilson(row.correct, row.answered)
        else:
            assert np.isnan([row.accuracy, row.accuracy_low, row.accuracy_high]).all()
