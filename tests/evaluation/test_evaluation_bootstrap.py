"""The stratified bootstrap against a naive loop and theory, and what its intervals promise."""

import numpy as np
import pytest

from striate.evaluation import bootstrap, compute_metrics, wilson
from striate.evaluation.bootstrap import skewed_limits
from striate.evaluation.intervals import sum_interval
from striate.evaluation.labelled import scores
from striate.schemas import Predictions


def _draw(predictions: Predictions, resamples: int = 4000, columns: np.ndarray | None = None, seed: int = 0):
    each = scores(predictions)
    values = each.log_loss[:, None] if columns is None else columns
    return bootstrap.draw(each, len(predictions.class_names), values, resamples=resamples, seed=seed)


def test_resamples_vary_as_new_images_would(make_predictions) -> None:
    predictions = make_predictions(3, 40)
    each, draws = scores(predictions), _draw(predictions)
    expected = np.zeros(3)
    loss = 0.0
    for k in range(3):
        own = each.labels == k
        m = own.sum()
        expected[k] = m * np.var(each.correct[own], ddof=1)  # of a sum of m independent images
        loss += m * np.var(each.log_loss[own], ddof=1)
    np.testing.assert_allclose(draws.correct.var(axis=0), expected, rtol=0.1, atol=1e-9)
    np.testing.assert_allclose(draws.correct.mean(axis=0), np.bincount(each.labels, each.correct), rtol=0.02)
    assert draws.sums.var() == pytest.approx(loss, rel=0.1)


def test_every_resample_is_one_that_a_naive_loop_could_draw(make_predictions) -> None:
    """Columns mark each image, so that the sums say how often it counts; the counts must follow from that."""
    predictions = make_predictions(4, 30, seed=2)
    each, draws = scores(predictions), _draw(predictions, 50, np.eye(30))
    sizes = np.bincount(each.labels, minlength=4)
    for weights, correct, named in zip(draws.sums, draws.correct, draws.named, strict=True):
        for k in range(4):
            assert weights[each.labels == k].sum() == pytest.approx(sizes[k])
            assert correct[k] == pytest.approx(weights[(each.labels == k) & each.correct].sum())
            assert named[k] == pytest.approx(weights[each.predicted == k].sum())
        factor = (sizes / np.maximum(sizes - 1, 1))[each.labels]
        np.testing.assert_allclose(weights / factor, (weights / factor).round(), atol=1e-9)


def test_same_seed_same_numbers_other_seed_others(make_predictions) -> None:
    predictions = make_predictions(3, 50)
    assert compute_metrics(predictions) == compute_metrics(predictions)
    other = compute_metrics(predictions, seed=1)
    assert other["bootstrap"]["seed"] == 1
    assert other["f1"]["macro"]["value"] == compute_metrics(predictions)["f1"]["macro"]["value"]
    assert other["f1"]["macro"]["low"] != compute_metrics(predictions)["f1"]["macro"]["low"]


def test_chunks_of_resamples_do_not_matter(make_predictions, monkeypatch) -> None:
    monkeypatch.setattr(bootstrap, "CHUNK_DRAWS", 100)
    draws = _draw(make_predictions(3, 40), 333)
    assert draws.correct.shape == (333, 3)


def test_many_images_get_fewer_resamples(make_predictions, monkeypatch) -> None:
    monkeypatch.setattr(bootstrap, "_MOST_DRAWS", 30_000)
    assert len(_draw(make_predictions(2, 100), 1000)) == 300
    assert len(_draw(make_predictions(2, 1000), 1000)) == bootstrap.FEWEST_RESAMPLES
    assert len(_draw(make_predictions(2, 1000), 10)) == 10


def test_intervals_hold_their_value_and_stay_possible(make_predictions) -> None:
    for classes, n, strength in ((2, 1, 0), (2, 2, 0), (3, 7, 5), (40, 60, 1), (5, 300, 9)):
        entry = compute_metrics(make_predictions(classes, n, strength=strength, seed=n))
        found = [entry[name] for name in ("balanced_accuracy", "brier", "log_loss")]
        found += [entry["calibration"]["ece"], *entry["top_k"].values()]
        found += [
            entry[name][kind] for name in ("precision", "recall", "f1") for kind in ("macro", "weighted")
        ]
        found += [row[name] for row in entry["per_class"] for name in ("precision", "recall", "f1")]
        for score in found:
            assert 0 <= score["low"] <= score["value"]
            assert score["high"] is None or score["value"] <= score["high"]


