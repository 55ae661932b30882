"""What every evaluation leaves in a run folder: predictions, metrics, figures, the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from striate import evaluation
from striate.evaluation import compute_metrics, context_from_run, predictions_table, render_report
from striate.files import make_folder, write_json, write_text

if TYPE_CHECKING:
    from striate.data import ImageSet
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
            lambda done, total, split=split: listener.stage(f"evaluating {split}", done, total),
            batch_size=batch_size,
        )
        run.write_predictions(split, predictions, predictions_table(predictions))


def write_results(run: Run) -> None:
    """Compute metrics, figures and the report of `run` from its saved predictions, without torch."""
    metrics = {split: compute_metrics(run.predictions(split)) for split in run.splits()}
    write_json(run.metrics_file, metrics)
    _write_figures(run)
    write_text(run.report, render_report(context_from_run(run)))


def _write_figures(run: Run) -> None:
    from striate.evaluation import figures

    make_folder(run.figures)
    if run.history_file.is_file():
        goal = run.config().goal
        figures.save(figures.learning_curves(run.history(), goal=goal), run.figures / "learning-curves.png")
    for split, entry in run.metrics().items():
        names = [row["name"] for row in entry["per_class"]]
        confusion = evaluation.confusion_matrix(entry)
        for kind, normalize in (("counts", False), ("rows", True)):
            figure = figures.confusion_matrix(confusion, names, normalize=normalize)
            figures.save(figure, run.figures / f"confusion-{kind}-{split}.png")
        figures.save(figures.per_class_recall(entry), run.figures / f"recall-{split}.png")
