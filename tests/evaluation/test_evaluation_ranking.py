"""Areas under curves against scikit-learn, with ties, absent classes and every kind of output; intervals."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from striate.architectures.outputs import to_logits
from striate.evaluation import compute_metrics
from striate.evaluation.curves import chosen_classes, curves_table, pr_curve, roc_curve
from striate.evaluation.intervals import roc_area
from striate.schemas import Predictions, unguard

TOLERANCE = 1e-9  # sums in another order


def _predictions(logits: np.ndarray, labels: np.ndarray) -> Predictions:
    names = tuple(f"class {k}" for k in range(logits.shape[1]))
    return Predictions(tuple(map(str, range(len(labels)))), labels, logits.astype(np.float32), names)


def _check_areas(predictions: Predictions) -> None:
    """Every area of the entry is scikit-learn's, or null exactly where scikit-learn has none."""
    entry, probabilities = compute_metrics(predictions, resamples=20), predictions.probabilities
    roc, precision, sizes = [], [], []
    for k, row in enumerate(entry["per_class"]):
        positive = predictions.labels == k
        if positive.all() or not positive.any():
            assert row["roc_auc"] is None
            assert row["average_precision"] is None
            continue
        sizes.append(positive.sum())
        roc.append(sklearn_metrics.roc_auc_score(positive, probabilities[:, k]))
        precision.append(sklearn_metrics.average_precision_score(positive, probabilities[:, k]))
        assert row["roc_auc"]["value"] == pytest.approx(roc[-1], abs=TOLERANCE)
        assert row["average_precision"]["value"] == pytest.approx(precision[-1], abs=TOLERANCE)
        for area in ("roc_auc", "average_precision"):
            assert 0 <= row[area]["low"] <= row[area]["value"] <= row[area]["high"] <= 1
    if not sizes:
        assert entry["roc_auc"] is entry["average_precision"] is None
    elif len(entry["per_class"]) > 2:
        for area, values in (("roc_auc", roc), ("average_precision", precision)):
            assert entry[area]["macro"]["value"] == pytest.approx(np.mean(values), abs=TOLERANCE)
            weighted = np.average(values, weights=sizes)
            assert entry[area]["weighted"]["value"] == pytest.approx(weighted, abs=TOLERANCE)


@pytest.mark.parametrize(("classes", "n"), [(2, 300), (3, 60), (10, 200), (1000, 1500)])
def test_areas_match_sklearn(make_predictions, classes, n) -> None:
    _check_areas(make_predictions(classes, n, seed=classes))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_areas_match_sklearn_with_ties_and_absent_classes(data) -> None:
    classes, n = data.draw(st.integers(2, 5)), data.draw(st.integers(1, 25))
    labels = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)))
    cells = data.draw(st.lists(st.integers(0, 2), min_size=n * classes, max_size=n * classes))
    _check_areas(_predictions(np.array(cells).reshape(n, classes), labels))


def test_areas_match_sklearn_where_probabilities_round_to_0_and_1() -> None:
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 3, 200)
    logits = generator.normal(0, 60, (200, 3))
    logits[np.arange(200), labels] += 60
    _check_areas(_predictions(logits, labels))


@pytest.mark.parametrize("output", ["logit", "probability", "log_probabilities"])
def test_every_kind_of_output_gives_the_areas_and_losses_of_its_probabilities(output) -> None:
    generator = np.random.default_rng(0)
    labels, z = generator.integers(0, 2, 400), generator.normal(0, 2, (400, 1))
    z[labels == 1] += 1.5
    p = 1 / (1 + np.exp(-z))
    raw = {"logit": z, "probability": p, "log_probabilities": np.log(np.hstack([1 - p, p]))}[output]
    entry = compute_metrics(_predictions(to_logits(raw, output), labels))
    score = p[:, 0].astype(np.float32)
    assert entry["roc_auc"]["macro"]["value"] == pytest.approx(sklearn_metrics.roc_auc_score(labels, score))
    expected = sklearn_metrics.average_precision_score(labels, score)
    assert entry["average_precision"]["weighted"]["value"] == pytest.approx(expected, abs=1e-6)
    assert entry["log_loss"]["value"] == pytest.approx(sklearn_metrics.log_loss(labels, score), rel=1e-5)
    assert entry["squared_error"]["value"] == pytest.approx(
        sklearn_metrics.brier_score_loss(labels, score), rel=1e-5
    )


@pytest.mark.parametrize(
    ("area", "m", "n"), [(0.5, 10, 10), (0.9, 30, 300), (1.0, 5, 50), (0.0, 4, 4), (0.7, 1, 9)]
)
def test_roc_limits_lie_where_the_estimate_is_z_standard_errors_away(area, m, n) -> None:
    low, high = roc_area(np.array([area]), np.array([m]), np.array([n]))[:, 0]
    z = stats.norm.ppf(0.975)
    for limit in (low, high):
        if limit in (0, 1) or limit == pytest.approx(area, abs=1e-9):
            assert area in (0, 1)
            continue
        q1, q2 = limit / (2 - limit), 2 * limit**2 / (1 + limit)  # Hanley and McNeil 1982
        variance = (limit * (1 - limit) + (m - 1) * (q1 - limit**2) + (n - 1) * (q2 - limit**2)) / (m * n)
        assert abs(area - limit) == pytest.approx(z * np.sqrt(variance), rel=1e-6)
    assert low < high