def test_all_right_is_not_taken_for_certainty() -> None:
    labels = np.arange(30) % 3
    logits = 9 * np.eye(3, dtype=np.float32)[labels]
    entry = compute_metrics(Predictions(tuple(map(str, range(30))), labels, logits, ("a", "b", "c")))
    for metric in ("precision", "recall", "f1"):
        assert entry[metric]["macro"]["value"] == 1
        assert 0.75 < entry[metric]["macro"]["low"] < 0.95
    low = wilson(10, 10)[0]
    assert entry["recall"]["macro"]["low"] == pytest.approx(1 - (1 - low) / np.sqrt(3))
    assert entry["per_class"][0]["f1"]["low"] == pytest.approx(2 * low / (1 + low))
    assert entry["calibration"]["ece"]["high"] > 0.1


def test_one_image_tells_next_to_nothing(make_predictions) -> None:
    entry = compute_metrics(make_predictions(3, 1, strength=9))
    assert entry["log_loss"]["high"] is None
    assert (entry["brier"]["low"], entry["brier"]["high"]) == (0, 2)
    assert (entry["calibration"]["ece"]["low"], entry["calibration"]["ece"]["high"]) == (0, 1)
    assert entry["f1"]["macro"]["low"] < 0.4
    assert entry["roc_auc"] is None


def test_classes_of_one_image_still_make_means_uncertain(make_predictions) -> None:
    predictions = make_predictions(50, 50, strength=2)
    alone = Predictions(predictions.images, np.arange(50), predictions.logits, predictions.class_names)
    losses = scores(alone).log_loss
    entry = compute_metrics(alone)["log_loss"]
    half = 1.96 * losses.std(ddof=1) / np.sqrt(50)
    assert entry["high"] - entry["value"] == pytest.approx(half, rel=1e-3)


def test_few_images_are_said_to_be_few(make_predictions) -> None:
    rows = compute_metrics(make_predictions(8, 80))["per_class"]
    assert [row["few"] for row in rows] == [row["samples"] < 10 for row in rows]
    assert {True, False} == {row["few"] for row in rows}


@pytest.mark.parametrize(("classes", "each", "strength"), [(3, 30, 2.5), (8, 12, 3.0)])
def test_intervals_cover_the_truth(make_predictions, classes, each, strength) -> None:
    """Of 150 intervals that should cover with 95 %, fewer than 132 would do so once in 2,000 such tests."""

    def sample(n: int, seed: int) -> Predictions:
        generator = np.random.default_rng(seed)
        labels = np.repeat(np.arange(classes), n)
        logits = generator.normal(0, 1.5, (len(labels), classes))
        logits[np.arange(len(labels)), labels] += strength
        return Predictions(("",) * len(labels), labels, logits.astype(np.float32), ("",) * classes)

    def picked(entry: dict) -> list[dict]:
        return [
            entry["f1"]["macro"],
            entry["precision"]["weighted"],
            entry["balanced_accuracy"],
            entry["log_loss"],
            entry["brier"],
            entry["calibration"]["ece"],
            entry["roc_auc"]["macro"],
            entry["average_precision"]["macro"],
        ]

    truth = [score["value"] for score in picked(compute_metrics(sample(20_000, 1), resamples=20))]
    covered = np.zeros(len(truth))
    for seed in range(150):
        found = picked(compute_metrics(sample(each, 100 + seed), resamples=400))
        covered += [score["low"] <= value <= score["high"] for score, value in zip(found, truth, strict=True)]
    assert covered.min() >= 132, covered


def test_the_loss_of_a_network_that_is_too_sure_is_covered_on_either_side() -> None:
    """Few images cost most: percentiles alone lay below the truth in 10 of 100 cases."""

    def loss(n: int, seed: int) -> np.ndarray:
        margins = 5 * np.random.default_rng(seed).normal(2.5, 2**0.5, n)
        return np.logaddexp(0, -margins)

    truth = loss(1_000_000, 1).mean()
    outside = np.zeros(2)
    for seed in range(300):
        values, generator = loss(200, 100 + seed), np.random.default_rng(seed)
        draws = values[generator.integers(0, 200, (500, 200))].mean(axis=1)
        low, high = skewed_limits(values.mean(), draws, 0.95)
        outside += (low > truth, high < truth)
    assert outside.max() <= 15, outside


def test_limits_of_draws_that_do_not_lean_are_those_of_a_normal() -> None:
    draws = np.concatenate([np.linspace(-1, 1, 101), [0]]) + 5
    low, high = skewed_limits(5.0, draws, 0.95)
    assert (low, high) == pytest.approx((5 - 1.959964 * draws.std(), 5 + 1.959964 * draws.std()))
    assert skewed_limits(0.3, np.full(10, 0.3), 0.95) == (0.3, 0.3)


def test_sum_interval_of_equal_parts_shrinks_with_their_number() -> None:
    parts = [np.full(4, value) for value in (0.5, 0.3, 0.8)]
    low, high = sum_interval(*parts, np.full(4, 0.25))
    assert (low, high) == pytest.approx((0.5 - 0.1, 0.5 + 0.15))
    assert sum_interval(*parts, np.full(4, 0.25), correlation=4)[0] == pytest.approx(0.3)
