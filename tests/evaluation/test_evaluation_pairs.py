"""Confused pairs and their test against scipy."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from striate.evaluation import compute_metrics
from striate.evaluation.pairs import binomial_test, confused_pairs, holm


@given(st.data())
def test_binomial_test_matches_scipy(data) -> None:
    n = data.draw(st.integers(1, 200))
    successes = data.draw(st.integers(0, n))
    share = data.draw(st.integers(1, 99)) / 100
    expected = stats.binomtest(successes, n, share).pvalue
    # SciPy loses digits near the smallest float64; the next test is against exact fractions there
    assert binomial_test(successes, n, share) == pytest.approx(expected, rel=1e-6, abs=1e-280)


def test_binomial_test_is_exact_where_scipy_loses_digits() -> None:
    n, successes, share = 174, 158, Fraction(1, 100)
    tail = sum(
        math.comb(n, count) * share**count * (1 - share) ** (n - count) for count in range(successes, n + 1)
    )
    assert binomial_test(successes, n, float(share)) == pytest.approx(float(tail), rel=1e-10, abs=0)


@pytest.mark.parametrize(
    ("successes", "n", "share", "p"), [(0, 0, 0.5, 1), (0, 3, 0, 1), (3, 3, 1, 1), (1, 3, 0, 0)]
)
def test_binomial_test_of_what_cannot_vary(successes, n, share, p) -> None:
    assert binomial_test(successes, n, share) == p


def test_holm_matches_a_worked_example() -> None:
    # 0.01 * 4, 0.02 * 3, max(0.03 * 2, 0.06), max(0.04 * 1, 0.06)
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_most_confused_pair_comes_first_with_both_directions() -> None:
    confusion = np.array([[50, 9, 2], [1, 50, 0], [3, 0, 50]])
    pairs = confused_pairs(confusion, "abc")
    assert [(p["first"], p["second"], p["first_as_second"], p["second_as_first"]) for p in pairs] == [
        ("a", "b", 9, 1),
        ("a", "c", 2, 3),
    ]
    assert pairs[0]["p_value"] == pytest.approx(stats.binomtest(9, 10, 61 / 112).pvalue)


def test_verdict_follows_from_the_counts() -> None:
    def verdict(there: int, back: int, first: int = 100, second: int = 100) -> str:
        confusion = np.array([[first - there, there], [back, second - back]])
        return confused_pairs(confusion, "ab")[0]["verdict"]

    assert verdict(20, 2) == verdict(2, 20) == "one-sided"
    assert verdict(11, 9) == "not distinguishable"
    assert verdict(5, 0) == "too few"  # 2 / 2**5 > 0.05
    assert verdict(6, 0) == "one-sided"
    assert verdict(8, 1, first=900) == "not distinguishable"  # as easily, given nine times the images


def test_a_pair_of_a_class_without_images_cannot_be_judged() -> None:
    pair = confused_pairs(np.array([[10, 30], [0, 0]]), "ab")[0]
    assert (pair["verdict"], pair["p_value"]) == ("too few", 1)


def test_p_values_are_right_where_both_directions_are_alike() -> None:
    generator, rejected = np.random.default_rng(0), 0
    for _ in range(400):
        there, back = generator.binomial(200, 0.1), generator.binomial(400, 0.1)
        rejected += binomial_test(there, there + back, 1 / 3) < 0.05
    assert rejected / 400 < 0.06


def test_at_most_twenty_pairs_and_names_of_the_classes(make_predictions) -> None:
    entry = compute_metrics(make_predictions(30, 900, strength=1), resamples=20)
    pairs = entry["confused_pairs"]
    assert len(pairs) == 20
    totals = [pair["first_as_second"] + pair["second_as_first"] for pair in pairs]
    assert totals == sorted(totals, reverse=True)
    assert {pair["first"] for pair in pairs} <= {row["name"] for row in entry["per_class"]}
    assert all(pair["p_value"] <= pair["p_adjusted"] <= 1 for pair in pairs)


def test_no_mistake_no_pair() -> None:
    assert confused_pairs(np.diag([3, 4]), "ab") == []