def test_roc_intervals_cover_the_true_area() -> None:
    generator, hits = np.random.default_rng(1), {0.8: 0, 0.95: 0}
    for true in hits:
        shift = np.sqrt(2) * stats.norm.ppf(true)
        for _ in range(300):
            x, y = generator.normal(shift, 1, 25), generator.normal(0, 1, 100)
            area = np.mean(x[:, None] > y)
            low, high = roc_area(np.array([area]), np.array([25]), np.array([100]))[:, 0]
            hits[true] += low <= true <= high
    assert min(hits.values()) / 300 > 0.93


def test_macro_interval_is_wider_than_if_classes_shared_no_images() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 100)
    logits = generator.normal(0, 1, (300, 3))
    logits[np.arange(300), labels] += 2
    logits[:, 2] = np.where(labels == 2, 9, -9)  # so the first two classes mirror each other
    entry = compute_metrics(_predictions(logits, labels))
    half = [row["roc_auc"]["value"] - row["roc_auc"]["low"] for row in entry["per_class"]]
    macro = entry["roc_auc"]["macro"]
    assert macro["value"] - macro["low"] > 1.25 * np.hypot(half[0], half[1]) / 3


# Curves


@pytest.mark.parametrize("levels", [5, 10_000])
def test_curves_match_sklearn(levels) -> None:
    generator = np.random.default_rng(levels)
    positive = generator.random(150) < 0.3
    score = generator.integers(0, levels, 150) / levels + 0.2 * positive
    false, true, thresholds = sklearn_metrics.roc_curve(positive, score, drop_intermediate=False)
    roc = roc_curve(score, positive)
    assert {tuple(point) for point in roc.round(12)} <= set(
        zip(thresholds.round(12), false.round(12), true.round(12), strict=True)
    )
    assert np.trapezoid(roc[:, 2], roc[:, 1]) == pytest.approx(sklearn_metrics.roc_auc_score(positive, score))
    threshold, recall, precision = pr_curve(score, positive).T
    expected = sklearn_metrics.precision_recall_curve(positive, score)
    points = dict(zip(expected[2], zip(expected[1], expected[0], strict=False), strict=False))
    for cut, x, y in zip(threshold[1:], recall[1:], precision[1:], strict=True):
        assert (x, y) == pytest.approx(points[cut])
    assert np.sum(np.diff(recall) * precision[1:]) == pytest.approx(
        sklearn_metrics.average_precision_score(positive, score)
    )


@pytest.mark.parametrize(("n", "share", "gain"), [(20_000, 0.5, 1), (20_000, 0.01, 2), (50_000, 0.3, 3)])
def test_thinned_curves_keep_their_area(n, share, gain) -> None:
    generator = np.random.default_rng(n)
    positive = generator.random(n) < share
    score = generator.normal(0, 1, n) + gain * positive
    roc, pr = roc_curve(score, positive), pr_curve(score, positive)
    assert len(roc) <= 200
    assert len(pr) <= 200
    assert np.trapezoid(roc[:, 2], roc[:, 1]) == pytest.approx(
        sklearn_metrics.roc_auc_score(positive, score), abs=0.003
    )
    assert np.sum(np.diff(pr[:, 1]) * pr[1:, 2]) == pytest.approx(
        sklearn_metrics.average_precision_score(positive, score), abs=0.01
    )
    for curve in (roc, pr):
        assert (np.diff(curve[:, 1]) >= 0).all()
        assert curve[-1, 1] == 1


def test_curves_table_is_tidy_and_guards_names(make_predictions, naughty_names) -> None:
    predictions = make_predictions(10, 400, names=naughty_names)
    table = curves_table(predictions, compute_metrics(predictions, resamples=20))
    assert list(table.columns) == ["class", "curve", "threshold", "x", "y"]
    assert {unguard(name) for name in table["class"]} == set(naughty_names)
    assert set(table["curve"]) == {"roc", "pr"}
    assert table.groupby(["class", "curve"]).size().max() <= 200


def test_curves_of_many_classes_are_those_of_the_smallest_areas(make_predictions) -> None:
    entry = compute_metrics(make_predictions(120, 1200, strength=1), resamples=20)
    chosen = set(chosen_classes(entry).tolist())
    areas = {k: row["roc_auc"]["value"] for k, row in enumerate(entry["per_class"]) if row["roc_auc"]}
    assert len(chosen) == 50
    assert max(areas[k] for k in chosen) <= min(area for k, area in areas.items() if k not in chosen)


def test_one_class_in_the_labels_has_no_curve() -> None:
    predictions = _predictions(np.eye(3)[[0, 1, 0]], np.zeros(3, int))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = curves_table(predictions, compute_metrics(predictions))
    assert len(table) == 0
    assert list(table.columns) == ["class", "curve", "threshold", "x", "y"]
