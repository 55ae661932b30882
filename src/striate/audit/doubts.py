"""Doubtful labels, outliers and near neighbours, by the features of a backbone; arrays in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FOLDS = 5
NEIGHBOURS = 10
OUTLYING = 3.5
"""Robust deviations (Iglewicz and Hoaglin 1993) beyond which an image lies apart from all others."""
NEAR = 0.1
"""Two images nearer than this share of the usual distance to the nearest neighbour are near-duplicates."""


@dataclass(frozen=True)
class LabelDoubt:
    """An image whose label is doubtful.

    Attributes:
        number: of the image.
        suggested: the class that the other images suggest.
        score: probability of the label given, by heads that never saw the image; low is doubtful.
    """

    number: int
    suggested: str
    score: float


@dataclass(frozen=True)
class Outlier:
    """An image far from all others; `distance` is in robust deviations of the usual one."""

    number: int
    distance: float


def doubtful_labels(
    features: np.ndarray, labels: Sequence[str], groups: Sequence[str] | None = None, *, seed: int = 0
) -> tuple[LabelDoubt, ...]:
    """Return the likely label errors, the most doubtful first.

    Linear heads give each image the probabilities of the classes, without having seen it; confident learning
    (Northcutt et al. 2021, Confident Learning, section 3; by cleanlab) says which labels contradict them.

    Args:
        features: float (N, D), finite.
        labels: (N,).
        groups: (N,), images of one group never lie in two folds; None: each image is one of its own.
        seed: of the folds.

    Raises:
        ValueError: shapes that do not fit, or a class with fewer images than folds.
    """
    from cleanlab.filter import find_label_issues

    check_features(features, len(labels))
    names, numbers = np.unique(np.array(labels, object).astype(str), return_inverse=True)
    if len(names) < 2 or np.bincount(numbers).min() < FOLDS:
        raise ValueError(f"expected at least two classes of at least {FOLDS} images each, for {FOLDS} folds")
    probabilities = _out_of_fold(features, numbers, groups, seed)
    found = find_label_issues(
        numbers, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1, filter_by="both"
    )
    return tuple(
        LabelDoubt(int(row), str(names[probabilities[row].argmax()]), float(probabilities[row, numbers[row]]))
        for row in found
        if probabilities[row].argmax() != numbers[row]
    )


def outliers(features: np.ndarray) -> tuple[Outlier, ...]:
    """Return the images far from all others, the farthest first.

    Its distance is the mean to its `NEIGHBOURS` nearest (Ramaswamy et al. 2000), on a logarithmic scale.
    """
    check_features(features, len(features))
    count = min(NEIGHBOURS, len(features) - 1)
    if count < 1:
        return ()
    distance = np.log(_nearest(features, count)[0].mean(axis=1) + 1e-12)
    middle = np.median(distance)
    deviation = 1.4826 * np.median(np.abs(distance - middle))
    score = (distance - middle) / max(float(deviation), 1e-9)
    rows = np.flatnonzero(score > OUTLYING)
    return tuple(
        Outlier(int(row), float(score[row])) for row in rows[np.argsort(-score[rows], kind="stable")]
    )


def near_in_features(features: np.ndarray) -> np.ndarray:
    """Return int64 (P, 2): pairs of images far nearer to each other than neighbours of this set are."""
    check_features(features, len(features))
    if len(features) < 3:
        return np.empty((0, 2), np.int64)
    distance, neighbour = _nearest(features, min(NEIGHBOURS, len(features) - 1))
    rows, columns = np.nonzero(distance < NEAR * np.median(distance[:, 0]))
    pairs = np.sort(np.stack((rows, neighbour[rows, columns]), axis=1), axis=1)
    unique: np.ndarray = np.unique(pairs, axis=0)
    return unique


def check_features(features: np.ndarray, n: int) -> None:
    """Refuse features that are no finite (N, D) array.

    Raises:
        ValueError: says what came.
    """
    features = np.asarray(features)
    if features.ndim != 2 or len(features) != n or features.dtype.kind != "f":
        raise ValueError(f"features are {features.dtype} of shape {features.shape}; expected floats ({n}, D)")
    if not np.isfinite(features).all():
        raise ValueError("features hold values that are not finite; expected finite numbers")


def _out_of_fold(
    features: np.ndarray, numbers: np.ndarray, groups: Sequence[str] | None, seed: int
) -> np.ndarray:
    """Return float64 (N, K): each image's probabilities by a head trained on the other folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    folds = kind(FOLDS, shuffle=True, random_state=seed)
    probabilities: np.ndarray = cross_val_predict(
        head, features, numbers, groups=groups, cv=folds, method="predict_proba"
    )
    return probabilities


def _nearest(features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return distance and number of the `count` nearest others of each image, both (N, count)."""
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=count + 1).fit(features).kneighbors(features)
    distance, neighbour = found
    own = neighbour == np.arange(len(features))[:, None]
    own[~own.any(axis=1), -1] = True  # among exact copies, an image need not be its own nearest
    others = ~own
    return distance[others].reshape(-1, count), neighbour[others].reshape(-1, count)
