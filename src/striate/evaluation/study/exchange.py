"""Few images: what tossing coins gives, and what two imagined images add.

Where a handful of images decide, the spread that they show says little: it is 0 where all agree. The test
here needs no spread, and the interval counts two images that nobody saw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

MOST_COUNTED = 5_000
"""Images that differ, up to which all outcomes are counted; of more, their sum is as good as normal."""
DRAWS = 20_000
"""Tosses of all coins, where several sets are weighed: the smallest p value is then 1 / 20,001."""


def exchange_test(differences: Sequence[np.ndarray], weights: Sequence[float] = (1.0,)) -> float:
    """Return the probability, were both exchangeable on every image, of a difference as large or larger.

    Fisher's randomisation test of pairs, two-sided: each image's difference keeps its size and gets its sign
    by the toss of a coin. Of one set all outcomes are counted; for differences of -1, 0 and 1 that is
    McNemar's exact test. Of several sets `DRAWS` outcomes are drawn, always the same.
    Source: R. A. Fisher, The Design of Experiments (1935), section 21.

    Args:
        differences: int (n,) for each set; by how much the first is better on each image.
        weights: what a unit of difference counts, for each set; above 0.
    """
    if len(differences) == 1:
        return _counted(differences[0])
    generator = np.random.default_rng(0)
    observed, most, drawn = 0.0, 0.0, np.zeros(DRAWS)
    for values, weight in zip(differences, weights, strict=True):
        observed += weight * float(values.sum())
        most += weight * float(np.abs(values).sum())
        drawn += weight * _tossed(values, generator)
    beyond = np.count_nonzero(np.abs(drawn) >= abs(observed) - 1e-9 * most)  # sums in another order
    return float((beyond + 1) / (DRAWS + 1))


def adjusted_mean(values: np.ndarray, level: float) -> tuple[float, float, float]:
    """Return the mean of per-image differences, drawn towards 0, and its limits.

    Two images are imagined, one with a difference of 1 and one with -1, so that no interval is of zero width.
    Source: D. G. Bonett and R. M. Price, Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data, Journal of Educational and Behavioral Statistics 37 (2012) 479-488.

    Args:
        values: float (n,), mostly within [-1, 1].
        level: of the interval.
    """
    imagined = np.append(values, (1.0, -1.0))
    half = NormalDist().inv_cdf((1 + level) / 2) * float(imagined.std()) / math.sqrt(len(imagined))
    mean = float(imagined.mean())
    return mean, mean - half, mean + half


def with_imagined(correct: np.ndarray, first: int) -> np.ndarray:
    """Return the answers with two imagined images: one that only the first recipe names, one only the second.

    Args:
        correct: bool (R, n), whether each run names each image correctly.
        first: how many of the runs are of the first recipe; they stand before the others.
    """
    ours = np.arange(len(correct)) < first
    return np.column_stack([correct, ours, ~ours])


def _counted(values: np.ndarray) -> float:
    """Count all outcomes: their distribution is the product of the coins' transforms, cos(v t) each."""
    sizes, counts = _sizes(values)
    if not len(sizes):
        return 1.0
    if counts.sum() > MOST_COUNTED:
        return 2 * NormalDist().cdf(-abs(float(values.sum())) / math.sqrt(float(sizes**2 @ counts)))
    unit = int(np.gcd.reduce(sizes))
    sizes, observed = sizes // unit, abs(int(values.sum())) // unit
    total = int(sizes @ counts)
    length = 2 * total + 1
    turns = 2 * np.pi * np.arange(total + 1) / length
    transform = np.ones(total + 1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        transform *= np.cos(size * turns) ** count
    chances = np.fft.irfft(transform, length)
    nearer = chances[0] + 2 * chances[1:observed].sum() if observed else 0.0
    return float(np.clip(1 - nearer, 0.0, 1.0))


def _tossed(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Sums of the differences with drawn signs, int64 (DRAWS,)."""
    sums = np.zeros(DRAWS, np.int64)
    for size, count in zip(*_sizes(values), strict=True):
        sums += size * (2 * generator.binomial(count, 0.5, DRAWS) - count)
    return sums


def _sizes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sizes of differences that are not 0, and how many images have each."""
    sizes, counts = np.unique(np.abs(values[values != 0]).astype(np.int64), return_counts=True)
    return sizes, counts
