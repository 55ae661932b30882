"""One score from several labelled sets, each with its weight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from striate.errors import DataError, UserError
from striate.evaluation.intervals import LEVEL, sum_interval, wilson
from striate.evaluation.labelled import labelled
from striate.schemas import Predictions


def weigh(
    sets: Mapping[str, tuple[Predictions | Mapping[str, Any], float]], level: float = LEVEL
) -> dict[str, Any]:
    """Return the accuracy of each set and their weighted total, with intervals.

    Only the ratios of the weights count: they are divided by their sum, which `message` says where that is
    not 1. The total's interval combines Wilson's intervals of the sets (`sum_interval`), which must hold
    different images.

    Args:
        sets: name -> predictions, or their entry of `metrics.json`, and a weight.
        level: of the intervals.

    Returns:
        `level`; `sets`: name -> `weight` (they add up to 1), `samples`, `correct`, `accuracy`; `total`:
        `value`, `low`, `high`; `message`: what was done to the weights, or "".

    Raises:
        UserError: no set, or a weight that is not positive.
        DataError: a set without a labelled image, or predictions that do not fit together.
    """
    if not sets:
        raise UserError("no set to weigh: expected at least one, with its weight.")
    for name, (_, weight) in sets.items():
        if not (math.isfinite(weight) and weight > 0):
            raise UserError(f"the weight of {name!r} is {weight}; expected a number above 0.")
    sum_of_weights = math.fsum(weight for _, weight in sets.values())
    scores = {
        name: {"weight": weight / sum_of_weights, **_accuracy(name, source, level)}
        for name, (source, weight) in sets.items()
    }
    accuracies = [score["accuracy"] for score in scores.values()]
    values, low, high = (np.array([share[end] for share in accuracies]) for end in ("value", "low", "high"))
    weights = np.array([score["weight"] for score in scores.values()])
    below, above = sum_interval(values, low, high, weights)
    return {
        "level": level,
        "sets": scores,
        "total": {"value": float(weights @ values), "low": max(0.0, below), "high": min(1.0, above)},
        "message": _message(sum_of_weights),
    }


def _accuracy(name: str, source: Predictions | Mapping[str, Any], level: float) -> dict[str, Any]:
    if isinstance(source, Predictions):
        try:
            known = labelled(source)
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
        samples, correct = len(known.labels), int(np.count_nonzero(known.predicted == known.labels))
    else:
        samples, correct = int(source["samples"]), int(source["correct"])
        if not samples:
            raise DataError(f"{name}: no labelled image, so there is nothing to measure.")
    low, high = wilson(correct, samples, level)
    return {
        "samples": samples,
        "correct": correct,
        "accuracy": {"value": correct / samples, "low": low, "high": high},
    }


def _message(sum_of_weights: float) -> str:
    if math.isclose(sum_of_weights, 1, rel_tol=1e-9):
        return ""
    return f"The weights add up to {sum_of_weights:.6g}; each was divided by that, so that they add up to 1."
