"""Exercises: code with one deliberate mistake each, and the check that finds it.

::

    from striate.engine import exercises

    print(exercises.EXERCISES["kernel-not-flipped"].question)
    print(exercises.check("kernel-not-flipped"))
    print(exercises.EXERCISES["kernel-not-flipped"].solution)

Most keep every shape right, so that nothing tells but the numbers. Gradient checks find the wrong gradients;
a wrong *forward* with a backward that matches it passes every one of them, and only an independent
computation of the same thing finds it.
"""

from __future__ import annotations

import difflib

from striate.engine.exercises.convolutions import CONVOLUTIONS
from striate.engine.exercises.exercise import Exercise, Finding
from striate.engine.exercises.layers import LAYERS
from striate.engine.exercises.optimizers import OPTIMIZERS

EXERCISES: dict[str, Exercise] = {one.name: one for one in (*CONVOLUTIONS, *LAYERS, *OPTIMIZERS)}
"""Every exercise by its name."""


def check(name: str) -> str:
    """Return what the check of an exercise says.

    Raises:
        ValueError: there is none of that name; says which is nearest.
    """
    if name not in EXERCISES:
        near = difflib.get_close_matches(name, EXERCISES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"name: expected one of {', '.join(EXERCISES)}, got {name!r}{hint}")
    finding = EXERCISES[name].check()
    return (
        f"{finding.text}\n{'caught' if finding.caught else 'not caught'} by the {EXERCISES[name].caught_by}"
    )


__all__ = ["EXERCISES", "Exercise", "Finding", "check"]
