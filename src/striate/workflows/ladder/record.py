"""What a ladder did, as `ladder.json` and the report hold it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from striate.evaluation.intervals import wilson
from striate.evaluation.study.paired import Paired, count_pairs, mcnemar
from striate.schemas import Predictions

SIGNIFICANCE = 0.05
"""A step is kept where its gain, were it chance, would be rarer than this."""
FEWEST_DECISIVE = 6
"""So many images that the new step alone names correctly convince (2 / 2**6 < 0.05); five do not."""


@dataclass(frozen=True)
class Verdict:
    """A step against the one kept before it, on the same validation images.

    Attributes:
        only_new: images that the new step alone names correctly; likewise `only_before`.
        p_value: of McNemar's exact test, two-sided.
        kept: the new step is more often right, and not by chance.
    """

    only_new: int
    only_before: int
    p_value: float
    kept: bool


def judge(new: Predictions, before: Predictions) -> Verdict:
    """Compare two steps by McNemar's exact test on the images of both, which are the same."""
    counts: Paired = count_pairs(_right(new), _right(before))
    p_value = mcnemar(counts)
    kept = counts.difference > 0 and p_value < SIGNIFICANCE
    return Verdict(counts.only_first, counts.only_second, p_value, kept)


@dataclass(frozen=True)
class Mirroring:
    """Whether a network that was trained without mirror images knows them.

    Attributes:
        right: of the validation images' mirror images, how many it names correctly.
        images: how many there are.
        turned: classes whose mirror images it takes for others.
    """

    right: int
    images: int
    turned: tuple[str, ...]

    def __str__(self) -> str:
        known = f"of {self.images} mirrored validation images it names {self.right} correctly"
        if not self.turned:
            return f"{known}, so later steps mirror"
        names = ", ".join(f"'{name}'" for name in self.turned[:3]) + (", ..." if len(self.turned) > 3 else "")
        return f"{known} and takes those of {names} for other classes, so no step mirrors"


def mirror_test(upright: Predictions, mirrored: Predictions) -> Mirroring:
    """Compare the predictions of images and of their mirror images, class by class.

    A class is `turned` where more than half of what was right is wrong in the mirror, and that by more than
    chance: McNemar's exact test, corrected for the number of classes (Bonferroni).
    """
    before, after = _right(upright), _right(mirrored)
    turned = []
    for number, name in enumerate(upright.class_names):
        own = upright.labels == number
        counts = count_pairs(before[own], after[own])
        lost = int(before[own].sum()) - int(after[own].sum())
        chance = mcnemar(counts) * len(upright.class_names)
        if 2 * lost > int(before[own].sum()) and chance < SIGNIFICANCE:
            turned.append(name)
    return Mirroring(int(after.sum()), len(after), tuple(turned))


def mistakes(predictions: Predictions) -> int:
    """Return how many images are named wrongly."""
    return int(np.count_nonzero(~_right(predictions)))


def accuracy(predictions: Predictions) -> dict[str, float]:
    """Return the share that is right: `value`, and Wilson's interval `low`, `high`."""
    right, n = int(np.count_nonzero(_right(predictions))), len(predictions.labels)
    low, high = wilson(right, n)
    return {"value": right / n, "low": low, "high": high}


def _right(predictions: Predictions) -> np.ndarray:
    right: np.ndarray = predictions.predicted == predictions.labels
    return right


@dataclass
class StepRecord:
    """One step: what it was, what it cost, and what became of it.

    Attributes:
        name: of the step.
        model: the network; likewise `strategy` and `side` of its input in pixels.
        outcome: `kept`, `not kept`, `not started` or `cut short`.
        reason: why, in a sentence.
        epochs: that were planned and trained; None for a head on features.
        estimated_seconds: from the trial, before it was started; None where it was not tried.
        trial_seconds: what finding that out took; `seconds` counts it too.
        seconds: what it took in all.
        accuracy: on validation images: `value`, `low`, `high`.
        verdict: against the step kept before; None for the first.
        mirroring: what the first step says of mirror images, where later ones might see some: `Mirroring`.
    """

    name: str
    model: str = ""
    strategy: str = ""
    side: int | None = None
    outcome: str = "not started"
    reason: str = ""
    epochs: int | None = None
    epochs_run: int | None = None
    estimated_seconds: float | None = None
    trial_seconds: float = 0.0
    seconds: float = 0.0
    accuracy: dict[str, float] | None = None
    verdict: dict[str, Any] | None = None
    mirroring: dict[str, Any] | None = None


@dataclass
class LadderRecord:
    """All steps of a ladder.

    Attributes:
        budget_seconds: that the command was given.
        reserved_seconds: kept free for the test images and the report.
        kind: `photos` or `small images`.
        validation_images: how many decide.
        steps: in the order in which they were tried.
        kept: name of the step whose network the run holds.
        stopped: why the ladder ended there, in a sentence.
        seconds: from the start of the command to the end of the last step; `total_seconds` to the report.
    """

    budget_seconds: float
    reserved_seconds: float
    kind: str
    validation_images: int
    steps: list[StepRecord] = field(default_factory=list)
    kept: str = ""
    stopped: str = ""
    seconds: float = 0.0
    total_seconds: float | None = None
    test: str = "McNemar's exact test, two-sided, on the same validation images"
    significance: float = SIGNIFICANCE

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with times rounded to milliseconds."""
        content = asdict(self)
        for entry in (content, *content["steps"]):
            for name, value in entry.items():
                if name.endswith("seconds") and value is not None:
                    entry[name] = round(value, 3)
        return content
