"""The statistics of comparisons, against naive computation, scikit-learn and simulated studies."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from sklearn.metrics import f1_score

from striate.evaluation.study import Answers, Entry, compare_entries, exchange, paired, repeated, resampling
from striate.evaluation.study.entries import widen
from striate.evaluation.study.paired import Paired

EXACT = 1e-9  # float64, sums of some hundred terms
SIMULATED = 0.025  # rates of 600 to 1,000 simulated studies: nearly three of their standard errors at 0.05


def simulated_runs(generator, runs, images, *, seed_deviation, difficulty=None):
    """bool (runs, images): right answers of networks that share the images and their difficulty."""
    difficulty = generator.normal(0, 1.5, images) if difficulty is None else difficulty
    recipe = generator.normal(0, 0.35, images)  # what one recipe finds harder than another
    skill = generator.normal(0, seed_deviation, (runs, 1))
    return difficulty + recipe + skill + generator.normal(0, 0.7, (runs, images)) > -1


def test_pairs_are_counted_as_in_a_loop():
    generator = np.random.default_rng(0)
    first, second = generator.random((2, 200)) < 0.7
    expected = [sum((a, b) == pair for a, b in zip(first, second, strict=True)) for pair in _CELLS]
    counts = paired.count_pairs(first, second)
    assert [counts.both, counts.only_first, counts.only_second, counts.neither] == expected
    assert counts.difference == pytest.approx(first.mean() - second.mean(), abs=EXACT)


_CELLS = [(True, True), (True, False), (False, True), (False, False)]


@pytest.mark.parametrize(("ours", "theirs"), [(0, 0), (1, 0), (9, 1), (10, 25), (40, 40)])
def test_mcnemar_is_the_sum_of_binomial_probabilities(ours, theirs):
    n = ours + theirs
    probability = [math.comb(n, k) / 2**n for k in range(n + 1)]
    naive = sum(p for p in probability if p <= probability[ours] * (1 + EXACT))
    assert paired.mcnemar(Paired(50, ours, theirs, 5)) == pytest.approx(naive, abs=EXACT)
    assert paired.mcnemar(Paired(50, ours, theirs, 5)) == paired.mcnemar(Paired(0, theirs, ours, 9))


def test_mcnemar_keeps_its_level_on_equally_good_networks():
    generator = np.random.default_rng(1)
    found = []
    for _ in range(600):
        easy = generator.normal(0, 1.5, 300)
        first, second = (easy + generator.normal(0, 0.7, (2, 300))) > -1
        found.append(paired.mcnemar(paired.count_pairs(first, second)) < 0.05)
    assert np.mean(found) <= 0.05 + SIMULATED / 2  # an exact test may stay below its level


@pytest.mark.parametrize(("seeds", "images"), [(2, 30), (2, 100), (3, 30)])
def test_the_interval_of_independent_answers_covers_the_true_mean(seeds, images):
    generator = np.random.default_rng(5)
    covered = 0
    for _ in range(600):
        correct = generator.random((seeds, images)) < 0.97
        entry = {"low": 0.0, "high": 0.0}
        estimate = repeated.mean(correct.mean(axis=1), repeated.image_covariance(correct))
        entry["low"], entry["high"] = estimate.interval(0.95)
        widen(entry, [(1.0, correct)], 0.95)
        covered += entry["low"] <= 0.97 <= entry["high"]
    assert covered / 600 >= 0.95 - SIMULATED


def test_newcombes_interval_covers_the_true_difference():
    generator = np.random.default_rng(2)
    shares = [0.70, 0.12, 0.06, 0.12]  # both, only first, only second, neither
    draws = generator.multinomial(60, shares, 1000).tolist()
    intervals = [paired.difference_interval(Paired(*draw), 0.95) for draw in draws]
    assert np.mean([low <= 0.06 <= high for low, high in intervals]) == pytest.approx(0.95, abs=SIMULATED)


def test_intervals_of_networks_that_never_disagree_have_a_width():
    low, high = paired.difference_interval(Paired(30, 0, 0, 0), 0.95)
    assert low < 0 < high
    assert low == pytest.approx(-high, abs=EXACT)


@pytest.mark.parametrize(("ours", "theirs", "value"), [(12, 4, 3.0), (0, 5, 0.0), (5, 0, None), (0, 0, None)])
def test_odds_ratio_is_the_ratio_of_the_disagreements_and_lies_within_its_limits(ours, theirs, value):
    found = paired.odds_ratio(Paired(20, ours, theirs, 3), 0.95)
    assert found["value"] == (None if value is None else pytest.approx(value, abs=EXACT))
    assert found["low"] <= (math.inf if value is None else value)
    assert value is None or found["high"] is None or value <= found["high"]


def test_image_covariance_is_that_of_a_loop():
    correct = np.random.default_rng(3).random((3, 80)) < 0.6
    expected = np.zeros((3, 3))
    for one in range(3):
        for other in range(3):
            centred = (correct[one] - correct[one].mean()) * (correct[other] - correct[other].mean())
            expected[one, other] = centred.sum() / 79 / 80
    np.testing.assert_allclose(repeated.image_covariance(correct), expected, atol=EXACT)


@pytest.mark.parametrize("seed_deviation", [0.0, 0.15])
def test_recipes_that_are_equal_are_told_apart_no_more_often_than_the_level(seed_deviation):
    generator = np.random.default_rng(4)
    p_values = [_study(generator, seed_deviation).p_value for _ in range(600)]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=SIMULATED)


def test_images_alone_would_tell_equal_recipes_apart_far_too_often():
    generator = np.random.default_rng(5)
    p_values = [_study(generator, 0.15, runs=1).p_value for _ in range(100)]
    assert np.mean(np.array(p_values) < 0.05) > 0.15  # why several seeds are trained


@pytest.mark.parametrize("freedom", [4.0, 12.0, math.inf])
def test_a_detectable_difference_is_found_in_four_of_five_studies(freedom):
    estimate = repeated.Estimate(value=0.0, error=0.01, freedom=freedom)
    shift = estimate.detectable(0.95) / estimate.error
    drawn = np.random.default_rng(6).normal(shift, 1, 20_000)
    if math.isfinite(freedom):
        drawn /= np.sqrt(np.random.default_rng(7).chisquare(freedom, 20_000) / freedom)
    limit = (estimate.interval(0.95)[1] - estimate.value) / estimate.error
    assert np.mean(np.abs(drawn) > limit) == pytest.approx(0.8, abs=SIMULATED)


def _study(generator, seed_deviation, runs=3):
    difficulty = generator.normal(0, 1.5, 300)
    first, second = (
        simulated_runs(generator, runs, 300, seed_deviation=seed_deviation, difficulty=difficulty)
        for _ in range(2)
    )
    covariance = repeated.image_covariance(np.concatenate([first, second]))
    return repeated.difference(first.mean(axis=1), second.mean(axis=1), covariance)


def test_a_mean_over_seeds_covers_what_the_recipe_reaches():
    generator = np.random.default_rng(7)
    truth = simulated_runs(generator, 400, 4000, seed_deviation=0.15).mean()
    covered = []
    for _ in range(300):
        runs = simulated_runs(generator, 3, 300, seed_deviation=0.15)
        low, high = repeated.mean(runs.mean(axis=1), repeated.image_covariance(runs)).interval(0.95)
        covered.append(low <= truth <= high)
    assert np.mean(covered) == pytest.approx(0.95, abs=2 * SIMULATED)  # fewer studies


def test_where_nothing_varies_nothing_is_divided_by_it():
    same = np.ones((4, 10), bool)
    equal = repeated.difference(np.ones(2), np.ones(2), repeated.image_covariance(same))
    assert (equal.value, equal.p_value, equal.interval(0.95)) == (0.0, 1.0, (0.0, 0.0))


@pytest.mark.parametrize("seed", range(6))
def test_the_exchange_test_counts_what_a_loop_counts(seed):
    generator = np.random.default_rng(seed)
    differences = [2 * generator.integers(-3, 4, 6), generator.integers(-2, 3, 4)]
    signs = np.array(list(itertools.product((-1, 1), repeat=6)))
    naive = np.mean(np.abs(signs @ differences[0]) >= abs(differences[0].sum()))
    assert exchange.exchange_test(differences[:1]) == pytest.approx(naive, abs=EXACT)
    both = np.concatenate([differences[0] / 6, 0.5 * differences[1] / 4])
    signs = np.array(list(itertools.product((-1, 1), repeat=10)))
    naive = np.mean(np.abs(signs @ both) >= abs(both.sum()) - EXACT)
    assert exchange.exchange_test(differences, (1 / 6, 0.5 / 4)) == pytest.approx(naive, abs=SIMULATED)


@pytest.mark.parametrize(("ours", "theirs"), [(0, 0), (2, 0), (9, 1), (10, 25), (3100, 2900)])
def test_the_exchange_test_of_single_runs_is_mcnemars(ours, theirs):
    wins = np.repeat([1, -1, 0], [ours, theirs, 30])
    expected = paired.mcnemar(Paired(30, ours, theirs, 0))
    assert exchange.exchange_test([wins]) == pytest.approx(expected, rel=0.05)


def test_the_adjusted_interval_covers_the_mean_of_few_images():
    generator = np.random.default_rng(12)
    drawn = generator.choice([1.0, 0.0, -1.0], p=[0.25, 0.65, 0.1], size=(1000, 12))
    limits = [exchange.adjusted_mean(row, 0.95) for row in drawn]
    assert np.mean([low <= 0.15 <= high for _, low, high in limits]) >= 0.95 - SIMULATED
    assert all(high - low > 0.1 for _, low, high in limits)


@pytest.mark.parametrize("images", [3, 30])
def test_seeds_that_agree_do_not_make_few_images_many(images):
    generator = np.random.default_rng(13)
    found = []
    for _ in range(40):
        difficulty = generator.normal(0, 1.5, images)
        once = simulated_runs(generator, 2, images, seed_deviation=0, difficulty=difficulty)
        predicted = (~np.repeat(once, 3, axis=0)).astype(np.int64)  # all images are of class 0
        names = tuple(map(str, range(images)))
        answers = Answers(names, np.zeros(images, np.int64), ("a", "b"), predicted, np.ones_like(predicted))
        entries = [Entry(name, (f"{name}1", f"{name}2", f"{name}3")) for name in ("one", "other")]
        result = compare_entries(entries, {"test": answers})
        found.append(result["comparisons"][0]["accuracy"]["p_value"] < 0.05)
    assert np.mean(found) <= 0.1  # of 40 studies, at 0.05


def test_macro_f1_is_scikit_learns():
    labels, predicted = _answers(8)
    for ours, row in zip(resampling.macro_f1(labels, predicted, 4), predicted, strict=True):
        assert ours == pytest.approx(f1_score(labels, row, average="macro"), abs=EXACT)


def test_resamples_draw_the_same_images_for_every_run():
    labels, predicted = _answers(9)
    draws = resampling.macro_f1_draws(labels, np.stack([predicted[0], predicted[0]]), 4, resamples=50)
    np.testing.assert_array_equal(draws[0], draws[1])
    apart = resampling.macro_f1_draws(labels, predicted, 4, resamples=400)
    assert np.std(apart[0] - apart[1]) < 0.9 * np.hypot(np.std(apart[0]), np.std(apart[1]))


def test_resamples_spread_as_those_of_a_loop():
    labels, predicted = _answers(10)
    generator = np.random.default_rng(11)
    naive = []
    for _ in range(400):
        drawn = [
            generator.choice(places, len(places))
            for places in (np.flatnonzero(labels == label) for label in range(4))
        ]
        chosen = np.concatenate(drawn)
        scores = [f1_score(labels[chosen], row[chosen], average="macro") for row in predicted]
        naive.append(scores[0] - scores[1])
    ours = resampling.macro_f1_draws(labels, predicted, 4, resamples=400)
    assert np.std(ours[0] - ours[1]) == pytest.approx(np.std(naive), rel=0.15)  # both of 400 draws


def _answers(seed):
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), 40)
    easy = generator.random(160) < 0.5
    wrong = generator.integers(0, 4, (2, 160))
    right = easy | (generator.random((2, 160)) < 0.5)
    return labels, np.where(right, labels, wrong)
