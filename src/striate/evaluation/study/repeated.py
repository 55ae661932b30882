"""Networks trained several times: what is due to the recipe, what to the seed, and what to the test images.

A score moves with the seed of the training and with the images it is measured on. The runs of a study share
the images, which is what two readers of the same X-rays have in common; so the analysis is that of many
readers and many cases: runs are readers, nested in the recipes, and images are cases.

Sources: N. A. Obuchowski and H. E. Rockette, Hypothesis testing of diagnostic accuracy for multiple readers
and multiple tests: an ANOVA approach with dependent observations, Communications in Statistics - Simulation
and Computation 24 (1995) 285-308; degrees of freedom: S. L. Hillis, A comparison of denominator degrees of
freedom methods for multiple observer ROC analysis, Statistics in Medicine 26 (2007) 596-619, with a variance
for each recipe as in Welch's test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from striate.evaluation.study.answers import parts_of

POWER = 0.8
"""A difference is called detectable if it would be found in this share of studies like this one."""


@dataclass(frozen=True)
class Estimate:
    """A mean, or a difference of two means, and how sure it is.

    Attributes:
        value: the estimate.
        error: its standard error.
        freedom: degrees of freedom of the error; infinite where only images vary.
    """

    value: float
    error: float
    freedom: float

    @property
    def p_value(self) -> float:
        """Probability, were the true value 0, of one as far from it or farther."""
        from scipy.stats import t

        if self.error == 0:
            return float(self.value == 0)
        return float(2 * t.sf(abs(self.value) / self.error, self.freedom))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the limits at `level`."""
        half = _quantile((1 + level) / 2, self.freedom) * self.error
        return self.value - half, self.value + half

    def detectable(self, level: float) -> float:
        """Return the true difference from 0 that would be found, at `level`, in 80 of 100 such studies."""
        return (_quantile((1 + level) / 2, self.freedom) + _quantile(POWER, self.freedom)) * self.error


def mean(values: np.ndarray, covariance: np.ndarray) -> Estimate:
    """Return what a recipe reaches on average, over seeds and over images like these.

    A few runs can agree by chance; the error is at least that of runs which answer independently.

    Args:
        values: float64 (S,), the score of each run.
        covariance: float64 (S, S), of the scores, due to the images alone.
    """
    found = _estimate(float(np.mean(values)), [np.asarray(values)], covariance, [1.0])
    least = math.sqrt(float(np.trace(covariance))) / len(values)
    return found if found.error >= least else replace(found, error=least)


def difference(first: np.ndarray, second: np.ndarray, covariance: np.ndarray) -> Estimate:
    """Return how much more the first recipe reaches than the second.

    Where each has one run, only the images vary, and the estimate speaks of these two networks. Where one
    has a single run, the deviation of the other's runs stands for both.

    Args:
        first: float64 (S,), the scores of its runs.
        second: float64 (T,), likewise.
        covariance: float64 (S + T, S + T), of all these scores, due to the images alone.
    """
    value = float(np.mean(first) - np.mean(second))
    return _estimate(value, [np.asarray(first), np.asarray(second)], covariance, [1.0, -1.0])


def image_covariance(correct: np.ndarray) -> np.ndarray:
    """Return the covariance, due to the images, of the accuracies of R runs, float64 (R, R).

    Args:
        correct: bool (R, n), whether each run names each image correctly; n at least 2.
    """
    covariance: np.ndarray = np.atleast_2d(np.cov(correct.astype(np.float64))) / correct.shape[1]
    return covariance


def _estimate(
    value: float, groups: Sequence[np.ndarray], covariance: np.ndarray, signs: Sequence[float]
) -> Estimate:
    """The variance is that of the seeds (S_g runs of recipe g) and that of the images, which all share."""
    repeated = [float(np.var(group, ddof=1)) for group in groups if len(group) > 1]
    parts = parts_of([len(group) for group in groups])
    if not repeated:
        return Estimate(value, math.sqrt(max(0.0, _images(covariance, parts, signs))), math.inf)
    stand_in = sum(repeated) / len(repeated)
    most = max(len(group) for group in groups)
    seeds, squares = 0.0, 0.0
    for group in groups:
        own = (float(np.var(group, ddof=1)) if len(group) > 1 else stand_in) / len(group)
        seeds += own
        squares += own * own / ((len(group) if len(group) > 1 else most) - 1)
    variance = seeds + max(0.0, _images(covariance, parts, signs))
    return Estimate(value, math.sqrt(variance), variance**2 / squares if squares else math.inf)


def _images(covariance: np.ndarray, parts: Sequence[slice], signs: Sequence[float]) -> float:
    """Variance due to what all runs of a recipe have in common on an image.

    Of one run alone this cannot be told from the rest of its error, so all of that counts (the safe side).
    """
    total = 0.0
    for one, sign in zip(parts, signs, strict=True):
        for other, against in zip(parts, signs, strict=True):
            block = covariance[one, other]
            if one == other and len(block) > 1:
                block = block[~np.eye(len(block), dtype=bool)]
            total += sign * against * float(block.mean())
    return total


def _quantile(share: float, freedom: float) -> float:
    from scipy.stats import norm, t

    return float(norm.ppf(share) if math.isinf(freedom) else t.ppf(share, freedom))
