"""Activation functions and losses as curves, each with its derivative, computed by the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from striate.engine import functional as F
from striate.errors import UserError, unknown_name

POINTS = 401


@dataclass(frozen=True)
class Function:
    """A function of one number, and its derivative.

    Attributes:
        name: for people and the command line.
        value: of an array (n,), float64.
        slope: likewise; where there is none, what the engine takes.
        low: where its curve begins.
        high: where it ends.
        formula: in plain text.
    """

    name: str
    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    low: float
    high: float
    formula: str

    def points(self, count: int = POINTS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x, value and slope at `count` points, (count,) each, float64."""
        x = np.linspace(self.low, self.high, count)
        return x, self.value(x), self.slope(x)


def _activation(name: str, low: float, high: float, formula: str) -> Function:
    stem = name.replace("-", "_")
    forward, backward = getattr(F, stem), getattr(F, f"{stem}_backward")
    return Function(name, forward, lambda x: backward(np.ones_like(x), x), low, high, formula)


def _linear(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = F.linear(x[:, None], np.ones((1, 1)))[:, 0]
    return found


def _linear_slope(x: np.ndarray) -> np.ndarray:
    grad_x = F.linear_backward(np.ones((len(x), 1)), x[:, None], np.ones((1, 1)))[0]
    assert grad_x is not None
    slope: np.ndarray = grad_x[:, 0]
    return slope


def _squared_slope(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = F.mse_loss_backward(np.ones_like(x), x, np.zeros_like(x), "none")
    return found


def _binary_slope(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = F.binary_cross_entropy_with_logits_backward(
        np.ones_like(x), x, np.ones_like(x), reduction="none"
    )
    return found


def _two_logits(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, 2) of which the first is ahead by x, and labels (n,), all the first class."""
    return np.stack([x, np.zeros_like(x)], axis=1), np.zeros(len(x), np.int64)


def _cross_entropy(x: np.ndarray) -> np.ndarray:
    logits, labels = _two_logits(x)
    found: np.ndarray = F.cross_entropy(logits, labels, reduction="none")
    return found


def _cross_entropy_slope(x: np.ndarray) -> np.ndarray:
    logits, labels = _two_logits(x)
    found: np.ndarray = F.cross_entropy_backward(np.ones(len(x)), logits, labels, reduction="none")[:, 0]
    return found


ACTIVATIONS = (
    Function("linear", _linear, _linear_slope, -1, 1, "w x, w = 1"),
    _activation("relu", -1, 1, "max(x, 0)"),
    _activation("leaky-relu", -4, 4, "x, or 0.01 x below 0"),
    _activation("relu6", -2, 8, "min(max(x, 0), 6)"),
    _activation("sigmoid", -10, 10, "1 / (1 + exp(-x))"),
    _activation("tanh", -4, 4, "tanh(x)"),
    _activation("silu", -6, 6, "x sigmoid(x)"),
    _activation("gelu", -4, 4, "x P(X < x), X normal"),
)
LOSSES = (
    Function(
        "squared-error", lambda x: F.mse_loss(x, np.zeros_like(x), "none"), _squared_slope, -2, 2, "(x - 0)^2"
    ),
    Function(
        "binary-cross-entropy",
        lambda x: F.binary_cross_entropy_with_logits(x, np.ones_like(x), reduction="none"),
        _binary_slope,
        -6,
        6,
        "of the logit x, label 1",
    ),
    Function("cross-entropy", _cross_entropy, _cross_entropy_slope, -6, 6, "logits (x, 0), label: the first"),
)
FUNCTIONS = {function.name: function for function in (*ACTIVATIONS, *LOSSES)}
"""All of them by name."""


def functions(names: Sequence[str] = ()) -> list[Function]:
    """Return the functions of these names; without any, all.

    Raises:
        UserError: there is no such function.
    """
    for name in names:
        if name not in FUNCTIONS:
            raise UserError(unknown_name("function", name, FUNCTIONS))
    return [FUNCTIONS[name] for name in names or FUNCTIONS]
