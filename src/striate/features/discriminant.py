"""Regularised linear discriminant analysis along the principal axes of the features.

Each class is taken for a normal distribution of the features around its mean, and all of them for one shape:
the covariance S within classes, shrunk towards a multiple t of the identity, t its mean variance (Friedman
1989, "Regularized discriminant analysis"). By Bayes' rule the log-probability of class k is then, but for
what all classes share,

    x . S^-1 m_k - m_k . S^-1 m_k / 2 + log p_k,    S = (1 - a) (D - M' P M) + a t I

with the classes' means m_k (rows of M) and shares p_k (P = diag p). Along principal axes the covariance of
all samples is diagonal, D, so that S differs from a diagonal matrix by a product of rank K, and Woodbury's
formula inverts it with one of K x K.

Where samples are few, what a generative model assumes is worth more than what it costs (Ng and Jordan 2002,
"On discriminative vs. generative classifiers"), and it errs elsewhere than logistic regression does: the mean
of both is more accurate than either, and is a linear head again.
"""

from __future__ import annotations

import numpy as np

from striate.features.axes import LinearHead, PrincipalAxes

SHRINKAGE = 0.3
"""Share a of the identity. Between 0.1 and 0.5 it makes little difference to the mean of both."""
SHARE = 0.5
"""Of this analysis in the mean of both."""


def blended(
    axes: PrincipalAxes, labels: np.ndarray, num_classes: int, logistic: LinearHead, logits: np.ndarray
) -> LinearHead:
    """Return the mean of a logistic regression and a discriminant analysis of the same samples.

    The latter's logits are brought to the spread of the former's, over the samples and classes: with hardly
    more samples than features its covariance is known poorly, and it is far too sure of itself.

    Args:
        axes: R coordinates of N samples.
        labels: int64 (N,).
        num_classes: K.
        logistic: the head to be blended; returned as it is where a class has no sample, none has two that
            differ, or the means of all are the same.
        logits: float32 (N, K), its, of the samples.
    """
    found = discriminant(axes, labels, num_classes)
    if found is None:
        return logistic
    weight, bias = found
    spread = _spread(axes.coordinates @ weight.T + bias)
    if spread == 0:
        return logistic
    scale = np.float32(SHARE * _spread(logits) / spread)
    other = axes.head(scale * weight, scale * bias)
    kept = np.float32(1 - SHARE)
    return LinearHead(kept * logistic.weight + other.weight, kept * logistic.bias + other.bias)


def discriminant(
    axes: PrincipalAxes, labels: np.ndarray, num_classes: int, shrinkage: float = SHRINKAGE
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return weights float32 (K, R) along the axes and intercepts float32 (K,).

    None where a class has no sample, or where the samples of each class are all alike.

    Args:
        axes: R coordinates of N samples.
        labels: int64 (N,).
        num_classes: K.
        shrinkage: share of the identity, in (0, 1].
    """
    counts = np.bincount(labels, minlength=num_classes)
    if not counts.all():
        return None
    power = axes.power.astype(np.float64)
    shares = counts / len(labels)
    means = _class_means(axes.coordinates, labels, counts)  # (R, K)
    within = power.sum() - (shares * np.square(means).sum(axis=0)).sum()
    if within <= 1e-6 * power.sum():
        return None
    diagonal = (1 - shrinkage) * power + shrinkage * within / len(power)
    divided = means / diagonal[:, None]
    between = (1 - shrinkage) * shares[:, None] * (means.T @ divided)
    directions = np.linalg.solve((np.eye(num_classes) - between).T, divided.T)  # (K, R), S^-1 m_k
    bias = np.log(shares) - 0.5 * np.einsum("kr,rk->k", directions, means)
    weight = directions - directions.mean(axis=0)  # what all classes share changes no probability
    return weight.astype(np.float32), (bias - bias.mean()).astype(np.float32)


def _class_means(coordinates: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return float64 (R, K)."""
    member = np.zeros((len(labels), len(counts)), np.float32)
    member[np.arange(len(labels)), labels] = 1 / counts[labels]
    return (coordinates.T @ member).astype(np.float64)


def _spread(logits: np.ndarray) -> float:
    """Return the standard deviation of logits (N, K) around each sample's mean."""
    return float((logits - logits.mean(axis=1, keepdims=True)).std(dtype=np.float64))
