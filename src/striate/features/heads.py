"""A head on frozen features, its penalty cross-validated on the training samples.

It is the mean of a logistic regression and a linear discriminant analysis, which costs next to nothing along
the axes that the former needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from striate.features.axes import LinearHead, PrincipalAxes
from striate.features.discriminant import blended
from striate.features.folds import make_folds
from striate.features.logistic import STRENGTHS, Choice, choose_strength, cross_entropy, fit_head


class TrainedHead(NamedTuple):
    """A head and how it came to be.

    Attributes:
        head: features to logits.
        choice: what each strength of the logistic regression's penalty did on held-out samples.
        folds: how many there were.
    """

    head: LinearHead
    choice: Choice
    folds: int

    @property
    def loss(self) -> float:
        """The lowest mean cross-entropy of the logistic regression on held-out samples."""
        return float(self.choice.losses[self.choice.best])

    def describe(self) -> dict[str, float | int]:
        """Return what was chosen, and what it reached on held-out samples."""
        choice = self.choice
        return {
            "penalty": choice.strength,
            "folds": self.folds,
            "held_out_accuracy": float(choice.accuracies[choice.best]),
            "held_out_loss": float(choice.losses[choice.best]),
        }


def train_head(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    *,
    levels: Sequence[int] = (),
    groups: Sequence[str] | None = None,
    seed: int = 0,
    axes: PrincipalAxes | None = None,
) -> TrainedHead:
    """Return a head for features, chosen on these samples alone.

    Args:
        features: float32 (N, F), finite.
        labels: int64 (N,), 0 to num_classes - 1.
        num_classes: K.
        levels: how many features come from each level of the network, one after the other; empty: one level.
        groups: (N,), samples with the same name are held out together; None: each by itself.
        seed: of the folds.
        axes: of these features and levels, where they are known already.

    Raises:
        ValueError: the arrays do not fit one another, or a feature is not finite.
    """
    check_samples(features, labels, levels)
    folds = make_folds(labels, groups, seed)
    axes = axes or PrincipalAxes(features, levels)
    choice = choose_strength(axes, labels, num_classes, folds, STRENGTHS)
    logistic = fit_head(axes, labels, num_classes, choice.strength, choice.solutions)
    head = blended(axes, labels, num_classes, logistic, logistic.logits(features))
    return TrainedHead(head, choice, int(folds.max()) + 1)


def held_out_loss(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    strength: float,
    *,
    levels: Sequence[int] = (),
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> float:
    """Return the mean cross-entropy of samples that are answered by the head of all other folds.

    It takes about as long for each fold as a head without it: axes are found anew.

    Args:
        features: float32 (N, F), finite.
        labels: int64 (N,), 0 to num_classes - 1.
        num_classes: K.
        strength: of the penalty of the logistic regression.
        levels: as for `train_head`; likewise `groups` and `seed`.
        groups: see above.
        seed: of the folds.
    """
    folds = make_folds(labels, groups, seed)
    logits = np.empty((len(labels), num_classes), np.float32)
    for fold in range(int(folds.max()) + 1):
        held_out = folds == fold
        learned, answers = features[~held_out], labels[~held_out]
        axes = PrincipalAxes(learned, levels)
        logistic = fit_head(axes, answers, num_classes, strength)
        head = blended(axes, answers, num_classes, logistic, logistic.logits(learned))
        logits[held_out] = head.logits(features[held_out])
    return cross_entropy(logits, labels)


def check_samples(features: np.ndarray, labels: np.ndarray, levels: Sequence[int]) -> None:
    """Refuse arrays that do not fit one another, and features that are not finite.

    Raises:
        ValueError: says what was expected.
    """
    if features.ndim != 2 or labels.shape != features.shape[:1] or len(labels) < 2:
        raise ValueError(f"features are {features.shape} and labels {labels.shape}; expected (N, F) and (N,)")
    if levels and sum(levels) != features.shape[1]:
        raise ValueError(f"levels have {sum(levels)} features together; expected {features.shape[1]}")
    if not np.isfinite(features).all():
        raise ValueError("features hold NaN or infinity: the frozen network does not fit its input")
