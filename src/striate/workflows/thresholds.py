"""From which probability on an image is named as the second of two classes, by what mistakes cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from striate.errors import UserError
from striate.evaluation import thresholds

if TYPE_CHECKING:
    from striate.runs import Run
    from striate.schemas import Predictions

CHOOSING_SPLIT = "val"


@dataclass(frozen=True)
class Threshold:
    """A threshold that validation images chose.

    Attributes:
        value: probability of the second class above which an image is named so.
        miss_cost: of an image of the second class that is named as the first.
        false_alarm_cost: of an image of the first class that is named as the second.
        class_names: the first and the second class.
    """

    value: float
    miss_cost: float
    false_alarm_cost: float
    class_names: tuple[str, ...]

    def measure(self, predictions: Predictions) -> dict[str, Any]:
        """Return what the threshold costs on other images, for `metrics.json`, beside the cost at 0.5.

        Raises:
            RunError: they are about other classes.
        """
        costs = (self.miss_cost, self.false_alarm_cost)
        return {
            **thresholds.measure(predictions, self.value, *costs),
            "positive": self.class_names[1],
            "miss_cost": self.miss_cost,
            "false_alarm_cost": self.false_alarm_cost,
            "chosen_on": CHOOSING_SPLIT,
            "at_half": thresholds.measure(predictions, thresholds.DEFAULT, *costs)["cost"],
        }


def choose_threshold(costs: Sequence[float | str], run: Run) -> Threshold:
    """Choose the threshold that costs least on the validation images of `run`.

    Args:
        costs: of a missed image of the second class, and of a false alarm.
        run: a training.

    Raises:
        UserError: the costs make no sense, there are not two classes, or `run` has no validation images.
    """
    miss, false_alarm = _pair(costs)
    if not run.predictions_file(CHOOSING_SPLIT).is_file():
        raise UserError(
            f"costs need a training's predictions for its validation images, which choose the threshold; "
            f"{run.folder} has none. Name the folder of a run that held out validation images."
        )
    predictions = run.calibrated(CHOOSING_SPLIT)
    run.check(CHOOSING_SPLIT, predictions)
    if (classes := len(predictions.class_names)) != 2:
        raise UserError(
            f"costs choose a threshold between two classes; this model has {classes}. Leave --costs out."
        )
    points = thresholds.operating_points(predictions)
    value = thresholds.choose_threshold(points, miss, false_alarm)
    return Threshold(value, miss, false_alarm, predictions.class_names)


def _pair(costs: Sequence[float | str]) -> tuple[float, float]:
    """Return both costs as numbers."""
    try:
        miss, false_alarm = (float(cost) for cost in costs)
        good = (
            all(math.isfinite(cost) and cost >= 0 for cost in (miss, false_alarm)) and miss + false_alarm > 0
        )
    except (TypeError, ValueError):
        good = False
    if not good:
        raise UserError(
            f"costs are {costs!r}: expected two numbers, the cost of a missed image of the second class and "
            "of a false alarm, as in --costs 5,1; not negative, not both 0."
        )
    return miss, false_alarm
