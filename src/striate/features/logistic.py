"""Multinomial logistic regression with an L2 penalty, its strength chosen by cross-validation.

Minimised is the mean cross-entropy over N samples plus strength / 2 * ||W||^2; the intercept is free. The
penalty does not change when the features are turned, so all work is done along the principal axes of the
features, where the curvature of the cross-entropy is nearly diagonal: dividing every coordinate by the root
of its curvature (a diagonal preconditioner) saves most of the iterations of L-BFGS. The problems of all folds
are solved at once, as columns of one product with the features: read once for all folds, they cost as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

STRENGTHS = tuple(10.0**power for power in (0.5, 0, -0.5, -1, -1.5, -2, -2.5, -3, -3.5, -4))
"""Tried in this order, for features of mean square 1; the search ends once it has clearly got worse."""
PATIENCE = 2
"""Strengths in a row that may be no better than the best so far."""
MAX_ITERATIONS = 300
TOLERANCE = 1e-4
"""Of the largest entry of the gradient, in preconditioned coordinates."""
ROUGH_TOLERANCE = 1e-3
"""The same while strengths are compared; the cross-entropy of held-out samples is then known to 0.1 %."""


@dataclass(frozen=True)
class LinearHead:
    """Features (N, F) to logits (N, K): `features @ weight.T + bias`.

    Attributes:
        weight: float32 (K, F), as `torch.nn.Linear` has it.
        bias: float32 (K,).
    """

    weight: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return float32 (N, K) for float32 (N, F)."""
        result: np.ndarray = features @ self.weight.T + self.bias
        return result


@dataclass(frozen=True)
class Choice:
    """What cross-validation found.

    Attributes:
        strengths: float64 (S,), those that were tried.
        losses: float64 (S,), mean cross-entropy of the samples while held out.
        accuracies: float64 (S,), likewise.
        best: position of the strength with the lowest loss.
    """

    strengths: np.ndarray
    losses: np.ndarray
    accuracies: np.ndarray

    @property
    def best(self) -> int:
        """Position of the lowest loss."""
        return int(self.losses.argmin())

    @property
    def strength(self) -> float:
        """The strength with the lowest loss."""
        return float(self.strengths[self.best])


class PrincipalAxes:
    """The coordinates in which the penalised problem is nearly diagonal.

    Features are centred, divided by one number a level so that their mean square is 1, and turned.

    Args:
        features: float32 (N, F), of the training samples.
        levels: how many features come from each level of the network, one after the other; together F.
            Empty: all from one.
    """

    def __init__(self, features: np.ndarray, levels: Sequence[int] = ()) -> None:
        from scipy.linalg import eigh

        self.mean = features.mean(axis=0)
        centred = features - self.mean
        self.scale = _scale(centred, levels or (centred.shape[1],))
        centred /= self.scale
        n, size = centred.shape
        if n < size:  # the samples span no more than n axes: the smaller of the two Gram matrices will do
            power, turned = eigh(centred @ centred.T / np.float32(n), driver="evd")
            kept = power > power[-1] * 1e-6
            axes = centred.T @ turned[:, kept] / np.sqrt(n * power[kept], dtype=np.float32)
            power = power[kept]
        else:
            power, axes = eigh(centred.T @ centred / np.float32(n), driver="evd")
        self.axes = np.ascontiguousarray(axes, np.float32)
        self.power = np.maximum(power, 0).astype(np.float32)
        self.coordinates = centred @ self.axes

    def head(self, weight: np.ndarray, bias: np.ndarray) -> LinearHead:
        """Return the head on features for one on coordinates: float32 (R, K) `weight` and (K,) `bias`."""
        on_features = self.axes @ weight / self.scale[:, None]
        return LinearHead(np.ascontiguousarray(on_features.T), bias - self.mean @ on_features)


def choose_strength(
    axes: PrincipalAxes, labels: np.ndarray, num_classes: int, folds: np.ndarray, strengths: Sequence[float]
) -> Choice:
    """Return what each strength does on samples that were held out.

    Args:
        axes: of all training features.
        labels: int64 (N,).
        num_classes: K.
        folds: int64 (N,), the fold in which each sample is held out, 0, 1, ...
        strengths: the strongest first; each starts from the solution before.
    """
    count = int(folds.max()) + 1
    used = (folds[:, None] != np.arange(count)).astype(np.float32)  # (N, folds)
    problem = _Problem(axes, labels, num_classes, used / used.sum(axis=0))
    rows = np.arange(len(labels))
    losses: list[float] = []
    accuracies = []
    solution = None
    for strength in strengths:
        solution = problem.solve(strength, ROUGH_TOLERANCE, solution)
        held_out = problem.logits(solution)[rows, folds]
        losses.append(_cross_entropy(held_out, labels))
        accuracies.append(float((held_out.argmax(axis=1) == labels).mean()))
        if len(losses) - 1 - int(np.argmin(losses)) >= PATIENCE:
            break
    return Choice(np.asarray(strengths[: len(losses)]), np.asarray(losses), np.asarray(accuracies))


