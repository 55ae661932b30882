"""How far metrics would move with other test images of the same classes: the stratified bootstrap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from striate.evaluation.labelled import Scores

RESAMPLES = 1000
FEWEST_RESAMPLES = 200
SEED = 0
CHUNK_DRAWS = 2_000_000
"""Images drawn at once."""
METHOD = "percentile, stratified by true class"
_MOST_DRAWS = 100_000_000  # images drawn in all: with more than 100,000 images there are fewer resamples


@dataclass(frozen=True)
class Resamples:
    """Sums over the images of each of B resamples; every class keeps its number of images, n_k.

    Attributes:
        samples: float64 (K,), n_k.
        correct: float64 (B, K), images of each class named correctly.
        named: float64 (B, K), images named as each class, rightly or wrongly.
        sums: float64 (B, M), sums of the columns that `draw` was given.
    """

    samples: np.ndarray
    correct: np.ndarray
    named: np.ndarray
    sums: np.ndarray

    def __len__(self) -> int:
        """B."""
        return len(self.correct)


def draw(
    scores: Scores,
    classes: int,
    columns: np.ndarray,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Resamples:
    """Draw images with replacement within each true class, and sum what they hold.

    From a class of m images m - 1 are drawn, each counted m / (m - 1) times: so the sums vary as much as
    those of new images would (unbiased), where m drawn ones vary less by the factor (m - 1) / m. A class
    of one image cannot vary.
    Source: J. N. K. Rao and C. F. J. Wu, Resampling inference with complex survey data, Journal of the
    American Statistical Association 83 (1988) 231-241.

    Args:
        scores: of n labelled images.
        classes: K.
        columns: float64 (n, M), further quantities to sum.
        resamples: B; fewer, but not under 200, where n is above 100,000.
        seed: the same seed gives the same resamples.
    """
    images = np.argsort(scores.labels, kind="stable")
    sizes = np.bincount(scores.labels, minlength=classes)
    count = int(np.clip(_MOST_DRAWS // len(images), min(resamples, FEWEST_RESAMPLES), resamples))
    rows = max(1, CHUNK_DRAWS // len(images))
    generator = np.random.default_rng(seed)
    correct = scores.correct[images]
    wrong = np.flatnonzero(~correct)
    wrong = wrong[np.argsort(scores.predicted[images[wrong]], kind="stable")]
    taken_for = scores.predicted[images[wrong]]
    parts = []
    for start in range(0, count, rows):
        drawn = weights(generator, sizes, min(rows, count - start))
        hits = _grouped(drawn * correct, scores.labels[images], classes)
        named = hits + _grouped(drawn[:, wrong], taken_for, classes)
        parts.append((hits, named, drawn @ columns[images]))
    return Resamples(
        sizes.astype(np.float64), *(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    )


def percentiles(draws: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits between which the middle share `level` of the draws lies.

    Args:
        draws: float64 (B, ...).
        level: within (0, 1).

    Returns:
        Two arrays of the shape (...).
    """
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def skewed_limits(value: float, draws: np.ndarray, level: float) -> tuple[float, float]:
    """Return the limits of a mean whose draws lean to one side, as those of a loss do that is rarely large.

    A mean of few images seldom meets the largest losses, and varies too little where it misses them. Hall's
    transformation takes the skewness out of (mean - truth) / error, and is inverted for the limits.
    Source: P. Hall, On the removal of skewness by transformation, Journal of the Royal Statistical Society B
    54 (1992) 221-228.

    Args:
        value: the mean.
        draws: float64 (B,), means of resamples.
        level: within (0, 1).
    """
    error = float(draws.std())
    if error <= 1e-12 * max(1.0, abs(value)):
        return value, value
    skewness = float(np.mean((draws - draws.mean()) ** 3)) / error**3
    z = NormalDist().inv_cdf((1 + level) / 2)
    return value - error * _untransformed(z, skewness), value - error * _untransformed(-z, skewness)


def weights(generator: np.random.Generator, sizes: np.ndarray, rows: int) -> np.ndarray:
    """Return how often each image counts in each of `rows` resamples, float64 (rows, n).

    Args:
        generator: is advanced.
        sizes: int (K,), images of each class; images are sorted by class.
        rows: resamples.
    """
    drawn = np.maximum(sizes - 1, 0)
    size = np.repeat(sizes, drawn)
    first = np.repeat(np.cumsum(sizes) - sizes, drawn)
    n = int(sizes.sum())
    chosen = (generator.random((rows, len(size))) * size).astype(np.int64) + first
    chosen += n * np.arange(rows)[:, None]
    counts = np.bincount(chosen.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
    factor = np.where(sizes > 1, sizes / np.maximum(sizes - 1, 1), 1.0)
    counts *= np.repeat(factor, sizes)
    counts[:, np.repeat(sizes == 1, sizes)] = 1
    return counts


def _untransformed(z: float, skewness: float) -> float:
    """The t whose transform t + s t^2 / 3 + s^2 t^3 / 27 + s / 6 is z; s is the skewness of the mean."""
    if abs(skewness) < 1e-6:
        return z
    return 3 / skewness * (math.cbrt(1 + skewness * (z - skewness / 6)) - 1)


def _grouped(values: np.ndarray, groups: np.ndarray, classes: int) -> np.ndarray:
    """Sum the columns of `values` (rows, n) that share a group; `groups` is sorted. float64 (rows, K)."""
    sums = np.zeros((len(values), classes))
    present, starts = np.unique(groups, return_index=True)
    if len(present):
        sums[:, present] = np.add.reduceat(values, starts, axis=1)
    return sums
