"""Which training samples are held out together while the strength of the penalty is chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FOLDS = 5


def make_folds(labels: np.ndarray, groups: Sequence[str] | None, seed: int) -> np.ndarray:
    """Return int64 (N,), the fold of each sample: each class is spread evenly, each group stays together.

    Args:
        labels: int64 (N,).
        groups: (N,), samples with the same name stay in one fold; None: every sample is its own group.
        seed: of the order in which samples, or groups, are dealt out.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    count = max(2, min(FOLDS, len(labels) // 2))
    if groups is None:
        order = generator.permutation(len(labels))
        order = order[np.argsort(labels[order], kind="stable")]
        folds = np.empty(len(labels), np.int64)
        folds[order] = np.arange(len(labels)) % count
        return folds
    return _deal_groups(labels, groups, count, generator)


def _deal_groups(
    labels: np.ndarray, groups: Sequence[str], count: int, generator: np.random.Generator
) -> np.ndarray:
    """Deal groups out, the largest first, each to the fold that has the fewest samples of its classes."""
    _, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    table = np.zeros((group.max() + 1, labels.max() + 1))
    np.add.at(table, (group, labels), 1)
    order = generator.permutation(len(table))
    order = order[np.argsort(-table[order].sum(axis=1), kind="stable")]
    filled = np.zeros((count, table.shape[1]))
    fold_of = np.empty(len(table), np.int64)
    for one in order:
        fold_of[one] = int((filled @ table[one] + 1e-9 * filled.sum(axis=1)).argmin())
        filled[fold_of[one]] += table[one]
    dealt: np.ndarray = fold_of[group]
    return dealt
