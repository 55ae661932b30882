"""Temperature scaling against a grid search, closed forms, and sets that tempt it to go too far."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import log_loss

from striate.errors import DataError
from striate.evaluation import compute_metrics
from striate.evaluation.temperature import HIGHEST, LEAST_IMAGES, LOWEST, PRIOR_IMAGES, fit_temperature
from striate.schemas import Predictions

SAMPLING = 0.05
"""Temperatures fitted to 8,000 images lie within this share of the true one (over five deviations)."""


def drawn(n: int, temperature: float = 1.0, *, classes: int = 5, seed: int = 0) -> Predictions:
    """Labels drawn from the softmax of logits, which are then multiplied by `temperature`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (n, classes))
    labels = (logits + generator.gumbel(size=logits.shape)).argmax(axis=1)
    names = tuple(f"class {number}" for number in range(classes))
    return Predictions(("",) * n, labels, (temperature * logits).astype(np.float32), names)


def decided(n: int, right: int, classes: int = 3, margin: float = 6.0) -> Predictions:
    """Equally sure of every image; the first `right` are named correctly."""
    labels = np.arange(n) % classes
    logits = np.zeros((n, classes), np.float32)
    named = np.where(np.arange(n) < right, labels, (labels + 1) % classes)
    logits[np.arange(n), named] = margin
    return Predictions(("",) * n, labels, logits, tuple("abcdefgh"[:classes]))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("classes", [2, 5, 40])
def test_the_factor_of_too_sure_or_unsure_logits_is_found(temperature, classes) -> None:
    fitted = fit_temperature(drawn(8000, temperature, classes=classes))
    assert fitted == pytest.approx(temperature, rel=SAMPLING)


def test_it_has_the_least_loss_of_a_fine_grid() -> None:
    """With the images of the prior as weighted rows of scikit-learn's log loss."""
    known = drawn(300, 2.0)
    n, own = len(known.labels), known.probabilities

    def penalised(temperature: float) -> float:
        probabilities = known.at_temperature(temperature).probabilities
        loss = n * log_loss(known.labels, probabilities, labels=range(5))
        return loss - PRIOR_IMAGES * float(np.mean(np.sum(own * np.log(probabilities), axis=1)))

    grid = np.geomspace(0.5, 5, 400)
    best = grid[np.argmin([penalised(temperature) for temperature in grid])]
    assert fit_temperature(known) == pytest.approx(best, rel=0.01)


def test_of_equally_sure_images_it_gives_the_share_that_is_right() -> None:
    """The closed form: one confidence c, a share right r (prior included): softmax must give r."""
    n, right, classes, margin = 200, 150, 3, 6.0
    temperature = fit_temperature(decided(n, right, classes, margin))
    sure = 1 / (1 + (classes - 1) * np.exp(-margin))
    share = (right + PRIOR_IMAGES * sure) / (n + PRIOR_IMAGES)
    expected = margin / np.log((classes - 1) * share / (1 - share))
    assert temperature == pytest.approx(expected, rel=1e-5)


def test_accuracy_stays_and_the_calibration_error_of_new_images_falls() -> None:
    temperature = fit_temperature(drawn(1000, 3.0, seed=1))
    entry = compute_metrics(drawn(2000, 3.0, seed=2), temperature=temperature, resamples=100)
    before = compute_metrics(drawn(2000, 3.0, seed=2), resamples=100)
    assert entry["accuracy"] == before["accuracy"]
    assert entry["confusion"] == before["confusion"]
    assert before["calibration"]["ece"]["value"] > 0.15
    assert entry["calibration"]["ece"]["value"] < 0.03
    assert entry["log_loss"]["value"] < before["log_loss"]["value"]


def test_an_entry_keeps_what_probabilities_were_before() -> None:
    predictions = drawn(400, 3.0)
    entry = compute_metrics(predictions, temperature=2.0, resamples=100)
    raw = compute_metrics(predictions, resamples=100)
    halved = compute_metrics(replace(predictions, logits=predictions.logits / 2), resamples=100)
    before = entry["calibration"]["before"]
    for score, expected in (
        ("log_loss", raw["log_loss"]),
        ("brier", raw["brier"]),
        ("ece", raw["calibration"]["ece"]),
    ):
        assert before[score] == pytest.approx(expected)  # sums of other columns round otherwise
    assert before["bins"] == raw["calibration"]["bins"]
    for row, expected in zip(entry["calibration"]["bins"], halved["calibration"]["bins"], strict=True):
        assert row == pytest.approx(expected)
    assert entry["log_loss"]["value"] == pytest.approx(halved["log_loss"]["value"])
    assert "before" not in raw["calibration"]


@pytest.mark.parametrize("n", [LEAST_IMAGES, 100, 2000])
def test_all_right_makes_surer_within_reason(n) -> None:
    assert LOWEST < fit_temperature(decided(n, n, margin=2.0)) < 1


def test_all_wrong_ends_at_the_limit() -> None:
    assert fit_temperature(decided(60, 0)) == HIGHEST


def test_a_small_set_moves_it_less_than_a_large_one() -> None:
    few, many = (fit_temperature(decided(n, n // 2, 2, 2.0)) for n in (20, 2000))
    assert 1 < few < many


def test_a_class_without_validation_images_does_no_harm() -> None:
    known = drawn(8000, 2.0)
    kept = known.labels != 3
    logits = known.logits.copy()
    logits[:, 3] = -1e4  # it is never meant either
    images = tuple(np.array(known.images)[kept])
    fitted = fit_temperature(Predictions(images, known.labels[kept], logits[kept], known.class_names))
    assert np.isfinite(fitted)
    assert fitted == pytest.approx(2.0, rel=0.1)


def test_logits_of_any_size_are_borne() -> None:
    known = drawn(200, 1.0)
    assert fit_temperature(replace(known, logits=known.logits * np.float32(1e30))) == HIGHEST
    assert LOWEST <= fit_temperature(replace(known, logits=known.logits * np.float32(0))) <= HIGHEST
    shifted = replace(known, logits=known.logits.astype(np.float64) + 1e3)
    assert fit_temperature(shifted) == pytest.approx(fit_temperature(known))


@pytest.mark.parametrize("known", [drawn(100, 0.0), decided(60, 60, margin=1e3), decided(60, 60, margin=1e6)])
def test_where_no_temperature_is_better_it_is_one(known) -> None:
    """Logits all equal, or all right and saturated: the loss depends on nothing."""
    assert fit_temperature(known) == 1


def test_what_cannot_be_calibrated_is_refused() -> None:
    known = drawn(100)
    with pytest.raises(DataError, match="too few"):
        fit_temperature(drawn(LEAST_IMAGES - 1))
    with pytest.raises(DataError, match="has a known label"):
        fit_temperature(replace(known, labels=np.full(100, -1)))
    for value in (np.inf, np.nan):
        logits = known.logits.copy()
        logits[7, 1] = value
        with pytest.raises(DataError, match="NaN or infinity"):
            fit_temperature(replace(known, logits=logits))
