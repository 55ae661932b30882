"""compute_metrics against scikit-learn, its schema, and input it must refuse."""

import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from striate.errors import DataError
from striate.evaluation import compute_metrics, confusion_matrix, wilson
from striate.schemas import Predictions

TOLERANCE = 1e-12  # float64 sums in another order


def _expected_averages(predictions: Predictions, average: str) -> tuple[float, float, float]:
    precision, recall, f1, _ = sklearn_metrics.precision_recall_fscore_support(
        predictions.labels,
        predictions.predicted,
        labels=np.unique(predictions.labels),
        average=average,
        zero_division=0,
    )
    return precision, recall, f1


@pytest.mark.parametrize("average", ["macro", "weighted"])
@pytest.mark.parametrize(
    ("classes", "n", "strength"), [(2, 1, 0), (2, 200, 1), (5, 40, 0), (30, 500, 2), (120, 90, 1)]
)
def test_averages_match_sklearn(make_predictions, classes, n, strength, average) -> None:
    predictions = make_predictions(classes, n, strength=strength, seed=classes + n)
    entry = compute_metrics(predictions)
    ours = [entry[metric][average]["value"] for metric in ("precision", "recall", "f1")]
    assert ours == pytest.approx(_expected_averages(predictions, average), abs=TOLERANCE)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_per_class_and_confusion_match_sklearn(data) -> None:
    classes = data.draw(st.integers(2, 6))
    n = data.draw(st.integers(1, 30))
    labels = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)))
    guesses = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)))
    logits = np.eye(classes, dtype=np.float32)[guesses]
    names = tuple("abcdef"[:classes])
    entry = compute_metrics(Predictions(tuple(map(str, range(n))), labels, logits, names))
    everything = sklearn_metrics.precision_recall_fscore_support(
        labels, guesses, labels=range(classes), zero_division=0
    )
    for index, row in enumerate(entry["per_class"]):
        ours = (row["precision"]["value"], row["recall"]["value"], row["f1"]["value"], row["samples"])
        assert ours == pytest.approx([column[index] for column in everything], abs=TOLERANCE)
    expected = sklearn_metrics.confusion_matrix(labels, guesses, labels=range(classes))
    np.testing.assert_array_equal(confusion_matrix(entry), expected)
    assert entry["accuracy"]["value"] == pytest.approx(sklearn_metrics.accuracy_score(labels, guesses))


def test_log_loss_matches_sklearn(make_predictions) -> None:
    predictions = make_predictions(7, 300)
    expected = sklearn_metrics.log_loss(predictions.labels, predictions.probabilities, labels=range(7))
    assert compute_metrics(predictions)["log_loss"]["value"] == pytest.approx(expected, rel=1e-12)


def test_log_loss_stays_finite_where_the_probability_underflows() -> None:
    logits = np.array([[0, 2000]], np.float32)
    predictions = Predictions(("a",), np.array([0]), logits, ("x", "y"))
    assert compute_metrics(predictions)["log_loss"]["value"] == 2000


def test_squared_error_is_the_brier_score_of_two_classes(make_predictions) -> None:
    predictions = make_predictions(2, 150)
    expected = sklearn_metrics.brier_score_loss(predictions.labels, predictions.probabilities[:, 1])
    assert compute_metrics(predictions)["squared_error"]["value"] == pytest.approx(expected, rel=1e-12)
    assert "squared_error" not in compute_metrics(make_predictions(3))


@pytest.mark.parametrize(("classes", "n"), [(2, 60), (4, 200), (30, 300), (1000, 500)])
def test_top_k_balanced_accuracy_and_brier_match_sklearn(make_predictions, classes, n) -> None:
    predictions = make_predictions(classes, n, strength=1)
    entry, labels = compute_metrics(predictions, resamples=20), predictions.labels
    assert list(entry["top_k"]) == [str(k) for k in (2, 3, 5) if k < classes]
    for k, score in entry["top_k"].items():
        expected = sklearn_metrics.top_k_accuracy_score(
            labels, predictions.logits, k=int(k), labels=range(classes)
        )
        assert score["value"] == pytest.approx(expected)
        assert (score["low"], score["high"]) == wilson(round(expected * n), n)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        balanced = sklearn_metrics.balanced_accuracy_score(labels, predictions.predicted)
    assert entry["balanced_accuracy"]["value"] == pytest.approx(balanced)
    brier = sklearn_metrics.brier_score_loss(
        labels, predictions.probabilities, labels=range(classes), scale_by_half=False
    )
    assert entry["brier"]["value"] == pytest.approx(brier)


def test_of_equal_logits_the_first_classes_are_the_most_probable() -> None:
    logits = np.array([[1, 1, 1, 1]] * 4 + [[0, 2, 2, 1]] * 2, np.float32)
    labels = np.array([0, 1, 2, 3, 2, 3])
    entry = compute_metrics(Predictions(tuple("abcdef"), labels, logits, tuple("wxyz")))
    order = np.argsort(-logits, axis=1, kind="stable")
    for k in (2, 3):
        expected = np.mean([label in row[:k] for label, row in zip(labels, order, strict=True)])
        assert entry["top_k"][str(k)]["value"] == pytest.approx(expected)


