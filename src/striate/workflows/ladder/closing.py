"""From the step that was kept to a run: the bundle, one look at the test images, the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate import bundle, files
from striate.evaluation import predictions_table
from striate.workflows import records, results
from striate.workflows.calibration import calibrate
from striate.workflows.ladder.attempts import Attempt
from striate.workflows.ladder.record import LadderRecord

if TYPE_CHECKING:
    from striate.runs import Run
    from striate.workflows.ladder.budget import Clock
    from striate.workflows.listener import Listener


def close(
    run: Run, kept: Attempt, record: LadderRecord, audit: dict[str, Any], clock: Clock, listener: Listener
) -> Run:
    """Write everything that a training's folder holds, and `ladder.json`.

    Args:
        run: the folder.
        kept: the step whose network it gets.
        record: what was tried.
        audit: what `audit.json` is to hold.
        clock: for the record.
        listener: hears how it goes.
    """
    records.record_start(run, kept.config, kept.choice, kept.sets, kept.source)
    if kept.history:
        run.write_history(kept.history, kept.timing)
    if kept.kernels:
        files.write_bytes(run.kernels_file, kept.kernels)
    records.write_bundle(run, kept.choice, kept.sets, kept.source, kept.weights)
    run.write_predictions("val", kept.val, predictions_table(kept.val))
    _predict_test(run, kept, listener)
    records.write_facts(run, kept.choice, kept.sets, kept.source, kept.training)
    calibrate(run)
    files.write_json(run.audit_file, audit)
    files.write_json(run.ladder_file, record.to_json())
    results.write_results(run, listener, figures=kept.config.figures)
    bundle.amend(run.model, metrics=run.metrics())
    record.total_seconds = clock.elapsed
    files.write_json(run.ladder_file, record.to_json())
    return run


def _predict_test(run: Run, kept: Attempt, listener: Listener) -> None:
    """Predict the test images, for the first and only time."""
    if kept.test is not None:
        predictions = kept.test()
        run.write_predictions("test", predictions, predictions_table(predictions))
        return
    from striate.inference import load

    classifier = load(run.model)
    results.predict_splits(run, classifier, {"test": kept.sets.test}, listener)
