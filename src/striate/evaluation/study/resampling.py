"""Macro F1 of several runs in the same resamples of their images."""

from __future__ import annotations

import numpy as np

from striate.evaluation.bootstrap import CHUNK_DRAWS, RESAMPLES, SEED, weights


def macro_f1(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return the mean F1 over the classes that have images, of each run, float64 (R,).

    Args:
        labels: int64 (n,).
        predicted: int64 (R, n).
        classes: K.
    """
    ones = np.ones((1, len(labels)))
    return np.array([_weighted_f1(labels, row, classes, ones)[0] for row in predicted])


def macro_f1_draws(
    labels: np.ndarray, predicted: np.ndarray, classes: int, *, resamples: int = RESAMPLES, seed: int = SEED
) -> np.ndarray:
    """Return macro F1 of each run in each resample of the images, float64 (R, B).

    A resample draws the same images for every run, within each true class (`bootstrap.draw`), so that two
    rows can be subtracted: what is left varies as the difference of the two runs does.

    Args:
        labels: int64 (n,).
        predicted: int64 (R, n).
        classes: K.
        resamples: B.
        seed: the same seed gives the same resamples.
    """
    order = np.argsort(labels, kind="stable")
    labels, predicted = labels[order], predicted[:, order]
    sizes = np.bincount(labels, minlength=classes)
    generator = np.random.default_rng(seed)
    rows = max(1, CHUNK_DRAWS // len(labels))
    parts = []
    for start in range(0, resamples, rows):
        drawn = weights(generator, sizes, min(rows, resamples - start))
        parts.append([_weighted_f1(labels, row, classes, drawn) for row in predicted])
    return np.concatenate([np.array(part) for part in parts], axis=1)


def _weighted_f1(labels: np.ndarray, predicted: np.ndarray, classes: int, counts: np.ndarray) -> np.ndarray:
    """Macro F1 where image i counts `counts[:, i]` times, float64 (B,)."""
    from scipy.sparse import csr_array

    images = np.arange(len(labels))
    right = predicted == labels
    ones = np.ones(len(labels))
    shape = (len(labels), classes)
    hits = counts @ csr_array((ones[right], (images[right], labels[right])), shape=shape)
    named = counts @ csr_array((ones, (images, predicted)), shape=shape)
    samples = np.bincount(labels, minlength=classes)
    present = samples > 0
    f1 = 2 * hits[:, present] / (samples[present] + named[:, present])
    means: np.ndarray = f1.mean(axis=1)
    return means