def test_intervals_are_wilsons(make_predictions) -> None:
    entry = compute_metrics(make_predictions(4, 77))
    assert (entry["accuracy"]["low"], entry["accuracy"]["high"]) == wilson(entry["correct"], 77)
    for row in entry["per_class"]:
        assert (row["recall"]["low"], row["recall"]["high"]) == wilson(row["correct"], row["samples"])
        assert (row["precision"]["low"], row["precision"]["high"]) == wilson(row["correct"], row["predicted"])


def test_classes_without_images_are_named_and_left_out_of_the_averages() -> None:
    logits = np.array([[3, 0, 0], [3, 0, 0], [0, 0, 3]], np.float32)
    entry = compute_metrics(Predictions(("1", "2", "3"), np.array([0, 0, 0]), logits, ("a", "b", "c")))
    assert entry["absent_classes"] == ["b", "c"]
    assert entry["recall"]["macro"]["value"] == pytest.approx(2 / 3)
    assert entry["precision"]["macro"]["value"] == 1
    undefined = {row["name"]: row["undefined"] for row in entry["per_class"]}
    assert undefined == {"a": [], "b": ["precision", "recall", "f1"], "c": ["recall"]}
    assert entry["per_class"][1]["recall"] == {"value": 0.0, "low": 0.0, "high": 1.0}


def test_images_without_label_do_not_count(make_predictions) -> None:
    predictions = make_predictions(3, 60)
    labels = predictions.labels.copy()
    labels[::2] = -1
    entry = compute_metrics(replace(predictions, labels=labels))
    known = Predictions(
        predictions.images[1::2], predictions.labels[1::2], predictions.logits[1::2], predictions.class_names
    )
    assert entry == compute_metrics(known) | {"unlabelled": 30}


def test_most_frequent_class_is_the_baseline(make_predictions) -> None:
    predictions = make_predictions(4, 50)
    counts = np.bincount(predictions.labels)
    frequent = compute_metrics(predictions)["most_frequent"]
    assert frequent == {"name": f"class {counts.argmax()}", "value": counts.max() / 50}


@pytest.mark.parametrize("classes", [2, 100, 101, 1000])
def test_entry_survives_json(make_predictions, classes) -> None:
    predictions = make_predictions(classes, 300)
    entry = compute_metrics(predictions)
    again = json.loads(json.dumps(entry, allow_nan=False))
    assert again == entry
    assert ("confusion" in entry) == (classes <= 100)
    expected = sklearn_metrics.confusion_matrix(
        predictions.labels, predictions.predicted, labels=range(classes)
    )
    np.testing.assert_array_equal(confusion_matrix(again), expected)


def test_chunks_do_not_change_the_numbers(make_predictions, monkeypatch) -> None:
    predictions = make_predictions(5, 101)
    whole = compute_metrics(predictions)
    monkeypatch.setattr("striate.evaluation.labelled._CHUNK_NUMBERS", 17)
    pieces = compute_metrics(predictions)
    assert pieces.pop("log_loss")["value"] == pytest.approx(whole.pop("log_loss")["value"], rel=TOLERANCE)
    assert pieces == whole


def test_equal_logits_go_to_the_first_class() -> None:
    predictions = Predictions(("a",), np.array([1]), np.zeros((1, 3), np.float32), ("x", "y", "z"))
    entry = compute_metrics(predictions)
    assert entry["per_class"][0]["predicted"] == 1
    assert entry["log_loss"]["value"] == pytest.approx(math.log(3))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"logits": np.zeros((60, 4), np.float32)}, r"\(60, 4\).*expected \(60, 3\)"),
        ({"logits": np.zeros(60, np.float32)}, "expected"),
        ({"labels": np.zeros(59, np.int64)}, "60 images"),
        ({"labels": np.zeros(60)}, "float64"),
        ({"labels": np.full(60, 3)}, "from 3 to 3"),
        ({"labels": np.full(60, -2)}, "from -2"),
        ({"labels": np.full(60, -1)}, "none of the 60 images"),
        ({"class_names": ("only",)}, "at least 2"),
        ({"images": ()}, "0 images"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(make_predictions, change, reason) -> None:
    with pytest.raises(DataError, match=reason):
        compute_metrics(replace(make_predictions(), **change))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused_by_image(make_predictions, bad) -> None:
    predictions = make_predictions()
    predictions.logits[41, 2] = bad
    with pytest.raises(DataError, match=r"test/41\.png.*NaN or infinity"):
        compute_metrics(predictions)


def test_no_image_at_all_is_refused() -> None:
    nothing = Predictions((), np.empty(0, np.int64), np.empty((0, 2), np.float32), ("a", "b"))
    with pytest.raises(DataError, match="none of the 0 images"):
        compute_metrics(nothing)


@pytest.mark.parametrize("classes", [2, 3, 7, 49, 200])
def test_perfection_is_one_to_the_last_digit(classes) -> None:
    labels = np.arange(3 * classes) % classes
    logits = 9 * np.eye(classes, dtype=np.float32)[labels]
    names = tuple(map(str, range(classes)))
    entry = compute_metrics(Predictions(("",) * len(labels), labels, logits, names), resamples=20)
    for metric in ("precision", "recall", "f1", "roc_auc", "average_precision"):
        assert entry[metric]["macro"]["value"] == entry[metric]["weighted"]["value"] == 1
        assert {row[metric]["value"] for row in entry["per_class"]} == {1}
