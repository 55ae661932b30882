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

from striate.features.axes import LinearHead, PrincipalAxes
from striate.features.lbfgs import minimize
from striate.features.threads import one_thread

STRENGTHS = tuple(10.0**power for power in (0.5, 0, -0.5, -1, -1.5, -2, -2.5, -3, -3.5, -4))
"""Tried in this order, for features of mean square 1; the search ends once it has clearly got worse."""
PATIENCE = 2
"""Strengths in a row that may be no better than the best so far."""
MAX_ITERATIONS = 300
SMALL_PRODUCT = 10**9
"""Multiplications in a product below which one thread does it: for the coffee leaves of the benchmark, with
3 * 10^7, two took 3.2 s to choose a strength where one takes 0.7 s."""
TOLERANCE = 1e-4
"""Of the largest entry of the gradient, in preconditioned coordinates."""
ROUGH_TOLERANCE = 3e-4
"""The same while strengths are compared. With more a weak penalty would pass for a better one: what was
stopped early on the way from a stronger one's solution is as good as penalised."""
ROUGH_SHARE, ROUGH_AXES = 0.95, 256
"""Strengths are compared along the axes that hold so much of the features' mean square, and along so many at
least: for networks a third of all, which find the same strength."""

Solution = tuple[np.ndarray, np.ndarray]
"""float32 (K, P, R) and (K, P): weights and intercepts of P problems. Classes come first, so that what is
done for each sample runs along contiguous memory."""


@dataclass(frozen=True)
class Choice:
    """What cross-validation found.

    Attributes:
        strengths: float64 (S,), those that were tried.
        losses: float64 (S,), mean cross-entropy of the samples while held out.
        accuracies: float64 (S,), likewise.
        solutions: along the leading axes, weights and intercepts at the best strength, (K, folds, R) and (K,
            folds): from their mean the head of all samples is not far.
        best: position of the strength with the lowest loss.
    """

    strengths: np.ndarray
    losses: np.ndarray
    accuracies: np.ndarray
    solutions: Solution

    @property
    def best(self) -> int:
        """Position of the lowest loss."""
        return int(self.losses.argmin())

    @property
    def strength(self) -> float:
        """The strength with the lowest loss."""
        return float(self.strengths[self.best])


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
    leading = axes.leading(ROUGH_SHARE, ROUGH_AXES)
    problem = _Problem(leading, labels, num_classes, (used / used.sum(axis=0)).T)
    rows = np.arange(len(labels))
    losses: list[float] = []
    accuracies = []
    solution, best = None, None
    for strength in strengths:
        solution = problem.solve(strength, ROUGH_TOLERANCE, solution)
        held_out = problem.logits(solution)[:, folds, rows].T
        losses.append(cross_entropy(held_out, labels))
        accuracies.append(float((held_out.argmax(axis=1) == labels).mean()))
        best = solution if losses[-1] == min(losses) else best
        if len(losses) - 1 - int(np.argmin(losses)) >= PATIENCE:
            break
    assert best is not None
    return Choice(np.asarray(strengths[: len(losses)]), np.asarray(losses), np.asarray(accuracies), best)


def fit_head(
    axes: PrincipalAxes, labels: np.ndarray, num_classes: int, strength: float, near: Solution | None = None
) -> LinearHead:
    """Return the head that minimises the penalised cross-entropy of all samples.

    Args:
        axes: of the training features.
        labels: int64 (N,).
        num_classes: K.
        strength: of the penalty.
        near: solutions along the leading axes, whose mean is where the search begins; None: at zero.
    """
    everyone = np.full((1, len(labels)), 1 / len(labels), np.float32)
    start = None
    if near is not None:
        start = np.zeros((num_classes, 1, len(axes.power)), np.float32), near[1].mean(axis=1, keepdims=True)
        start[0][..., -near[0].shape[-1] :] = near[0].mean(axis=1, keepdims=True)
    weight, bias = _Problem(axes, labels, num_classes, everyone).solve(strength, TOLERANCE, start)
    return axes.head(weight[:, 0], bias[:, 0])


class _Problem:
    """P problems on the same coordinates, which differ in what each sample weighs.

    Args:
        axes: R coordinates of N samples.
        labels: int64 (N,).
        num_classes: K.
        sample_weights: float32 (P, N); each row sums to 1.
    """

    def __init__(
        self, axes: PrincipalAxes, labels: np.ndarray, num_classes: int, sample_weights: np.ndarray
    ) -> None:
        self.axes = axes
        self.labels = labels
        self.weights = np.ascontiguousarray(sample_weights)
        self.shape = (num_classes, len(sample_weights), axes.coordinates.shape[1] + 1)

    def solve(self, strength: float, tolerance: float, start: Solution | None = None) -> Solution:
        """Return the minimum for a strength of the penalty, from `start` or from zero."""
        share = 1 / self.shape[0]
        spread = share * (1 - share)  # p (1 - p) where nothing is known yet
        step = 1 / np.sqrt(spread * self.axes.power + np.float32(strength))
        begin = np.zeros(self.shape, np.float32)
        if start is not None:
            begin[..., :-1], begin[..., -1] = start[0] / step, start[1]

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            point = flat.reshape(self.shape).astype(np.float32)
            loss, gradient = self._loss(point[..., :-1] * step, point[..., -1], strength)
            gradient[..., :-1] *= step
            return loss, gradient.ravel().astype(np.float64)

        multiplications = len(self.labels) * int(np.prod(self.shape))
        with one_thread(multiplications < SMALL_PRODUCT):
            found = minimize(
                objective,
                begin.ravel().astype(np.float64),
                gradient_tolerance=tolerance,
                loss_tolerance=0.01 * tolerance**2,
                max_iterations=MAX_ITERATIONS,
            )
        point = found.reshape(self.shape).astype(np.float32)
        return point[..., :-1] * step, point[..., -1]

    def logits(self, solution: Solution) -> np.ndarray:
        """Return float32 (K, P, N)."""
        weight, bias = solution
        flat: np.ndarray = weight.reshape(-1, weight.shape[-1]) @ self.axes.coordinates.T
        return flat.reshape(*bias.shape, -1) + bias[..., None]

    def _loss(self, weight: np.ndarray, bias: np.ndarray, strength: float) -> tuple[float, np.ndarray]:
        """Return the sum of the P objectives and its gradient, float32 (K, P, R + 1)."""
        logits = self.logits((weight, bias))
        logits -= logits.max(axis=0)
        rows = np.arange(logits.shape[2])
        right = logits[self.labels, :, rows].T  # (P, N)
        error = np.exp(logits, out=logits)
        total = error.sum(axis=0)
        loss = float((self.weights * (np.log(total) - right)).sum(dtype=np.float64))
        error /= total
        error[self.labels, :, rows] -= 1
        error *= self.weights
        gradient = np.empty(self.shape, np.float32)
        flat = error.reshape(-1, error.shape[2]) @ self.axes.coordinates
        gradient[..., :-1] = flat.reshape(weight.shape) + np.float32(strength) * weight
        gradient[..., -1] = error.sum(axis=2)
        penalty = 0.5 * strength * float(np.square(weight, dtype=np.float64).sum())
        return loss + penalty, gradient


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over N samples with logits (N, K) and labels int64 (N,)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=1))
    return float((log_total - shifted[np.arange(len(labels)), labels]).mean())
