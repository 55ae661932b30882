"""Reliability bins and the calibration error against scikit-learn and a naive loop."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from striate.evaluation import compute_metrics, wilson
from striate.evaluation.calibration import bin_of
from striate.evaluation.labelled import scores
from striate.schemas import Predictions


@pytest.mark.parametrize(("classes", "n"), [(2, 400), (5, 90), (30, 500), (3, 1)])
def test_bins_match_sklearn(make_predictions, classes, n) -> None:
    predictions = make_predictions(classes, n)
    bins = compute_metrics(predictions)["calibration"]["bins"]
    each = scores(predictions)
    right, confidence = calibration_curve(each.correct, each.confidence, n_bins=15)
    assert [row["accuracy"] for row in bins] == pytest.approx(right)
    assert [row["confidence"] for row in bins] == pytest.approx(confidence)
    assert sum(row["samples"] for row in bins) == n


def test_error_is_the_mean_gap_of_a_naive_loop(make_predictions) -> None:
    predictions = make_predictions(4, 200)
    each, gap = scores(predictions), 0.0
    for position in range(15):
        inside = (each.confidence > position / 15) & (each.confidence <= (position + 1) / 15)
        gap += abs(np.sum(each.correct[inside] - each.confidence[inside])) / 200
    assert compute_metrics(predictions)["calibration"]["ece"]["value"] == pytest.approx(gap)


def test_a_bin_holds_its_upper_edge() -> None:
    assert list(bin_of(np.array([0.0, 1 / 15, 1 / 15 + 1e-9, 0.5, 1.0]))) == [0, 0, 1, 7, 14]


def test_bins_have_wilsons_interval_and_no_bin_is_empty(make_predictions) -> None:
    for row in compute_metrics(make_predictions(3, 80))["calibration"]["bins"]:
        assert row["samples"] > 0
        correct = round(row["accuracy"] * row["samples"])
        assert (row["accuracy_low"], row["accuracy_high"]) == wilson(correct, row["samples"])
        assert row["low"] < row["confidence"] <= row["high"] + 1e-12


def _drawn(n: int, sharpness: float, seed: int) -> Predictions:
    """Labels drawn from the probabilities themselves; `sharpness` 1 leaves these as they are."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (n, 4))
    labels = (logits + generator.gumbel(size=(n, 4))).argmax(axis=1)
    return Predictions(("",) * n, labels, (sharpness * logits).astype(np.float32), ("",) * 4)


def test_right_probabilities_are_not_told_from_error_free_ones() -> None:
    lows = [
        compute_metrics(_drawn(200, 1, seed), resamples=400)["calibration"]["ece"]["low"]
        for seed in range(60)
    ]
    assert np.mean(np.array(lows) < 0.01) > 0.9


def test_sharpened_probabilities_have_an_error_above_chance() -> None:
    error = compute_metrics(_drawn(3000, 3, 0))["calibration"]["ece"]
    assert error["low"] > 0.1
