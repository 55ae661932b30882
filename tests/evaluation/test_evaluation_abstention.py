"""How many images are answered, and how many of them rightly, against a naive loop."""

import numpy as np
import pytest

from striate.errors import UserError
from striate.evaluation import compute_metrics
from striate.evaluation.abstention import LEVELS, MOST_POINTS, answered_points, at_least, check_threshold
from striate.evaluation.labelled import scores


@pytest.mark.parametrize(("classes", "n"), [(2, 1), (3, 90), (7, 1500)])
def test_points_match_a_naive_loop(make_predictions, classes, n) -> None:
    each = scores(make_predictions(classes, n))
    points = answered_points(each)
    for point in points:
        sure = [number for number in range(n) if each.confidence[number] >= point["threshold"]]
        right = sum(each.predicted[number] == each.labels[number] for number in sure)
        assert (point["answered"], point["correct"]) == (len(sure), right)
    thresholds = [point["threshold"] for point in points]
    assert thresholds == sorted(set(thresholds))
    assert set(LEVELS) <= set(thresholds)
    assert len(points) <= MOST_POINTS + len(LEVELS)


def test_the_first_point_answers_all_and_each_image_has_a_point_where_they_are_few(make_predictions) -> None:
    entry = compute_metrics(make_predictions(4, 80), resamples=100)
    first = entry["answered"][0]
    assert (first["threshold"], first["answered"], first["correct"]) == (0, 80, entry["correct"])
    counts = {point["answered"] for point in entry["answered"]}
    assert set(range(1, 81)) <= counts


def test_equally_sure_images_are_answered_together(make_predictions) -> None:
    predictions = make_predictions(3, 30)
    predictions.logits[:] = [2, 0, 0]
    answered = {point["answered"] for point in answered_points(scores(predictions))}
    assert answered == {0, 30}


def test_the_point_at_a_threshold_answers_the_images_that_reach_it(make_predictions) -> None:
    predictions = make_predictions(3, 60)
    points = answered_points(scores(predictions))
    confidence = predictions.probabilities.max(axis=1)
    for threshold in (0.0, 0.42, 0.77, float(confidence.max())):
        point = at_least(points, threshold)
        assert point is not None
        assert point["answered"] == np.count_nonzero(confidence >= threshold)
    assert at_least(points, 1.0) is None


@pytest.mark.parametrize("threshold", [-0.1, 1.01, 90, float("nan"), float("inf")])
def test_thresholds_that_are_no_probability_are_refused(threshold) -> None:
    with pytest.raises(UserError, match=r"expected a probability, 0 .*--abstain 0\.9"):
        check_threshold(threshold)


@pytest.mark.parametrize("threshold", [0, 0.5, 1])
def test_thresholds_may_be_any_probability(threshold) -> None:
    assert check_threshold(threshold) == threshold
