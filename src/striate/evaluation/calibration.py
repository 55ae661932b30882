"""Whether probabilities mean what they say: reliability bins and the expected calibration error."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from striate.evaluation.intervals import wilson
from striate.evaluation.labelled import Scores

BINS = 15
_EDGES = np.linspace(0, 1, BINS + 1)


def bin_of(confidence: np.ndarray) -> np.ndarray:
    """Return the bin of each probability, int64 (n,); a bin holds its upper edge, not its lower one."""
    bins: np.ndarray = np.searchsorted(_EDGES[1:-1], confidence)
    return bins


def gaps(scores: Scores) -> np.ndarray:
    """Return float64 (n, 15): in each image's bin 1 if it was named correctly, less its probability."""
    table = np.zeros((len(scores.labels), BINS))
    difference = scores.correct - scores.confidence
    table[np.arange(len(table)), bin_of(scores.confidence)] = difference
    return table


def expected_error(sums: np.ndarray, n: int) -> np.ndarray:
    """Return the expected calibration error of sums of `gaps` over n images.

    It is the mean over images of |share correct - mean probability| of their bin.
    Source: C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, On calibration of modern neural networks,
    ICML 2017, equation 3, with 15 bins of equal width of the largest probability.

    Args:
        sums: float64 (..., 15).
        n: number of images.
    """
    error: np.ndarray = np.abs(sums).sum(axis=-1) / n
    return error


def expected_excess(sums: np.ndarray, drawn: np.ndarray, n: int) -> float:
    """Return by how much the calibration error of n images is too large on average.

    A bin's gap is a true gap and chance, and its absolute value grows by chance: even perfect probabilities
    have an error above 0. With the true gap g (its square is estimated by that of the gap seen, less its
    variance) and normal chance of deviation s, the mean of the absolute value is that of a folded normal
    distribution.
    Source: F. C. Leone, L. S. Nelson and R. B. Nottingham, The folded normal distribution, Technometrics 3
    (1961) 543-550.

    Args:
        sums: float64 (15,), of `gaps`.
        drawn: float64 (B, 15), of resamples.
        n: number of images.
    """
    deviation = drawn.std(axis=0)
    varies = deviation > 0
    seen, deviation = np.abs(sums)[varies], deviation[varies]
    true = np.sqrt(np.maximum(0, seen**2 - deviation**2))
    ratio = true / deviation
    beyond = np.array([math.erfc(value / math.sqrt(2)) for value in ratio.tolist()])
    folded = deviation * math.sqrt(2 / math.pi) * np.exp(-(ratio**2) / 2) + true * (1 - beyond)
    return float(np.sum(folded - true)) / n


def chance_error(drawn: np.ndarray, n: int, level: float) -> float:
    """Return up to which calibration error perfect probabilities would come, with the probability `level`.

    Each bin's gap is then chance alone, and its absolute value half-normal.

    Args:
        drawn: float64 (B, 15), of resamples.
        n: number of images.
        level: within (0, 1).
    """
    deviation = drawn.std(axis=0)
    spread = math.sqrt((1 - 2 / math.pi) * float(deviation @ deviation))
    mean = math.sqrt(2 / math.pi) * float(deviation.sum())
    return (mean + NormalDist().inv_cdf(level) * spread) / n


def reliability(scores: Scores, level: float) -> list[dict[str, Any]]:
    """Return the bins that hold images: their edges, number of images, mean probability and share correct."""
    bins = bin_of(scores.confidence)
    samples = np.bincount(bins, minlength=BINS)
    correct = np.bincount(bins, scores.correct, BINS)
    confidence = np.bincount(bins, scores.confidence, BINS)
    return [
        _bin(position, int(samples[position]), int(correct[position]), float(confidence[position]), level)
        for position in np.flatnonzero(samples).tolist()
    ]


def _bin(position: int, samples: int, correct: int, confidence: float, level: float) -> dict[str, Any]:
    low, high = wilson(correct, samples, level)
    return {
        "low": float(_EDGES[position]),
        "high": float(_EDGES[position + 1]),
        "samples": samples,
        "confidence": confidence / samples,
        "accuracy": correct / samples,
        "accuracy_low": low,
        "accuracy_high": high,
    }
