"""How sure a share is: confidence intervals of counted successes."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of the share `successes / n`.

    It stays within [0, 1], is never of zero width and keeps close to its level for small `n` and for shares
    near 0 and 1, where the textbook interval `p ± z sqrt(p (1 - p) / n)` fails.
    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    Journal of the American Statistical Association 22 (1927) 209-212.

    Args:
        successes: how many of the `n`.
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
