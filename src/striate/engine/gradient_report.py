"""What a gradient check found, element by element, and how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

Index = tuple[int, ...]


@dataclass(frozen=True)
class InputReport:
    """The gradient for one input or parameter.

    Attributes:
        name: of the input.
        analytic: the gradient that the backward pass gave.
        numeric: by the two-point formula; NaN where it was not measured.
        errors: relative errors, shaped as the input; NaN where nothing was measured.
        kinks: where the two sides have different slopes; there the backward may give any slope between them.
        direction_error: relative error of the slope along one random direction of all elements together.
        problem: what is wrong apart from the numbers, or "".
    """

    name: str
    analytic: np.ndarray
    numeric: np.ndarray
    errors: np.ndarray
    kinks: tuple[Index, ...] = ()
    direction_error: float = 0.0
    problem: str = ""

    @property
    def checked(self) -> int:
        """How many elements were measured."""
        return int(np.count_nonzero(~np.isnan(self.errors)))

    @property
    def largest_error(self) -> float:
        """Largest relative error of an element, or of the direction if that is larger; inf with a problem."""
        if self.problem:
            return np.inf
        return max(float(np.nanmax(self.errors, initial=0.0)), self.direction_error)

    @property
    def where(self) -> Index:
        """Index of the element with the largest error."""
        if not self.checked:
            return ()
        flat = int(np.nanargmax(self.errors))
        return tuple(int(i) for i in np.unravel_index(flat, self.errors.shape))


@dataclass(frozen=True)
class GradientReport:
    """What `gradcheck` found.

    Attributes:
        subject: what was checked.
        tolerance: the largest relative error that passes.
        step: of the two-point formula.
        inputs: by name, the findings for each input and parameter.
        sweep: (step, largest relative error) for a few elements: too large a step errs by truncation, too
            small a one by round-off.
    """

    subject: str
    tolerance: float
    step: float
    inputs: Mapping[str, InputReport]
    sweep: tuple[tuple[float, float], ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether something was measured, and every error is within the tolerance."""
        reports = self.inputs.values()
        return any(one.checked for one in reports) and all(
            one.largest_error <= self.tolerance for one in reports
        )

    @property
    def largest_error(self) -> float:
        """The largest relative error of all."""
        return max((one.largest_error for one in self.inputs.values()), default=np.inf)

    @property
    def where(self) -> tuple[str, Index]:
        """The input and the index with the largest error."""
        worst = max(self.inputs.values(), key=lambda one: one.largest_error)
        return worst.name, worst.where

    @property
    def errors(self) -> dict[str, np.ndarray]:
        """Relative errors, element by element, of each input."""
        return {name: one.errors for name, one in self.inputs.items()}

    @property
    def kinks(self) -> dict[str, tuple[Index, ...]]:
        """Where the function has a kink, of each input that has any."""
        return {name: one.kinks for name, one in self.inputs.items() if one.kinks}

    def __str__(self) -> str:
        verdict = "PASS" if self.passed else "FAIL"
        lines = [
            f"{verdict}  gradient check of {self.subject}: step {self.step:g}, tolerance {self.tolerance:g}",
            f"  {'input':<28}{'checked':>15}{'largest error':>15}  at",
        ]
        lines += [_row(one) for one in self.inputs.values()]
        if not self.passed:
            lines += [*_complaint(self)]
        lines += [f"  {line}" for line in _kink_lines(self.kinks)]
        return "\n".join(lines + _sweep_lines(self.sweep))


def _row(one: InputReport) -> str:
    share = f"{one.checked} of {one.errors.size}"
    where = one.problem or (str(one.where) if one.checked else "-")
    return f"  {one.name:<28}{share:>15}{one.largest_error:>15.1e}  {where}"


def _complaint(report: GradientReport) -> list[str]:
    """Say which element is worst, and what its gradient should be."""
    name, index = report.where if report.inputs else ("", ())
    one = report.inputs.get(name)
    if one is None or one.problem or not one.checked:
        return []
    analytic, numeric = one.analytic[index], one.numeric[index]
    lines = [
        f"  worst: {name}{list(index)}, backward gives {analytic:.8g}, the two-point formula {numeric:.8g}"
    ]
    if abs(numeric) > 0 and np.isfinite(analytic):
        lines[0] += f" (ratio {analytic / numeric:.4g})"
    wrong = int(np.count_nonzero(one.errors > report.tolerance))
    return [*lines, f"  {wrong} of the {one.checked} elements of {name} that were checked are wrong"]


def _kink_lines(kinks: Mapping[str, tuple[Index, ...]]) -> list[str]:
    lines = []
    for name, found in kinks.items():
        shown = ", ".join(str(list(index)) for index in found[:3]) + (", ..." if len(found) > 3 else "")
        lines.append(
            f"kinks: {len(found)} in {name} ({shown}): any slope between the two sides' is right there"
        )
    return lines


def _sweep_lines(sweep: tuple[tuple[float, float], ...]) -> list[str]:
    """Draw the sweep as bars on a logarithmic scale; the best step is where both kinds of error are small."""
    if not sweep:
        return []
    best = min(sweep, key=lambda point: point[1])[0]
    lines = ["  error by step (above the best step: truncation; below it: round-off)"]
    for h, error in sweep:
        length = int(np.clip(2 * (np.log10(max(error, 1e-16)) + 16), 0, 40)) if np.isfinite(error) else 40
        note = " best" if h == best else ""
        lines.append(f"  {h:8.0e} {error:8.1e} {'#' * length}{note}")
    return lines