def fit_head(axes: PrincipalAxes, labels: np.ndarray, num_classes: int, strength: float) -> LinearHead:
    """Return the head that minimises the penalised cross-entropy of all samples."""
    everyone = np.full((len(labels), 1), 1 / len(labels), np.float32)
    problem = _Problem(axes, labels, num_classes, everyone)
    weight, bias = problem.solve(strength, TOLERANCE)
    return axes.head(weight[:, 0], bias[0])


Solution = tuple[np.ndarray, np.ndarray]
"""float32 (R, P, K) and (P, K): weights and intercepts of P problems."""


class _Problem:
    """P problems on the same coordinates, which differ in what each sample weighs.

    Args:
        axes: R coordinates of N samples.
        labels: int64 (N,).
        num_classes: K.
        sample_weights: float32 (N, P); each column sums to 1.
    """

    def __init__(
        self, axes: PrincipalAxes, labels: np.ndarray, num_classes: int, sample_weights: np.ndarray
    ) -> None:
        self.axes = axes
        self.labels = labels
        self.classes = num_classes
        self.weights = sample_weights[:, :, None]
        self.shape = (axes.coordinates.shape[1] + 1, sample_weights.shape[1], num_classes)

    def solve(self, strength: float, tolerance: float, start: Solution | None = None) -> Solution:
        """Return the minimum for a strength of the penalty, from `start` or from zero."""
        from scipy.optimize import minimize

        spread = 1 / self.classes * (1 - 1 / self.classes)  # p (1 - p) where nothing is known yet
        step = 1 / np.sqrt(spread * self.axes.power + np.float32(strength))[:, None, None]
        begin = np.zeros(self.shape, np.float32)
        if start is not None:
            begin[:-1], begin[-1] = start[0] / step, start[1]

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            point = flat.reshape(self.shape).astype(np.float32)
            loss, gradient = self._loss(point[:-1] * step, point[-1], strength)
            gradient[:-1] *= step
            return loss, gradient.ravel().astype(np.float64)

        found = minimize(
            objective,
            begin.ravel().astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MAX_ITERATIONS, "gtol": tolerance, "ftol": 0.01 * tolerance**2},
        )
        point = found.x.reshape(self.shape).astype(np.float32)
        return point[:-1] * step, point[-1]

    def logits(self, solution: Solution) -> np.ndarray:
        """Return float32 (N, P, K)."""
        weight, bias = solution
        flat: np.ndarray = self.axes.coordinates @ weight.reshape(len(weight), -1)
        return flat.reshape(-1, *bias.shape) + bias

    def _loss(self, weight: np.ndarray, bias: np.ndarray, strength: float) -> tuple[float, np.ndarray]:
        """Return the sum of the P objectives and its gradient, float32 (R + 1, P, K)."""
        logits = self.logits((weight, bias))
        logits -= logits.max(axis=2, keepdims=True)
        rows = np.arange(len(logits))
        right = logits[rows, :, self.labels]
        error = np.exp(logits, out=logits)
        total = error.sum(axis=2)
        loss = float((self.weights[:, :, 0] * (np.log(total) - right)).sum(dtype=np.float64))
        error /= total[:, :, None]
        error[rows, :, self.labels] -= 1
        error *= self.weights
        gradient = np.empty(self.shape, np.float32)
        flat = self.axes.coordinates.T @ error.reshape(len(error), -1)
        gradient[:-1] = flat.reshape(weight.shape) + np.float32(strength) * weight
        gradient[-1] = error.sum(axis=0)
        penalty = 0.5 * strength * float(np.square(weight, dtype=np.float64).sum())
        return loss + penalty, gradient


def _scale(centred: np.ndarray, levels: Sequence[int]) -> np.ndarray:
    """Return float32 (F,): for each feature the root mean square of its level's features."""
    power = np.square(centred, dtype=np.float64).mean(axis=0)
    ends = np.cumsum(levels)
    roots = [
        float(np.sqrt(power[end - size : end].mean())) or 1.0 for size, end in zip(levels, ends, strict=True)
    ]
    return np.repeat(np.asarray(roots, np.float32), levels)


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=1))
    return float((log_total - shifted[np.arange(len(labels)), labels]).mean())
