"""Two classes: operating points against a naive loop, the choice of a threshold, and its cost."""

from dataclasses import replace

import numpy as np
import pytest

from striate.errors import DataError, UserError
from striate.evaluation import compute_metrics, thresholds
from striate.schemas import Predictions

COUNTS = ("true_positive", "false_positive", "true_negative", "false_negative")


def _counts(predictions: Predictions, threshold: float) -> dict[str, int]:
    named = predictions.probabilities[:, 1] > threshold
    truth = predictions.labels == 1
    outcomes = (named & truth, named & ~truth, ~named & ~truth, ~named & truth)
    return {name: int(outcome.sum()) for name, outcome in zip(COUNTS, outcomes, strict=True)}


@pytest.mark.parametrize("n", [1, 5, 150, 5000])
def test_operating_points_match_a_naive_loop(make_predictions, n) -> None:
    predictions = make_predictions(2, n)
    points = compute_metrics(predictions, resamples=20)["operating_points"]
    cuts = [point["threshold"] for point in points]
    assert cuts == sorted(set(cuts))
    assert {0.0, 0.5, 1.0} <= set(cuts)
    assert len(cuts) <= 201
    for point in points:
        assert {name: point[name] for name in COUNTS} == _counts(predictions, point["threshold"])


def test_few_images_have_every_division_among_their_points(make_predictions) -> None:
    predictions = make_predictions(2, 60)
    found = {
        point["true_positive"] + point["false_positive"] for point in thresholds.operating_points(predictions)
    }
    assert found == set(range(61))


def test_one_half_gives_the_confusion_matrix_even_of_ties() -> None:
    logits = np.array([[0, 0], [1, 1], [0, 1e-9], [1e-9, 0], [-80, 80], [3, -3]], np.float32)
    labels = np.array([1, 0, 1, 1, 1, 0])
    predictions = Predictions(tuple("abcdef"), labels, logits, ("no", "yes"))
    entry = compute_metrics(predictions)
    point = next(point for point in entry["operating_points"] if point["threshold"] == 0.5)
    assert [
        [point["true_negative"], point["false_positive"]],
        [point["false_negative"], point["true_positive"]],
    ] == (entry["confusion"])
    np.testing.assert_array_equal(thresholds.apply(predictions, 0.5), predictions.predicted)


def test_chosen_threshold_is_the_cheapest_of_all(make_predictions) -> None:
    predictions = make_predictions(2, 400, strength=1)
    points = thresholds.operating_points(predictions)
    for miss, alarm in ((1, 1), (10, 1), (1, 10), (0, 1), (1, 0)):
        chosen = thresholds.choose_threshold(points, miss, alarm)
        costs = [miss * point["false_negative"] + alarm * point["false_positive"] for point in points]
        counts = _counts(predictions, chosen)
        assert miss * counts["false_negative"] + alarm * counts["false_positive"] == min(costs)


def test_dear_misses_lower_the_threshold(make_predictions) -> None:
    points = thresholds.operating_points(make_predictions(2, 800, strength=1))
    chosen = [thresholds.choose_threshold(points, miss, 1) for miss in (0.1, 1, 10, 100)]
    assert chosen == sorted(chosen, reverse=True)
    assert chosen[0] > chosen[-1]


def test_of_equally_cheap_thresholds_the_ideal_one_is_nearest() -> None:
    logits = np.array([[9, 0], [0, 9]], np.float32)
    points = thresholds.operating_points(Predictions(("a", "b"), np.array([0, 1]), logits, ("no", "yes")))
    assert thresholds.choose_threshold(points, 1, 1) == 0.5


def test_rare_second_class_raises_the_threshold(make_predictions) -> None:
    points = thresholds.operating_points(make_predictions(2, 800, strength=1))
    rare = thresholds.choose_threshold(points, 1, 1, prevalence=0.01)
    assert rare > thresholds.choose_threshold(points, 1, 1, prevalence=0.5)


