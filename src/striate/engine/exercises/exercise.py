"""What an exercise is, and the three ways in which a mistake can be caught."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate.engine.gradcheck import gradcheck

Pair = tuple[Callable[..., Any], Callable[..., Any]]


@dataclass(frozen=True)
class Finding:
    """What checking an exercise gave.

    Attributes:
        caught: whether the mistake was found.
        text: what the check says.
    """

    caught: bool
    text: str


@dataclass(frozen=True)
class Exercise:
    """Code with one deliberate mistake.

    Attributes:
        name: short, in words joined by hyphens.
        wrong: the function or class that holds the mistake; its docstring asks a question.
        solution: what is wrong, and how the check shows it.
        caught_by: `gradcheck`, `oracle` or `optimizer`.
        keeps_shapes: whether every array still has the right shape, so that no shape tells.
        check: makes the check.
    """

    name: str
    wrong: Any
    solution: str
    caught_by: str
    keeps_shapes: bool
    check: Callable[[], Finding]

    @property
    def question(self) -> str:
        """What the student is asked."""
        return str(self.wrong.__doc__).strip()


def by_gradcheck(
    forward: Callable[..., Any], backward: Callable[..., Any], inputs: Mapping[str, Any]
) -> Finding:
    """Compare the backward pass with the two-point formula."""
    report = gradcheck((forward, backward), inputs, sweep=False)
    return Finding(not report.passed, str(report))


def by_gradcheck_of_layer(layer: Any, x: np.ndarray) -> Finding:
    """Compare a layer's backward pass with the two-point formula, twice in a row."""
    report = gradcheck(layer, x, sweep=False)
    return Finding(not report.passed, str(report))


def by_oracle(pair: Pair, oracle: Callable[..., Any], inputs: Mapping[str, np.ndarray]) -> Finding:
    """Show that the gradient check is content, then compare the forward with an independent computation."""
    forward, backward = pair
    report = gradcheck((forward, backward), inputs, sweep=False)
    found, expected = forward(**inputs), oracle(**inputs)
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    content = "passes" if report.passed else "fails"
    text = (
        f"the gradient check {content}: largest error {report.largest_error:.1e}\n"
        f"the definition disagrees: relative difference {difference:.2g}"
    )
    return Finding(difference > 1e-6, text)


def by_closed_form(path: np.ndarray, expected: np.ndarray) -> Finding:
    """Compare the path of an optimizer on a parabola with the one computed by hand."""
    difference = float(np.abs(path - expected).max())
    rows = [f"{'step':>6}{'weight':>12}{'by hand':>12}"]
    rows += [f"{step:>6}{a:>12.6f}{b:>12.6f}" for step, (a, b) in enumerate(zip(path, expected, strict=True))]
    return Finding(difference > 1e-9, "\n".join(rows))
