import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from striate.data.draws import beta, draws, order

INDICES = np.arange(20_000)
SIGNIFICANCE = 1e-4  # a seeded test rejects a good generator once in ten thousand changes to it


def test_draws_lie_in_the_half_open_unit_interval():
    values = draws(3, 1, INDICES, 5, "test")
    assert values.shape == (len(INDICES), 5)
    assert values.dtype == np.float64
    assert values.min() >= 0
    assert values.max() < 1


@pytest.mark.parametrize("column", range(4))
def test_draws_of_neighbouring_indices_are_uniform(column):
    values = draws(0, 0, INDICES, 4, "test")[:, column]
    assert stats.kstest(values, "uniform").pvalue > SIGNIFICANCE


def test_draws_of_neighbouring_columns_seeds_and_epochs_are_uniform():
    index = np.asarray([7])
    assert stats.kstest(draws(0, 0, index, 5000, "test")[0], "uniform").pvalue > SIGNIFICANCE
    by_seed = [draws(seed, 0, index, 1, "test")[0, 0] for seed in range(2000)]
    assert stats.kstest(by_seed, "uniform").pvalue > SIGNIFICANCE
    by_epoch = [draws(0, epoch, index, 1, "test")[0, 0] for epoch in range(2000)]
    assert stats.kstest(by_epoch, "uniform").pvalue > SIGNIFICANCE


@pytest.mark.parametrize(
    "others",
    [
        draws(1, 0, INDICES, 1, "test"),
        draws(0, 1, INDICES, 1, "test"),
        draws(0, 0, INDICES + 1, 1, "test"),
        draws(0, 0, INDICES, 2, "test")[:, 1:],
        draws(0, 0, INDICES, 1, "tesu"),
    ],
    ids=["seed", "epoch", "index", "column", "stream"],
)
def test_draws_that_differ_in_one_word_are_independent(others):
    values = draws(0, 0, INDICES, 1, "test")[:, 0]
    counts, _, _ = np.histogram2d(values, others[:, 0], bins=10, range=[[0, 1], [0, 1]])
    assert stats.chisquare(counts.ravel()).pvalue > SIGNIFICANCE
    assert abs(np.corrcoef(values, others[:, 0])[0, 1]) < 4 / np.sqrt(len(values))


def test_seed_and_epoch_are_not_interchangeable():
    index = np.arange(100)
    assert not np.isin(draws(1, 2, index, 3, "test"), draws(2, 1, index, 3, "test")).any()


def test_draws_of_many_words_do_not_collide():
    values = np.concatenate(
        [draws(s, e, np.arange(500), 8, "test").ravel() for s in range(5) for e in range(5)]
    )
    assert len(np.unique(values)) == len(values)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 10**6),
    indices=st.lists(st.integers(0, 10**9), min_size=1, max_size=20),
    columns=st.integers(1, 6),
)
def test_a_draw_does_not_depend_on_its_batch_or_on_other_columns(seed, epoch, indices, columns):
    together = draws(seed, epoch, np.asarray(indices), columns, "test")
    alone = [draws(seed, epoch, np.asarray([index]), columns + 3, "test")[0, :columns] for index in indices]
    np.testing.assert_array_equal(together, np.asarray(alone))


def test_no_columns_and_no_indices_give_empty_draws():
    assert draws(0, 0, np.arange(4), 0, "test").shape == (4, 0)
    assert draws(0, 0, np.arange(0), 3, "test").shape == (0, 3)


@pytest.mark.parametrize("n", [0, 1, 2, 10, 1000])
def test_order_is_a_permutation_that_repeats(n):
    first = order(5, 2, n)
    assert first.dtype == np.int64
    np.testing.assert_array_equal(np.sort(first), np.arange(n))
    np.testing.assert_array_equal(first, order(5, 2, n))


def test_order_changes_with_seed_and_epoch():
    orders = [order(seed, epoch, 100) for seed in range(3) for epoch in range(3)]
    assert len({tuple(sequence) for sequence in orders}) == 9


def test_every_image_is_equally_likely_at_every_place():
    firsts = np.bincount([order(0, epoch, 5)[0] for epoch in range(3000)], minlength=5)
    assert stats.chisquare(firsts).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("a", [0.1, 0.4, 1.0, 3.0])
def test_beta_draws_follow_the_beta_distribution(a):
    values = beta(draws(0, 0, INDICES, 1, "test")[:, 0], a)
    assert stats.kstest(values, stats.beta(a, a).cdf).pvalue > SIGNIFICANCE


def test_beta_of_one_is_uniform_and_its_ends_are_finite():
    uniform = np.asarray([0.0, 0.25, 0.5, 1 - 2.0**-53])
    np.testing.assert_allclose(beta(uniform, 1.0), uniform, rtol=1e-12)
    assert np.isfinite(beta(uniform, 0.05)).all()
