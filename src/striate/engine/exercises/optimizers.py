"""Mistakes in update rules, which no gradient check sees: they are compared with a path computed by hand.

The loss is half of w squared, whose gradient is w itself, from w = 1.
"""

from __future__ import annotations

import numpy as np

from striate.engine.exercises.exercise import Exercise, by_closed_form

STEPS = 6


def momentum_uphill(steps: int = STEPS, lr: float = 0.1, momentum: float = 0.9) -> np.ndarray:
    """Return the path of gradient descent with momentum, float64 (steps,).

    The first step goes the right way. Why does the second one not go further?
    """
    w, v, path = 1.0, 0.0, []
    for _ in range(steps):
        v = -momentum * v - lr * w
        w += v
        path.append(w)
    return np.array(path)


def start_not_corrected(steps: int = STEPS, lr: float = 0.1) -> np.ndarray:
    """Return the path of Adam with betas 0.9 and 0.999, float64 (steps,).

    Adam's first step is as long as the learning rate, whatever the gradient. How long is this one?
    """
    w, m, s, path = 1.0, 0.0, 0.0, []
    for _ in range(steps):
        m = 0.9 * m + 0.1 * w
        s = 0.999 * s + 0.001 * w * w
        w -= lr * m / (np.sqrt(s) + 1e-8)
        path.append(w)
    return np.array(path)


def _momentum_by_hand() -> np.ndarray:
    """w[t + 1] = (1 + momentum - lr) w[t] - momentum w[t - 1]: v eliminated from both equations."""
    path = [1.0, 1.0]
    for _ in range(STEPS):
        path.append((1 + 0.9 - 0.1) * path[-1] - 0.9 * path[-2])
    return np.array(path[2:])


def _adam_by_hand() -> np.ndarray:
    """The weighted means written out as sums over all gradients so far."""
    gradients, path = [1.0], []
    for t in range(1, STEPS + 1):
        ages = np.arange(t)[::-1]
        seen = np.array(gradients)
        mean = (0.9**ages * seen).sum() / (0.9**ages).sum()
        square = (0.999**ages * seen**2).sum() / (0.999**ages).sum()
        path.append(gradients[-1] - 0.1 * mean / (np.sqrt(square) + 1e-8))
        gradients.append(path[-1])
    return np.array(path)


OPTIMIZERS = (
    Exercise(
        "momentum-uphill",
        momentum_uphill,
        "The velocity keeps its direction: v = momentum * v - lr * gradient. With the minus it turns round "
        "at every step.",
        "optimizer",
        True,
        lambda: by_closed_form(momentum_uphill(), _momentum_by_hand()),
    ),
    Exercise(
        "start-not-corrected",
        start_not_corrected,
        "Both means begin at zero, the slow one stays near it for long: m / (1 - 0.9^t), s / (1 - 0.999^t).",
        "optimizer",
        True,
        lambda: by_closed_form(start_not_corrected(), _adam_by_hand()),
    ),
)
"""The exercises of this module."""
