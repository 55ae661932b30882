"""Which two classes are taken for one another, and whether more often one way than the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

MOST_PAIRS = 20
SIGNIFICANCE = 0.05


def confused_pairs(
    confusion: np.ndarray, names: Sequence[str], most: int = MOST_PAIRS
) -> list[dict[str, Any]]:
    """Return the pairs of classes with most mistakes between them, the most confused first.

    Each comes with the probability, were both directions equally likely for one image of either class, of
    mistakes divided as unevenly as these or more (exact binomial test, given the sizes of the two classes),
    and with the same adjusted for the number of pairs listed.
    Source of the adjustment: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian
    Journal of Statistics 6 (1979) 65-70.

    Args:
        confusion: int (K, K); rows true, columns predicted.
        names: (K,).
        most: pairs listed at most.
    """
    between = np.triu(confusion + confusion.T, 1)
    first, second = np.nonzero(between)
    order = np.argsort(-between[first, second], kind="stable")[:most]
    sizes = confusion.sum(axis=1)
    found = [
        _pair(confusion, sizes, names, a, b)
        for a, b in zip(first[order].tolist(), second[order].tolist(), strict=True)
    ]
    adjusted = holm([pair["p_value"] for pair in found])
    for pair, p_adjusted in zip(found, adjusted, strict=True):
        too_few = pair.pop("too_few")
        one_sided = p_adjusted < SIGNIFICANCE
        pair["p_adjusted"] = p_adjusted
        pair["verdict"] = "one-sided" if one_sided else "too few" if too_few else "not distinguishable"
    return found


def binomial_test(successes: int, n: int, share: float) -> float:
    """Return the probability of a count no likelier than `successes`, of n draws each lucky with `share`.

    The exact two-sided test: it sums the probabilities of all counts that are no likelier than the one seen.

    Args:
        successes: 0 to n.
        n: 0 or more.
        share: within [0, 1].
    """
    if share in (0, 1) or n == 0:
        return float(successes == share * n)
    counts = np.arange(n + 1)
    ways = np.array([math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)])
    logarithms = ways + counts * math.log(share) + (n - counts) * math.log1p(-share)
    as_rare = logarithms <= logarithms[successes] + 1e-7  # equal but for rounding
    return float(min(1.0, np.exp(logarithms[as_rare]).sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted by Holm's method for being tested together, in the order given."""
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    scaled = np.minimum(1, values[order] * (len(values) - np.arange(len(values))))
    adjusted = np.empty(len(values))
    adjusted[order] = np.maximum.accumulate(scaled) if len(values) else scaled
    return [float(value) for value in adjusted]


def _pair(confusion: np.ndarray, sizes: np.ndarray, names: Sequence[str], a: int, b: int) -> dict[str, Any]:
    """One pair; `too_few`: even with all mistakes in one direction the test could not tell."""
    there, back = int(confusion[a, b]), int(confusion[b, a])
    share = float(sizes[a] / (sizes[a] + sizes[b]))
    extremes = [binomial_test(count, there + back, share) for count in (0, there + back)]
    return {
        "first": names[a],
        "second": names[b],
        "first_as_second": there,
        "second_as_first": back,
        "p_value": binomial_test(there, there + back, share),
        "too_few": share in (0, 1) or min(extremes) >= SIGNIFICANCE,
    }
