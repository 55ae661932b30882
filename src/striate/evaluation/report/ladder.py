"""What was tried within a budget: the part of the report about the way to the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from striate.evaluation.wording import counted


@dataclass(frozen=True)
class LadderRow:
    """One step, as text but for the accuracy.

    Attributes:
        name: of the step.
        where: at which size of the input, where that is known.
        network: its network, strategy and input.
        epochs: that were trained, of those planned.
        estimated: what it was thought to cost; likewise `cost`, with the trial.
        accuracy: on validation images: `value`, `low`, `high`, or None.
        outcome: `kept`, `not kept`, `not started`, `cut short`.
        reason: why.
    """

    name: str
    where: str
    network: str
    epochs: str
    estimated: str
    cost: str
    accuracy: Mapping[str, float] | None
    outcome: str
    reason: str


@dataclass(frozen=True)
class LadderSection:
    """The section: sentences, and a row a step."""

    opening: str
    ending: str
    how: str
    rows: tuple[LadderRow, ...]


def section(ladder: Mapping[str, Any]) -> LadderSection | None:
    """Return what to show of `ladder.json`; None where there was no budget."""
    if not ladder:
        return None
    images = counted(ladder["validation_images"], "validation image")
    return LadderSection(
        opening=f"{ladder['seconds']:.0f} of {ladder['budget_seconds']:.0f} seconds went into "
        f"{counted(len(ladder['steps']), 'step')}; {ladder['reserved_seconds']:.0f} were kept free for the "
        f"test images and this report. The network of this run is that of the step {ladder['kept']}.",
        ending=f"It ended there: {ladder['stopped']}.",
        how=f"A step is kept where it names more of the {images} correctly than the one kept before it, and "
        f"{ladder['test'].split(',')[0]} says that chance alone would do so less often than "
        f"{100 * ladder['significance']:.0f} times in a hundred (exact, two-sided, on the same images). What "
        "a step costs is estimated before it begins, from some images that are timed. The test images were "
        "looked at once, by the step that was kept.",
        rows=tuple(_row(step) for step in ladder["steps"]),
    )


def _row(step: Mapping[str, Any]) -> LadderRow:
    ran, planned = step["epochs_run"], step["epochs"]
    network = [step["model"], step["strategy"], f"{step['side']} pixels" if step["side"] else ""]
    return LadderRow(
        name=step["name"],
        where=f" at {step['side']} pixels" if step["side"] else "",
        network=", ".join(part for part in network if part),
        epochs="" if ran is None else f"{ran} of {planned}" if ran != planned else str(ran),
        estimated="" if step["estimated_seconds"] is None else f"{step['estimated_seconds']:.0f} s",
        cost=f"{step['seconds']:.0f} s",
        accuracy=step["accuracy"],
        outcome=step["outcome"],
        reason=step["reason"],
    )
