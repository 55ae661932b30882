"""Are the gradients right? Measure them by the two-point formula and compare.

A derivative is the limit of (f(x + h) - f(x - h)) / 2h. The Taylor series of f around x gives

    (f(x + h) - f(x - h)) / 2h = f'(x) + h^2 / 6 * f'''(x) + ...

so that the formula errs by about h^2 (*truncation*), plus about eps / h, for f itself is only known to the
precision eps of its number format (*round-off*). In float64 both are smallest together near h = 1e-5, where
some ten digits are right; in float32 no step gives more than three, which is why everything is checked in
float64. A sum of outputs stands for the loss, each weighted by a random number: a gradient that is right for
random weights is right for any loss.

What such a check cannot see: a forward pass that computes the wrong thing, but whose backward matches it. For
that take an independent computation of the same thing (`striate.engine.exercises` has an example).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate.engine.backend import check_number, check_whole
from striate.engine.gradient_report import GradientReport, Index, InputReport
from striate.engine.gradient_subjects import Inputs, Pair, Subject, check_pair_of_functions, of_layer, of_pair

SWEEP_STEPS = tuple(10.0**-k for k in range(1, 13))
_SWEEP_ELEMENTS = 8
_SMALL = 1e-3  # elements smaller than this share of the largest are compared with that share
_LONGER = tuple(10.0**k for k in range(5))  # steps, in units of the step, that tell hidden slopes from none
_NOISE = 16  # round-off of an output, in units of eps times its size
_KINK = 1e-3  # one-sided slopes that differ by more than this share stand on two sides of a kink


def gradcheck(
    subject: Any,
    inputs: Any,
    *,
    loss: Pair | None = None,
    step: float = 1e-5,
    tolerance: float = 1e-6,
    elements: int | None = 200,
    sweep: bool = True,
    seed: int = 0,
    unneeded: Collection[str] = (),
) -> GradientReport:
    """Compare the gradients of a layer, a network or a pair of functions with the two-point formula.

    A relative error is |backward - measured| divided by the larger of both, where elements below a thousandth
    of the array's largest gradient, or below what round-off lets one measure, count as that large. At a kink
    (ReLU at 0, two equal values in a pooling window) the error is the distance to the slopes of both sides.
    Where outputs are so large that round-off exceeds a thousandth of the array's largest slope, nothing can
    be told: the check fails as not measurable, whatever the gradient. Longer steps have less round-off.

    Args:
        subject: a layer or network (`forward`, `backward`, `parameters`), which is copied and stays as it
            is; its dropout masks are held. Or a pair of functions (forward, backward): forward(**inputs)
            returns an array or a number, backward(grad_output, **inputs) a gradient for each floating input,
            in order: a tuple, a mapping by name or a single array.
        inputs: of a layer, x; of functions, a mapping of names to arrays; whole numbers and other values
            (labels, say) are handed on as they are. Floating ones are checked in float64.
        loss: a pair (forward(y), backward(grad_output, y)) to put behind a layer; without it a random
            weighted sum of its outputs stands for the loss.
        step: h, multiplied by the size of elements larger than 1.
        tolerance: the largest relative error that passes.
        elements: how many elements of each array to measure, chosen at random; None for all. A random
            direction of all elements together is measured as well. It shows gross errors anywhere, but in a
            large array a small error of a few elements may go unnoticed: 0.1 % in one of 8,192 elements about
            every second time. None finds it.
        sweep: also measure a few elements with steps from 0.1 to 1e-12.
        seed: of the random choices.
        unneeded: names of inputs that need no gradient: where there is none, they are passed over. Any other
            gradient that is missing or None fails. A layer whose `needs_input_grad` is off needs none of x.

    Returns:
        The report; its `passed` tells the verdict, its text explains it.

    Raises:
        TypeError: no floating NumPy array to differentiate by, or no functions or numbers where they belong.
        ValueError: a number out of range, `unneeded` names no input, or more gradients than inputs.
    """
    _check_settings(step, tolerance, elements, seed)
    if loss is not None:
        check_pair_of_functions("loss", loss)
        if not hasattr(subject, "forward"):
            raise ValueError("loss: expected None with a pair of functions, got a pair; let these call it")
    checked = of_layer(subject, inputs, loss) if hasattr(subject, "forward") else of_pair(subject, inputs)
    if not checked.inputs:
        raise TypeError("inputs: expected at least one NumPy array of floating numbers, got none")
    unknown = [name for name in unneeded if name not in checked.inputs]
    if unknown:
        raise ValueError(f"unneeded: expected names out of {', '.join(checked.inputs)}, got {unknown[0]!r}")
    spared = checked.unneeded | set(unneeded)
    generator = np.random.default_rng(seed)
    before = {name: array.copy() for name, array in checked.inputs.items()}
    output = np.asarray(checked.forward(checked.inputs))
    weights = _weights(output.shape, generator)
    given = weights.copy()
    gradients = dict(checked.backward(given, checked.inputs))
    problems = {**checked.problems, **_changes(before, checked.inputs)}
    if not np.array_equal(given, weights):
        problems = dict.fromkeys(before, "grad_output was changed")
    measure = _Measure(checked, before, weights, step, tolerance, generator)
    reports = {
        name: measure.report(name, gradients.get(name), elements, problems.get(name, ""))
        for name in before
        if gradients.get(name) is not None or name not in spared
    }
    points = measure.sweep(reports) if sweep else ()
    return GradientReport(checked.name, tolerance, step, reports, points)


def _check_settings(step: float, tolerance: float, elements: int | None, seed: int) -> None:
    for name, value in {"step": step, "tolerance": tolerance}.items():
        if check_number(name, value) <= 0:
            raise ValueError(f"{name}: expected a number above 0, got {value}")
    if elements is not None:
        check_whole("elements", elements)
    check_whole("seed", seed, 0)


def _weights(shape: Index, generator: np.random.Generator) -> np.ndarray:
    """Return what outputs are multiplied by; a single one by a number that is not 1, which hides mistakes."""
    weights = np.asarray(generator.standard_normal(shape))
    return weights if weights.size > 1 else np.full(shape, 1.7)


def _changes(before: Inputs, after: Inputs) -> dict[str, str]:
    """Return what is wrong with the inputs that are not as they were."""
    same = {name: np.array_equal(before[name], after[name], equal_nan=True) for name in before}
    return {name: "the input was changed" for name in before if not same[name]}


class _Measure:
    """The two-point formula around one place."""

    def __init__(
        self,
        subject: Subject,
        inputs: Inputs,
        weights: np.ndarray,
        step: float,
        tolerance: float,
        generator: np.random.Generator,
    ) -> None:
        self.subject = subject
        self.inputs = inputs
        self.weights = weights
        self.step = step
        self.tolerance = tolerance
        self.generator = generator
        self.middle = self.outputs({})

    def outputs(self, changed: Inputs) -> np.ndarray:
        """Return the outputs with some inputs replaced; what the forward does to its inputs is forgotten."""
        inputs = {name: changed.get(name, array).copy() for name, array in self.inputs.items()}
        return np.array(self.subject.forward(inputs), np.float64)

    def slopes(self, name: str, direction: np.ndarray, h: float) -> tuple[float, float, float, float]:
        """Return (slope from below, slope from above, how much they part, round-off) along `direction`.

        How much they part is summed over the outputs, so that kinks of several outputs cannot cancel.
        """
        rise, fall = self._sides(name, direction, h)
        sizes = np.abs(self.weights * self.middle)
        moved = float(np.sum(sizes[(rise != 0) | (fall != 0)])) / h
        noise = _NOISE * np.finfo(np.float64).eps * (moved + float(np.sum(sizes)))  # of both gradients
        gap = float(np.sum(np.abs(self.weights * (rise - fall))))
        return float(np.sum(self.weights * fall)), float(np.sum(self.weights * rise)), gap, noise

    def _sides(self, name: str, direction: np.ndarray, h: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the outputs' slopes along `direction` by a step forward and by a step back."""
        above = self.outputs({name: self.inputs[name] + h * direction})
        below = self.outputs({name: self.inputs[name] - h * direction})
        return (above - self.middle) / h, (self.middle - below) / h

    def report(self, name: str, gradient: Any, elements: int | None, problem: str) -> InputReport:
        """Compare the gradient of one input."""
        value = self.inputs[name]
        numeric = np.full(value.shape, np.nan)
        if gradient is None:
            problem = "expected a gradient, got none"
            return InputReport(name, numeric, numeric.copy(), numeric.copy(), problem=problem)
        analytic = np.asarray(gradient)
        if analytic.shape != value.shape:
            problem = f"expected shape {value.shape}, got {analytic.shape}"
            return InputReport(name, analytic, numeric, numeric.copy(), problem=problem)
        if analytic.dtype.kind not in "fiu":
            problem = f"expected real numbers, got {analytic.dtype}"
            return InputReport(name, numeric, numeric.copy(), numeric.copy(), problem=problem)
        indices = self._choose(value.shape, elements)
        found = {index: self._element(name, index) for index in indices}
        largest = max((abs(one.slope) for one in found.values()), default=0.0)
        errors = numeric.copy()
        for index, one in found.items():
            numeric[index] = one.slope
            errors[index] = self._smallest_error(name, one, float(analytic[index]), _SMALL * largest)
        if not problem and any(self._hidden(name, one, largest) for one in found.values()):
            problem = "not measurable: outputs are so large that round-off hides slopes; try a longer step"
        kinks = tuple(index for index, one in found.items() if one.kink)
        along = self._along_all(name, analytic)
        return InputReport(name, analytic, numeric, errors, kinks, along, problem)

    def _along_all(self, name: str, analytic: np.ndarray) -> float:
        """Return the relative error along a random direction of all elements.

        If a kink lies there, along (1, 1, ..., 1), where equal values stay equal; if one is there too, only
        the outputs that meet none are compared.
        """
        random = self.generator.standard_normal(analytic.shape)
        for direction in (random, np.ones(analytic.shape)):
            along = self._measure(name, direction, self.step)
            parts = analytic * direction
            if not along.kink:
                floor = _SMALL * float(np.sum(np.abs(parts)))
                return self._smallest_error(name, along, float(np.sum(parts)), floor)
        return self._along_smooth_outputs(name, random, float(np.sum(analytic * random)))

    def _along_smooth_outputs(self, name: str, direction: np.ndarray, analytic: float) -> float:
        """Return the relative error of those outputs that meet no kink along `direction`.

        A backward pass for them alone gives their gradient. If all of them meet one (a loss is a single
        output), `analytic`, for all together, may be any slope between their sides.
        """
        rise, fall = self._sides(name, direction, self.step)
        roundoff = _NOISE * np.finfo(np.float64).eps * np.abs(self.middle) / self.step
        smooth = np.abs(rise - fall) <= self.tolerance * np.maximum(np.abs(rise), np.abs(fall)) + 4 * roundoff
        if not np.any(smooth & (self.weights != 0)):
            middle = float(np.sum(self.weights * (rise + fall))) / 2
            half = float(np.sum(np.abs(self.weights * (rise - fall)))) / 2
            sides = _Slopes(direction, self.step, middle - half, middle + half, 0.0, True)
            return _error(analytic, sides, float(np.sum(np.abs(self.weights) * roundoff)) / self.tolerance)
        weights = np.where(smooth, self.weights, 0.0)
        given = {key: array.copy() for key, array in self.inputs.items()}
        parts = np.asarray(self.subject.backward(weights.copy(), given)[name]) * direction
        below, above = float(np.sum(weights * fall)), float(np.sum(weights * rise))
        noise = float(np.sum(np.abs(weights) * roundoff))
        floor = max(_SMALL * float(np.sum(np.abs(parts))), noise / self.tolerance)
        return _error(float(np.sum(parts)), _Slopes(direction, self.step, below, above, noise, False), floor)

    def _element(self, name: str, index: Index) -> _Slopes:
        """Measure the slope of one element."""
        direction = np.zeros(self.inputs[name].shape)
        direction[index] = 1.0
        return self._measure(name, direction, self.step * max(1.0, abs(float(self.inputs[name][index]))))

    def _measure(self, name: str, direction: np.ndarray, h: float) -> _Slopes:
        """Measure slopes and tell a kink from a bend: the slopes of a bend part in proportion to the step."""
        below, above, gap, noise = self.slopes(name, direction, h)
        kink = gap > _KINK * max(abs(below), abs(above)) + 4 * noise
        if kink:
            *_, shorter_gap, shorter_noise = self.slopes(name, direction, h / 100)
            kink = shorter_gap > gap / 20 + 4 * shorter_noise  # a bend's would be a hundredth
        return _Slopes(direction, h, below, above, noise, kink)

    def _smallest_error(self, name: str, one: _Slopes, analytic: float, floor: float) -> float:
        """Return the relative error; where it is too large, the smallest with shorter steps as well.

        A kink close by spoils a long step and not a short one; a wrong gradient is wrong with both. A step
        whose round-off is as large as what is amiss tells nothing.
        """
        error = _error(analytic, one, max(floor, one.noise / self.tolerance))
        amiss = abs(analytic - one.slope)
        for h in (one.step / 10, one.step / 100):
            if error <= self.tolerance or not np.isfinite(error):
                break
            below, above, _, noise = self.slopes(name, one.direction, h)
            if noise >= amiss:
                break
            shorter = _Slopes(one.direction, h, below, above, noise, one.kink)
            error = min(error, _error(analytic, shorter, max(floor, noise / self.tolerance)))
        return error

    def sweep(self, reports: Mapping[str, InputReport]) -> tuple[tuple[float, float], ...]:
        """Return (step, largest relative error) of a few elements with sizable gradients away from kinks."""
        places = [
            (one, tuple(int(i) for i in index))
            for one in reports.values()
            if not one.problem
            for index in np.argwhere(_sizable(one))
        ]
        chosen = self.generator.permutation(len(places))[:_SWEEP_ELEMENTS]
        points = []
        for h in SWEEP_STEPS if places else ():
            errors = []
            for one, index in (places[k] for k in chosen):
                direction = np.zeros(one.analytic.shape)
                direction[index] = 1.0
                below, above, *_ = self.slopes(one.name, direction, h)
                truth = float(one.analytic[index])
                errors.append(abs((below + above) / 2 - truth) / abs(truth))
            points.append((h, max(errors)))
        return tuple(points)

    def _hidden(self, name: str, one: _Slopes, largest: float) -> bool:
        """Whether round-off hides what counts as a slope, of the array's `largest`, and there is any.

        A bias before a batch normalisation has none: with longer steps too, its outputs change by round-off.
        A hidden slope shows with them. A ReLU that wakes with them tells nothing: it jumps from no change at
        all to one that no round-off could hide.
        """
        if one.noise <= _SMALL * largest:
            return False
        if abs(one.slope) > one.noise:
            return True
        with np.errstate(all="ignore"):  # a long step may leave where the function is defined
            changes = [self._change(name, one.direction, one.step * factor) for factor in _LONGER]
        first = next((change for change in changes if change > 0), np.inf)
        return first <= 1 and changes[-1] > _NOISE

    def _change(self, name: str, direction: np.ndarray, h: float) -> float:
        """Return how much the outputs change with a step to either side, in units of their round-off."""
        rise, fall = self._sides(name, direction, h)
        change = h * np.sum(np.abs(self.weights) * np.maximum(np.abs(rise), np.abs(fall)))
        sizes = np.abs(self.weights * self.middle)[(rise != 0) | (fall != 0)]
        return float(change / (_NOISE * np.finfo(np.float64).eps * np.sum(sizes))) if change else 0.0

    def _choose(self, shape: Index, elements: int | None) -> list[Index]:
        size = int(np.prod(shape))
        flat = np.arange(size)
        if elements is not None and elements < size:
            flat = np.sort(self.generator.choice(size, elements, replace=False))
        return [tuple(int(i) for i in np.unravel_index(one, shape)) for one in flat]


@dataclass(frozen=True)
class _Slopes:
    """Measured along a `direction` with steps of length `step`."""

    direction: np.ndarray
    step: float
    below: float
    above: float
    noise: float
    kink: bool

    @property
    def slope(self) -> float:
        return (self.below + self.above) / 2


def _error(analytic: float, slopes: _Slopes, floor: float) -> float:
    if not np.isfinite(analytic):
        return np.inf
    numeric = slopes.slope
    if slopes.kink:
        low, high = min(slopes.below, slopes.above), max(slopes.below, slopes.above)
        numeric = min(max(analytic, low), high)
    scale = max(abs(analytic), abs(numeric), floor)
    error = abs(analytic - numeric) / scale if scale else 0.0
    return error if np.isfinite(error) else np.inf


def _sizable(one: InputReport) -> np.ndarray:
    sizes = np.where(np.isnan(one.errors), 0.0, np.abs(one.analytic))
    for index in one.kinks:
        sizes[index] = 0.0
    return np.asarray((sizes > 0.1 * np.max(sizes, initial=0.0)) & np.isfinite(sizes))
