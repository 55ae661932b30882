"""How sure a number is: confidence intervals in closed form."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
"""Of every interval in `metrics.json`, `comparison.json` and `robustness.json`."""


def wilson(successes: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the Wilson score interval of the share `successes / n`.

    It stays within [0, 1], is never of zero width and keeps close to its level for small `n` and for shares
    near 0 and 1, where the textbook interval `p ± z sqrt(p (1 - p) / n)` fails.
    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    Journal of the American Statistical Association 22 (1927) 209-212.

    Args:
        successes: how many of the `n`; need not be whole.
        n: how many were tried; 0 tells nothing, and the interval is (0, 1).
        level: share of such intervals that cover the true value, between 0 and 1.

    Raises:
        ValueError: `successes` is not within 0..n, or `level` not within (0, 1).
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes is {successes}; expected 0 to n = {n}")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a number between 0 and 1, such as 0.95")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / n
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half_width = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half_width)
    high = 1.0 if successes == n else min(1.0, centre + half_width)
    return low, high


def sum_interval(
    values: np.ndarray, low: np.ndarray, high: np.ndarray, weights: np.ndarray, correlation: float = 1.0
) -> tuple[float, float]:
    """Return the interval of `sum(weights * values)` from the interval of each value.

    On each side the squares of the distances from value to limit add up, so that intervals that lean to one
    side, as Wilson's do near 0 and 1, give one that leans likewise.
    Source: G. Y. Zou and A. Donner, Construction of confidence limits about effect measures: a general
    approach, Statistics in Medicine 27 (2008) 1693-1702 (MOVER), equation 10 for a sum.

    Args:
        values: float (K,), estimates.
        low: float (K,), lower limits.
        high: float (K,), upper limits.
        weights: float (K,), not negative.
        correlation: variance of the sum over what it would be if the values were independent.
    """
    value = float(np.sum(weights * values))
    below = np.sum((weights * np.maximum(0, values - low)) ** 2)
    above = np.sum((weights * np.maximum(0, high - values)) ** 2)
    return value - math.sqrt(correlation * below), value + math.sqrt(correlation * above)


def roc_area(
    area: np.ndarray, positives: np.ndarray, negatives: np.ndarray, level: float = LEVEL
) -> np.ndarray:
    """Return the interval of areas under ROC curves, float64 (2, K).

    The limits are the areas θ whose distance from the estimate is z standard errors as they would be at θ,
    which is Wilson's idea: the interval stays within [0, 1], is not of zero width when every pair is in
    order, and serves for few images. The standard error is that of scores that are exponentially distributed.
    Sources: J. A. Hanley and B. J. McNeil, The meaning and use of the area under a ROC curve, Radiology 143
    (1982) 29-36; R. G. Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2, Statistics in Medicine 25 (2006) 559-573.

    Args:
        area: float (K,), within [0, 1].
        positives: int (K,), 1 or more.
        negatives: int (K,), 1 or more.
        level: share of such intervals that cover the true value, between 0 and 1.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    limits = []
    for end in (0.0, 1.0):  # bisection: `inside` is nearer to the estimate than z errors, `outside` farther
        inside, outside = np.array(area, np.float64), np.full(len(area), end)
        for _ in range(50):
            middle = (inside + outside) / 2
            farther = np.abs(area - middle) > z * np.sqrt(_roc_variance(middle, positives, negatives))
            outside, inside = np.where(farther, middle, outside), np.where(farther, inside, middle)
        limits.append(outside)
    return np.stack(limits)


def _roc_variance(area: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Hanley and McNeil's equation 2, with `area (1 - area)` taken out."""
    pairs = (positives - 1) * (1 - area) / (2 - area) + (negatives - 1) * area / (1 + area)
    variance: np.ndarray = area * (1 - area) * (1 + pairs) / (positives * negatives)
    return variance