def test_cost_is_counted_on_the_images_given(make_predictions) -> None:
    chosen_on, measured = make_predictions(2, 300, seed=1), make_predictions(2, 200, seed=2)
    threshold = thresholds.choose_threshold(thresholds.operating_points(chosen_on), 5, 1)
    result = thresholds.measure(measured, threshold, 5, 1)
    counts = _counts(measured, threshold)
    assert {name: result[name] for name in COUNTS} == counts
    cost = (5 * counts["false_negative"] + counts["false_positive"]) / 200
    assert result["cost"]["value"] == pytest.approx(cost)
    assert result["cost"]["low"] < cost < result["cost"]["high"]
    positives = counts["true_positive"] + counts["false_negative"]
    assert result["misses"]["value"] == counts["false_negative"] / positives


def test_cost_intervals_cover_the_true_cost() -> None:
    generator, hits = np.random.default_rng(0), 0
    for seed in range(300):
        misses, alarms = generator.binomial(60, 0.2), generator.binomial(140, 0.1)
        labels = np.repeat([1, 0], [60, 140])
        right = np.concatenate([np.arange(60) >= misses, np.arange(140) >= alarms])
        logits = 4.0 * np.eye(2, dtype=np.float32)[np.where(right, labels, 1 - labels)]
        predictions = Predictions(("",) * 200, labels, logits, ("no", "yes"))
        cost = thresholds.measure(predictions, 0.5, 5, 1, resamples=500, seed=seed)["cost"]
        hits += cost["low"] <= 0.3 * 5 * 0.2 + 0.7 * 0.1 <= cost["high"]
    assert hits / 300 > 0.91


def test_no_mistake_seen_is_not_no_cost() -> None:
    labels = np.arange(40) % 2
    predictions = Predictions(("",) * 40, labels, 5 * np.eye(2, dtype=np.float32)[labels], ("no", "yes"))
    cost = thresholds.measure(predictions, 0.5, 10, 1)["cost"]
    assert (cost["value"], cost["low"]) == (0, 0)
    assert cost["high"] > 0.5


def test_cost_at_another_prevalence_weighs_the_classes_anew(make_predictions) -> None:
    predictions = make_predictions(2, 300, strength=1)
    result = thresholds.measure(predictions, 0.5, 5, 1, prevalence=0.01)
    expected = 0.01 * 5 * result["misses"]["value"] + 0.99 * result["false_alarms"]["value"]
    assert result["cost"]["value"] == pytest.approx(expected)


def test_a_class_without_images_has_no_rate_and_cannot_be_expected(make_predictions) -> None:
    predictions = replace(make_predictions(2, 50), labels=np.zeros(50, int))
    result = thresholds.measure(predictions, 0.5, 5, 1)
    assert result["misses"] is None
    with pytest.raises(DataError, match="second class"):
        thresholds.measure(predictions, 0.5, 5, 1, prevalence=0.1)


@pytest.mark.parametrize(
    ("miss", "alarm", "prevalence", "reason"),
    [
        (-1, 1, None, "miss_cost is -1"),
        (1, np.nan, None, "false_alarm_cost is nan"),
        (0, 0, None, "both 0"),
        (1, 1, 2, "prevalence is 2"),
    ],
)
def test_costs_that_make_no_sense_are_refused(make_predictions, miss, alarm, prevalence, reason) -> None:
    points = thresholds.operating_points(make_predictions(2, 50))
    with pytest.raises(UserError, match=reason):
        thresholds.choose_threshold(points, miss, alarm, prevalence=prevalence)


def test_thresholds_are_for_two_classes_and_probabilities(make_predictions) -> None:
    with pytest.raises(DataError, match="these predictions have 3"):
        thresholds.operating_points(make_predictions(3))
    with pytest.raises(UserError, match="0 to 1"):
        thresholds.apply(make_predictions(2), 1.5)
    with pytest.raises(UserError, match="no operating points"):
        thresholds.choose_threshold([], 1, 1)
