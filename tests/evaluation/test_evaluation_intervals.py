"""Wilson's interval: published values, scipy-free oracle, properties, bad input."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.evaluation import wilson


def _solved(successes: int, n: int, z: float) -> tuple[float, float]:
    """The roots of (share - p)² = z² p (1 - p) / n, which is how Wilson defines the interval."""
    share = successes / n
    a, b, c = 1 + z * z / n, -(2 * share + z * z / n), share * share
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_solves_its_defining_equation(counts: tuple[int, int]) -> None:
    successes, n = counts
    low, high = wilson(successes, n)
    expected_low, expected_high = _solved(successes, n, 1.959963984540054)
    assert low == pytest.approx(expected_low, abs=1e-7)  # the roots lose digits where b² is close to 4ac
    assert high == pytest.approx(expected_high, abs=1e-7)
    assert 0 <= low <= successes / n <= high <= 1


def test_wilson_matches_published_values() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_mirrors_when_successes_and_failures_swap(successes: int, failures: int) -> None:
    low, high = wilson(successes, successes + failures)
    mirrored_low, mirrored_high = wilson(failures, successes + failures)
    assert (low, high) == pytest.approx((1 - mirrored_high, 1 - mirrored_low), abs=1e-12)


def test_wilson_widens_with_level_and_narrows_with_n() -> None:
    def width(successes: int, n: int, level: float) -> float:
        low, high = wilson(successes, n, level)
        return high - low

    assert width(8, 10, 0.8) < width(8, 10, 0.95) < width(8, 10, 0.99)
    assert width(800, 1000, 0.95) < width(80, 100, 0.95) < width(8, 10, 0.95)


def test_wilson_of_nothing_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_wilson_reaches_the_ends_exactly() -> None:
    assert wilson(0, 7)[0] == 0
    assert wilson(7, 7)[1] == 1


@pytest.mark.parametrize(
    ("successes", "n", "level"), [(-1, 3, 0.95), (4, 3, 0.95), (1, 3, 0), (1, 3, 1), (1, 3, 95)]
)
def test_wilson_refuses_impossible_counts_and_levels(successes: int, n: int, level: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        wilson(successes, n, level)
