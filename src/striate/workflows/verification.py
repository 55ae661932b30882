"""What a comparison of both engines came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from striate.architectures.comparison import Difference, Measured, Row

TRAINING_STEPS = "training steps"
"""Stands for a mode where the losses of the steps depart."""


@dataclass(frozen=True)
class Named:
    """What either engine takes a picture for: the most probable classes, the first first.

    Attributes:
        picture: its name.
        ours: class names and probabilities in NumPy.
        theirs: in torch.
    """

    picture: str
    ours: tuple[tuple[str, float], ...]
    theirs: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Verification:
    """The differences between both engines for one network.

    Attributes:
        model: name of the network.
        data: name of the images.
        input_shape: (C, H, W).
        images: how many were in the batch.
        dtype: what both engines computed in.
        tolerance: largest relative difference in a layer that counts as rounding.
        loss_tolerance: the same for the losses of the training.
        measured: every quantity, in the order of computation.
        steps: losses of the steps of training, ours and torch's.
        named: for a pretrained network, what it sees on the pictures.
        in_step: where the losses of `steps` part, those of a second training in which both begin every step
            with the same weights; else empty. It then decides, since training multiplies rounding.
    """

    model: str
    data: str
    input_shape: tuple[int, ...]
    images: int
    dtype: str
    tolerance: float
    loss_tolerance: float
    measured: tuple[Measured, ...]
    steps: tuple[tuple[float, float], ...]
    named: tuple[Named, ...] = ()
    in_step: tuple[tuple[float, float], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing departs."""
        return self.first_departure is None

    @property
    def first_departure(self) -> Measured | None:
        """The first quantity, in the order of computation, that differs by more than the tolerance allows."""
        from striate.architectures.comparison import Measured, first_departure

        found = first_departure(self.measured, self.tolerance)
        if found is not None:
            return found
        losses = [
            Measured(
                TRAINING_STEPS,
                "loss",
                "loss",
                f"value {'after' if self.in_step else 'at'} step {number}",
                apart,
            )
            for number, apart in enumerate(differences_of(self.in_step or self.steps), start=1)
        ]
        return first_departure(losses, self.loss_tolerance)

    @property
    def roundings(self) -> tuple[Measured, ...]:
        """What differs by more than the tolerance, but, as float64 shows, only by rounding."""
        apart = [one for one in self.measured if not one.difference.relative <= self.tolerance]
        return tuple(one for one in apart if one.is_rounding)

    @property
    def departing(self) -> frozenset[tuple[str, str, str]]:
        """Mode, layer and column of the table's cells in which something departs."""
        apart = [one for one in self.measured if one.departs(self.tolerance)]
        return frozenset((one.mode, one.layer, one.column) for one in apart)

    @property
    def rows(self) -> list[Row]:
        """A row for each mode and layer, in the order of computation."""
        from striate.architectures.comparison import rows

        return rows(self.measured)

    @property
    def layers(self) -> pd.DataFrame:
        """The same as a table; empty cells are NaN."""
        import pandas as pd

        columns = ("mode", "layer", "kind")
        quantities = ("output", "input_gradient", "parameter_gradient")
        table = [
            {name: getattr(row, name) for name in columns}
            | {
                f"{quantity}_{part}": getattr(getattr(row, quantity), part, float("nan"))
                for quantity in quantities
                for part in ("absolute", "relative")
            }
            for row in self.rows
        ]
        return pd.DataFrame(table)

    @property
    def losses(self) -> pd.DataFrame:
        """A row for each step: `step` (from 1), `numpy`, `torch`, `absolute` and `relative` difference."""
        import pandas as pd

        rows = [
            (number, *pair, *apart)
            for number, (pair, apart) in enumerate(
                zip(self.steps, self.step_differences(), strict=True), start=1
            )
        ]
        return pd.DataFrame(rows, columns=["step", "numpy", "torch", "absolute", "relative"])

    def step_differences(self) -> Sequence[Difference]:
        """Return how far apart the losses of `steps` are, see `differences_of`."""
        return differences_of(self.steps)


def differences_of(losses: Sequence[tuple[float, float]]) -> list[Difference]:
    """Return how far apart the losses are at each step; relative to the larger of this and the first."""
    import numpy as np

    from striate.architectures.comparison import difference, largest

    first = [abs(loss) for loss in losses[0]] if losses else []
    return [
        difference(np.array(ours), np.array(theirs), largest([np.array([ours, theirs, *first])]))
        for ours, theirs in losses
    ]
