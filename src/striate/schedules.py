"""Learning rates as pure functions of the step: `factor * peak` is the rate of optimizer step 0, 1, 2, ...

One setting means one rate, whichever engine trains. A schedule has no state, so resuming needs none; only
`Plateau` depends on what was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

SCHEDULES = ("constant", "step", "cosine", "linear", "one-cycle", "plateau")
"""Names of the schedules."""

_START_DIVISOR = 25.0  # one-cycle starts at peak / 25 ...
_END_DIVISOR = 25.0 * 1e4  # ... and ends at peak / 250,000
_RISING_SHARE = 0.3  # of the steps of one-cycle, unless warmup_epochs says otherwise
_PLATEAU_THRESHOLD = 1e-4  # a loss must fall by this share to count as an improvement


class Settings(Protocol):
    """What a schedule wants to know; `Plan` has it, and so have the settings of a training."""

    @property
    def schedule(self) -> str: ...  # noqa: D102 -- one of SCHEDULES
    @property
    def epochs(self) -> int: ...  # noqa: D102
    @property
    def warmup_epochs(self) -> float: ...  # noqa: D102
    @property
    def step_epochs(self) -> int: ...  # noqa: D102
    @property
    def step_factor(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class Plan:
    """How the learning rate runs.

    Attributes:
        epochs: of the whole training.
        schedule: one of `SCHEDULES`.
        warmup_epochs: over which the rate rises to its peak.
        step_epochs: epochs between two reductions of the schedule `step`.
        step_factor: by which `step` and `plateau` multiply the rate.
    """

    epochs: int
    schedule: str = "constant"
    warmup_epochs: float = 0.0
    step_epochs: int = 5
    step_factor: float = 0.2


@dataclass(frozen=True)
class Schedule:
    """The learning rate's factor at every step of a training.

    Attributes:
        config: `schedule`, `epochs`, `warmup_epochs`, `step_epochs` and `step_factor` count.
        steps_per_epoch: optimizer steps in an epoch.
    """

    config: Settings
    steps_per_epoch: int

    def __post_init__(self) -> None:
        if self.config.schedule not in SCHEDULES:
            raise ValueError(
                f"schedule: expected one of {', '.join(SCHEDULES)}, got {self.config.schedule!r}"
            )
        if not 0 <= self.config.warmup_epochs < self.config.epochs:
            raise ValueError(
                f"warmup_epochs: expected fewer than the {self.config.epochs} epochs, "
                f"got {self.config.warmup_epochs:g}"
            )

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.config.epochs * self.steps_per_epoch

    def factor(self, step: float, reductions: int = 0) -> float:
        """Return the factor of the peak learning rate at `step`, counted from 0.

        Args:
            step: below `total_steps`; between two steps where an epoch has fewer than the others.
            reductions: how often a plateau was met before; counts for the plateau schedule alone.
        """
        config = self.config
        warmup_steps = round(config.warmup_epochs * self.steps_per_epoch)
        if config.schedule == "one-cycle":
            return one_cycle(step, self.total_steps, config.warmup_epochs / config.epochs or _RISING_SHARE)
        if config.schedule == "cosine" and step >= warmup_steps:
            return cosine(step - warmup_steps, self.total_steps - warmup_steps)
        if config.schedule == "linear" and step >= warmup_steps:
            return linear(step - warmup_steps, self.total_steps - warmup_steps)
        factor = warmup(step, warmup_steps)
        if config.schedule == "step":
            factor *= config.step_factor ** (step // self.steps_per_epoch // config.step_epochs)
        if config.schedule == "plateau":
            factor *= config.step_factor**reductions
        return factor


def warmup(step: float, warmup_steps: int) -> float:
    """Return (step + 1) / (warmup_steps + 1) during the warm-up, 1 from step `warmup_steps` on."""
    return min(1.0, (step + 1) / (warmup_steps + 1))


def cosine(step: float, total_steps: int) -> float:
    """Return half a cosine from 1 at step 0 down to 0 at `total_steps`.

    Source: Loshchilov and Hutter 2017, SGDR, equation 5, one cycle.
    """
    return 0.5 * (1 + math.cos(math.pi * step / total_steps))


def linear(step: float, total_steps: int) -> float:
    """Return a line from 1 at step 0 down to 0 at `total_steps`; after a warm-up, a triangle's far side."""
    return 1 - step / total_steps


def one_cycle(step: float, total_steps: int, rising_share: float) -> float:
    """Return the factor of the one-cycle policy: half a cosine up from 1/25 to 1, another down to 1/250,000.

    The peak lies at step `rising_share * total_steps - 1`, the end at the last step. Where that leaves no
    step to rise, the first one has the peak; a single step is at the peak.

    Source: Smith and Topin 2018, Super-convergence; cosine form as in torch's OneCycleLR.
    """
    peak = max(rising_share * total_steps - 1, 0.0)
    if step <= peak and peak > 0:
        return _between(1 / _START_DIVISOR, 1.0, step / peak)
    falling = total_steps - 1 - peak
    share = min((step - peak) / falling, 1.0) if falling > 0 else 0.0
    return _between(1.0, 1 / _END_DIVISOR, share)


def _between(start: float, end: float, share: float) -> float:
    """Return the point at `share` (0 to 1) of half a cosine from `start` to `end`."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class Plateau:
    """How often the loss stopped falling; the state of torch's `ReduceLROnPlateau`.

    Attributes:
        best: lowest loss so far.
        waited: epochs since then.
        reductions: how often `waited` exceeded the patience.
    """

    best: float = math.inf
    waited: int = 0
    reductions: int = 0

    def after(self, loss: float, patience: int) -> Plateau:
        """Return the state after an epoch with `loss`."""
        if loss < self.best * (1 - _PLATEAU_THRESHOLD) or self.best == math.inf:
            return Plateau(loss, 0, self.reductions)
        if self.waited + 1 > patience:
            return Plateau(self.best, 0, self.reductions + 1)
        return Plateau(self.best, self.waited + 1, self.reductions)
