"""Two networks on the same images: who is right where the other is wrong, and what that proves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from striate.evaluation.intervals import wilson


@dataclass(frozen=True)
class Paired:
    """How many images both name correctly, one of the two alone, or neither."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def n(self) -> int:
        """Number of images."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of the first minus that of the second."""
        return (self.only_first - self.only_second) / self.n


def count_pairs(first: np.ndarray, second: np.ndarray) -> Paired:
    """Count where the networks are right.

    Args:
        first: bool (n,), whether the first names each image correctly.
        second: bool (n,), likewise.
    """
    both = int(np.count_nonzero(first & second))
    only_first, only_second = int(np.count_nonzero(first)) - both, int(np.count_nonzero(second)) - both
    return Paired(both, only_first, only_second, len(first) - both - only_first - only_second)


def mcnemar(counts: Paired) -> float:
    """Return the probability, were both equally accurate, of disagreements divided as unevenly or more.

    The exact test, two-sided: of the images that one alone names correctly, each is the first's or the
    second's with probability one half. Images on which both agree say nothing.
    Source: Q. McNemar, Note on the sampling error of the difference between correlated proportions or
    percentages, Psychometrika 12 (1947) 153-157; exact by the binomial distribution.
    """
    from scipy.stats import binomtest

    disagreements = counts.only_first + counts.only_second
    return float(binomtest(counts.only_first, disagreements, 0.5).pvalue) if disagreements else 1.0


def difference_interval(counts: Paired, level: float) -> tuple[float, float]:
    """Return the interval of the difference of the two accuracies, within [-1, 1].

    Wilson's intervals of both accuracies are combined with the correlation that the pairs show.
    Source: R. G. Newcombe, Improved confidence intervals for the difference between binomial proportions
    based on paired data, Statistics in Medicine 17 (1998) 2635-2650, method 10.

    Args:
        counts: of one image or more.
        level: share of such intervals that cover the true difference.
    """
    n, right = counts.n, (counts.both + counts.only_first, counts.both + counts.only_second)
    first, second = (count / n for count in right)
    (low_1, high_1), (low_2, high_2) = (wilson(count, n, level) for count in right)
    correlation = _correlation(counts)
    below = _combined(first - low_1, high_2 - second, correlation)
    above = _combined(high_1 - first, second - low_2, correlation)
    return max(-1.0, counts.difference - below), min(1.0, counts.difference + above)


def odds_ratio(counts: Paired, level: float) -> dict[str, float | None]:
    """Return how many images the first alone has right for each that the second alone has, with limits.

    The limits are Clopper and Pearson's of the share among the disagreements. None stands for infinity, and
    as the value where there is no disagreement.
    """
    from scipy.stats import binomtest

    first, second = counts.only_first, counts.only_second
    if not first + second:
        return {"value": None, "low": 0.0, "high": None}
    share = binomtest(first, first + second, 0.5).proportion_ci(level, method="exact")
    ends = (first / (first + second), share.low, share.high)
    value, low, high = (None if end >= 1 else float(end / (1 - end)) for end in ends)
    return {"value": value, "low": low, "high": high}


def _correlation(counts: Paired) -> float:
    """Phi of the 2 x 2 table, its positive numerator lowered by n/2 for continuity; 0 where undefined."""
    a, b, c, d = counts.both, counts.only_first, counts.only_second, counts.neither
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    numerator: float = a * d - b * c
    if numerator > 0:
        numerator = max(0.0, numerator - counts.n / 2)
    return numerator / math.sqrt(margins) if margins else 0.0


def _combined(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * correlation * one * other + other * other))
