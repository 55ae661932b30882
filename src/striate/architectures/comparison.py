"""Two engines' numbers for one network: how far apart, and where first too far. Arithmetic alone, no torch.

How large a difference is counts relative to the largest value of the array: each value is a sum of many
terms, rounded in another order by the other engine, so that the error of a sum that happens to cancel is as
large as that of any other. Likewise a layer's parameter gradients are all measured by the largest of them,
since a gradient may be 0 but for rounding (of a bias before batch normalisation, say).

Where a whole array cancels, that scale is itself rounding: the gradient that a normalisation over two values
sends back is almost 0, whatever comes in. Then float64 decides. A difference is rounding where our error
against it is no larger than some times PyTorch's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

OUTPUT = "output"
INPUT_GRADIENT = "input gradient"
PARAMETER_GRADIENT = "gradient of "
"""Beginning of such a quantity, before the parameter's name."""
TOLERANCES = {"float64": 1e-10, "float32": 1e-4}
"""The largest relative difference in a layer that counts as rounding, by dtype.

Layers that get the same input differ by some 1e-14 in float64 and 1e-6 in float32; batch normalisation of a
channel that hardly varies over the batch by ten or a hundred times as much.
"""
LOSS_TOLERANCES = {"float64": 1e-6, "float32": 1e-1}
"""The same for the losses of ten steps of training, where each engine goes its own way.

Training multiplies a difference at every step: with batch normalisation, dropout and small batches it may
grow tenfold a step (the zoo's `custom-cnn`); without, it hardly grows at all.
"""


ROUNDING_MULTIPLE = 10
"""How many times as far from float64 as PyTorch's numbers ours may be and still differ by rounding.

In normalisations over two values, where float32 differed by more than the tolerance, it was twice at most; a
mistake is not a matter of rounding, and as far from float64 as it is from PyTorch.
"""


class Difference(NamedTuple):
    """How far two arrays are apart.

    Attributes:
        absolute: the largest difference of two values.
        relative: the same, divided by the largest value.
    """

    absolute: float
    relative: float


class Errors(NamedTuple):
    """How far the numbers of both engines are from those of float64, relative as in `Difference`."""

    ours: float
    theirs: float


class Measured(NamedTuple):
    """One quantity of one layer on both engines.

    Attributes:
        mode: `evaluation`, `training`, or what else was going on.
        layer: its path, `residual1.conv1`.
        kind: `conv2d`, `relu`, ...
        quantity: `OUTPUT`, `INPUT_GRADIENT`, `PARAMETER_GRADIENT` and a name, or what else was compared.
        difference: between the engines.
        errors: of either engine, where float64 was asked too.
    """

    mode: str
    layer: str
    kind: str
    quantity: str
    difference: Difference
    errors: Errors | None = None

    @property
    def column(self) -> str:
        """The field of `Row` that it belongs to; empty for another quantity."""
        if self.quantity.startswith(PARAMETER_GRADIENT):
            return "parameter_gradient"
        return {OUTPUT: "output", INPUT_GRADIENT: "input_gradient"}.get(self.quantity, "")

    @property
    def is_rounding(self) -> bool:
        """Whether float64 shows that the difference is rounding, however large."""
        return self.errors is not None and self.errors.ours <= ROUNDING_MULTIPLE * self.errors.theirs

    def departs(self, tolerance: float) -> bool:
        """Tell whether the engines are further apart than `tolerance`, relatively, and not by rounding."""
        return not self.difference.relative <= tolerance and not self.is_rounding

    def __str__(self) -> str:
        absolute, relative = self.difference
        place = self.layer if self.kind == self.layer else f"{self.layer} ({self.kind})"
        return f"{place}, {self.mode}: its {self.quantity} differs by {absolute:.1e}, relative {relative:.1e}"


@dataclass(frozen=True)
class Row:
    """A layer of the table: its differences in one mode; None where there is nothing to compare."""

    mode: str
    layer: str
    kind: str
    output: Difference | None
    input_gradient: Difference | None
    parameter_gradient: Difference | None


def difference(ours: np.ndarray, theirs: np.ndarray, scale: float | None = None) -> Difference:
    """Return how far apart two arrays of one shape are.

    Values that are not finite are 0 apart where both engines have the same, else infinitely far; so are
    arrays of different shapes.

    Args:
        ours: floating or whole numbers.
        theirs: likewise.
        scale: what counts as large; the largest finite value of either, unless given.
    """
    if ours.shape != theirs.shape:
        return Difference(np.inf, np.inf)
    if not ours.size:
        return Difference(0.0, 0.0)
    ours, theirs = np.atleast_1d(ours), np.atleast_1d(theirs)
    with np.errstate(invalid="ignore"):
        apart = np.abs(ours - theirs)
    odd = ~np.isfinite(apart)
    if odd.any():
        same = (ours[odd] == theirs[odd]) | (np.isnan(ours[odd]) & np.isnan(theirs[odd]))
        apart[odd] = np.where(same, 0.0, np.inf)
    absolute = float(apart.max())
    scale = largest([ours, theirs]) if scale is None else scale
    return Difference(absolute, absolute / scale if absolute else 0.0)


def largest(arrays: Iterable[np.ndarray]) -> float:
    """Return the largest finite absolute value; the smallest positive number where all are 0."""
    tiny = float(np.finfo(np.float64).tiny)
    values = (np.abs(array[np.isfinite(array)]) for array in arrays)
    return max((float(one.max(initial=0.0)) for one in values), default=0.0) or tiny


def together(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> dict[str, Difference]:
    """Return the differences of one layer's arrays by name, measured by the largest value of them all.

    An array that the other engine does not have is infinitely far from it.
    """
    scale = largest([*ours.values(), *theirs.values()])
    absent = Difference(np.inf, np.inf)
    return {
        name: difference(ours[name], theirs[name], scale) if name in ours and name in theirs else absent
        for name in [*ours, *(name for name in theirs if name not in ours)]
    }


def errors(
    name: str,
    ours: Mapping[str, np.ndarray],
    theirs: Mapping[str, np.ndarray],
    exact: Mapping[str, np.ndarray],
    scale: float | None = None,
) -> Errors | None:
    """Return how far both engines' array `name` is from the `exact` one; None where one of them lacks it.

    Args:
        name: of the array.
        ours: arrays by name.
        theirs: likewise.
        exact: likewise, in float64.
        scale: what counts as large, as in `difference`.
    """
    if any(name not in arrays for arrays in (ours, theirs, exact)):
        return None
    return Errors(*(difference(side[name], exact[name], scale).relative for side in (ours, theirs)))


def first_departure(measured: Iterable[Measured], tolerance: float) -> Measured | None:
    """Return the first quantity, in the order of computation, that departs."""
    return next((one for one in measured if one.departs(tolerance)), None)


def rows(measured: Sequence[Measured]) -> list[Row]:
    """Return a row for each mode and layer with an output or a gradient, in the order of computation."""
    cells: dict[tuple[str, str, str], dict[str, Difference]] = {}
    for one in measured:
        if not one.column:
            continue
        row = cells.setdefault((one.mode, one.layer, one.kind), {})
        row[one.column] = max(
            row.get(one.column, one.difference), one.difference, key=lambda one: one.relative
        )
    return [
        Row(*place, row.get("output"), row.get("input_gradient"), row.get("parameter_gradient"))
        for place, row in cells.items()
    ]
