"""An order of classes in which those that are taken for one another stand side by side."""

from __future__ import annotations

import numpy as np

MOST_TURNED = 300


def by_confusion(confusion: np.ndarray) -> np.ndarray:
    """Return positions of the classes, int64 (K,), with confused classes next to each other.

    Classes are joined, the most confused ones first, into a tree (average linkage of the mean of both
    directions' shares), whose branches are then turned so that neighbours are as alike as the tree allows
    (up to 300 classes, as that takes long with more).
    Such an order shows groups; that two classes stand side by side does not alone mean they are confused.
    Classes without any mistake come last, in their own order.
    Source: Z. Bar-Joseph, D. K. Gifford and T. S. Jaakkola, Fast optimal leaf ordering for hierarchical
    clustering, Bioinformatics 17 (2001) S22-S29.

    Args:
        confusion: int (K, K); rows true, columns predicted.
    """
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import squareform

    rows = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, rows, out=np.zeros(confusion.shape), where=rows > 0)
    mutual = (shares + shares.T) / 2
    np.fill_diagonal(mutual, 0)
    confused = np.flatnonzero(mutual.any(axis=1))
    alone = np.flatnonzero(~mutual.any(axis=1))
    if len(confused) > 2:
        mutual = mutual[np.ix_(confused, confused)]
        distances = 1 - mutual / mutual.max()
        np.fill_diagonal(distances, 0)
        condensed = squareform(distances, checks=False)
        tree = hierarchy.linkage(condensed, "average")
        if len(confused) <= MOST_TURNED:
            tree = hierarchy.optimal_leaf_ordering(tree, condensed)
        confused = confused[hierarchy.leaves_list(tree)]
    return np.concatenate([confused, alone])
