"""Making probabilities honest: a temperature from the validation images, for the bundle and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate import bundle
from striate.evaluation import predictions_table
from striate.evaluation.temperature import HIGHEST, LEAST_IMAGES, LOWEST, fit_temperature

if TYPE_CHECKING:
    from striate.runs import Run

CALIBRATING_SPLIT = "val"


def calibrate(run: Run) -> None:
    """Fit the temperature of `run` on its validation images alone; without enough of them it stays at 1.

    It is written into the bundle and `run.json`, and the tables of predictions for people are made anew by
    it. The predictions for programs stay as the network put them out.

    Args:
        run: a training with bundle, facts and predictions.

    Raises:
        RunError: the predictions are damaged.
        DataError: they cannot be measured.
    """
    found = _fit(run)
    bundle.amend(run.model, temperature=found["temperature"])
    run.write_facts(run.facts() | {"calibration": found})
    if found["temperature"] == 1:
        return
    for split in run.splits():
        predictions = run.predictions(split)
        table = predictions_table(predictions.at_temperature(found["temperature"]))
        run.write_predictions(split, predictions, table)


def _fit(run: Run) -> dict[str, Any]:
    """Return `temperature`, `split`, `samples`, and `message`: why it was not fitted, or what is odd."""
    if CALIBRATING_SPLIT not in run.splits():
        return _left("there are no validation images to calibrate with", 0)
    predictions = run.predictions(CALIBRATING_SPLIT)
    samples = int((predictions.labels >= 0).sum())
    if samples < LEAST_IMAGES:
        return _left(
            f"{samples} labelled validation images are fewer than the {LEAST_IMAGES} it takes", samples
        )
    temperature = fit_temperature(predictions)
    message = ""
    if temperature in (LOWEST, HIGHEST):
        message = (
            f"The temperature came to its limit of {temperature:g}: probabilities are not to be relied upon."
        )
    return {
        "temperature": temperature,
        "split": CALIBRATING_SPLIT,
        "samples": samples,
        "message": message,
    }


def _left(why: str, samples: int) -> dict[str, Any]:
    """What is recorded where the temperature stays at 1."""
    return {
        "temperature": 1.0,
        "split": "",
        "samples": samples,
        "message": f"Probabilities are not calibrated: {why}.",
    }
