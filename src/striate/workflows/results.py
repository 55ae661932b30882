"""What every evaluation leaves in a run folder: predictions, metrics, figures, the report."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from striate import evaluation, schemas
from striate.evaluation import (
    compute_metrics,
    context_from_run,
    per_class_table,
    predictions_table,
    render_report,
)
from striate.files import make_folder, write_json, write_text

if TYPE_CHECKING:
    from striate.data import ImageSet
    from striate.evaluation import ReportContext
    from striate.inference import Classifier
    from striate.runs import Run
    from striate.workflows.listener import Listener


def predict_splits(
    run: Run,
    classifier: Classifier,
    splits: Mapping[str, ImageSet | None],
    listener: Listener,
    batch_size: int | None = None,
) -> None:
    """Write the predictions of each split into `run`."""
    for split, images in splits.items():
        if images is None:
            continue
        predictions = classifier.predict_set(
            images,
            functools.partial(listener.stage, f"evaluating {split}"),
            batch_size=batch_size,
        )
        run.write_predictions(split, predictions, predictions_table(predictions))


def write_results(run: Run) -> None:
    """Compute metrics, figures and the report of `run` from its saved predictions, without torch."""
    metrics = {split: compute_metrics(run.predictions(split)) for split in run.splits()}
    write_json(run.metrics_file, metrics)
    for split, entry in metrics.items():
        schemas.write_table(run.per_class_file(split), per_class_table(entry))
    context = context_from_run(run)
    _write_figures(run, context)
    write_text(run.report, render_report(context))


def _write_figures(run: Run, context: ReportContext) -> None:
    from striate.evaluation import figures

    names = [row["name"] for row in context.metrics[context.split]["per_class"]]
    drawn = {"class-balance": figures.class_balance(context.counts, names)}
    if context.history is not None and not context.history.empty:
        best = context.training.get("best_epoch")
        drawn["learning-curves"] = figures.learning_curves(context.history, goal=context.goal, chosen=best)
    for split, entry in context.metrics.items():
        confusion = evaluation.confusion_matrix(entry)
        drawn[f"confusion-{split}"] = figures.confusion_matrix(confusion, names)
        drawn[f"confusion-rows-{split}"] = figures.confusion_matrix(confusion, names, normalize=True)
        drawn[f"recall-{split}"] = figures.per_class_recall(entry)
    make_folder(run.figures)
    for name, figure in drawn.items():
        figures.save(figure, run.figures / f"{name}.png")
