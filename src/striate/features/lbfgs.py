"""L-BFGS for smooth convex functions: a few products of vectors, without the 0.4 s of importing SciPy's.

Source: J. Nocedal and S. J. Wright, Numerical Optimization, 2nd edition 2006, algorithms 7.4 (the two loops),
7.5 and 3.1 (the step is halved until the function has fallen enough).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

MEMORY = 10
"""Steps whose change of the gradient is remembered."""
DECREASE = 1e-4
"""Share of what the slope promises by which the function has to fall (Armijo)."""
HALVINGS = 20
"""After so many the function falls no more than its rounding errors, and the search ends."""

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


def minimize(
    objective: Objective,
    start: np.ndarray,
    *,
    gradient_tolerance: float,
    loss_tolerance: float,
    max_iterations: int,
) -> np.ndarray:
    """Return float64 (D,), where a convex function is lowest.

    Args:
        objective: a point, float64 (D,), to the function's value and gradient, float64 (D,).
        start: float64 (D,), where the search begins.
        gradient_tolerance: of the gradient's largest entry, at which it ends.
        loss_tolerance: share of the function by which a step has to lower it, else it ends.
        max_iterations: steps at most.
    """
    point = start
    loss, gradient = objective(point)
    known: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=MEMORY)
    for _ in range(max_iterations):
        if np.abs(gradient).max() <= gradient_tolerance:
            break
        direction = _direction(gradient, known)
        length = 1.0 if known else min(1.0, 1 / float(np.linalg.norm(gradient)))
        found = _search(objective, point, loss, float(gradient @ direction), direction, length)
        if found is None:
            break
        new_point, new_loss, new_gradient = found
        step, change = new_point - point, new_gradient - gradient
        curvature = float(step @ change)
        if curvature > np.finfo(np.float64).eps * float(change @ change):
            known.append((step, change, 1 / curvature))
        fallen = loss - new_loss
        point, loss, gradient = new_point, new_loss, new_gradient
        if fallen <= loss_tolerance * max(abs(loss), abs(loss + fallen), 1.0):
            break
    return point


def _direction(gradient: np.ndarray, known: deque[tuple[np.ndarray, np.ndarray, float]]) -> np.ndarray:
    """Return minus the gradient times the estimated inverse of the curvature."""
    direction = -gradient
    shares = []
    for step, change, inverse in reversed(known):
        shares.append(inverse * float(step @ direction))
        direction -= shares[-1] * change
    if known:
        _, change, inverse = known[-1]
        direction /= inverse * float(change @ change)
    for (step, change, inverse), share in zip(known, reversed(shares), strict=True):
        direction += (share - inverse * float(change @ direction)) * step
    return direction


def _search(
    objective: Objective,
    point: np.ndarray,
    loss: float,
    slope: float,
    direction: np.ndarray,
    length: float,
) -> tuple[np.ndarray, float, np.ndarray] | None:
    """Return the next point with its value and gradient; None where the function falls no more."""
    if slope >= 0:
        return None
    for _ in range(HALVINGS):
        new_point = point + length * direction
        new_loss, new_gradient = objective(new_point)
        if new_loss <= loss + DECREASE * length * slope:
            return new_point, new_loss, new_gradient
        length /= 2
    return None
