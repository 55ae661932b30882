"""The report's numbers and pictures for other uses: CSV tables, and figures at print size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from striate import evaluation, schemas
from striate.evaluation import curves, tables
from striate.files import make_folder, write_several

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from striate.evaluation import ReportContext
    from striate.runs import Run


def write_tables(run: Run, metrics: Mapping[str, Any]) -> None:
    """Write the tables of each split with predictions.

    Args:
        run: with predictions.
        metrics: an entry of `metrics.json` for each of its splits.
    """
    for split in run.splits():
        _write_tables(run, split, metrics[split])


def write_figures(run: Run, metrics: Mapping[str, Any]) -> None:
    """Write the figures of each split with predictions, and those of the training.

    Args:
        run: with predictions, with the tables of `write_tables`, and `metrics` in its file.
        metrics: an entry of `metrics.json` for each of its splits.
    """
    write_figures_of_training(run, metrics)
    for split in run.splits():
        write_figures_of_split(run, metrics, split)


def write_figures_of_training(run: Run, metrics: Mapping[str, Any]) -> None:
    """Write the figures that belong to no split; arguments as in `write_figures`."""
    _save(run, _figures_of_training(evaluation.context_from_run(run), metrics))


def write_figures_of_split(run: Run, metrics: Mapping[str, Any], split: str) -> None:
    """Write the figures of one split; arguments as in `write_figures`."""
    table = schemas.read_table(run.curves_file(split)).astype({"x": float, "y": float})
    _save(run, {f"{name}-{split}": figure for name, figure in _figures(metrics[split], table).items()})


def _write_tables(run: Run, split: str, entry: Mapping[str, Any]) -> None:
    curves_table = curves.curves_table(run.calibrated(split), entry)
    schemas.write_table(run.per_class_file(split), tables.per_class_table(entry))
    schemas.write_table(run.curves_file(split), curves_table)
    schemas.write_table(run.calibration_file(split), tables.calibration_table(entry))
    schemas.write_table(run.answers_file(split), tables.answers_table(entry))
    schemas.write_table(run.confused_pairs_file(split), tables.confused_pairs_table(entry))
    if "operating_points" in entry:
        schemas.write_table(run.thresholds_file(split), tables.thresholds_table(entry))


def _figures_of_training(context: ReportContext, metrics: Mapping[str, Any]) -> dict[str, Figure]:
    from striate.evaluation import figures

    drawn = {}
    if context.counts:
        names = [row["name"] for row in metrics[next(iter(metrics))]["per_class"]]
        drawn["class-balance"] = figures.class_balance(context.counts, names)
    if context.history is not None and not context.history.empty:
        best = context.training.get("best_epoch")
        drawn["learning-curves"] = figures.learning_curves(context.history, goal=context.goal, chosen=best)
    return drawn


def _figures(entry: Mapping[str, Any], curves_table: pd.DataFrame) -> dict[str, Figure]:
    """The figures of one split."""
    from striate.evaluation import figures

    names = [row["name"] for row in entry["per_class"]]
    confusion = evaluation.confusion_matrix(entry)
    drawn = {
        "confusion": figures.confusion_matrix(confusion, names),
        "recall": figures.per_class_recall(entry),
        "calibration": figures.reliability(entry),
        "roc": figures.roc_curves(curves_table, entry),
        "precision-recall": figures.precision_recall_curves(curves_table, entry),
    }
    if len(names) <= figures.CELL_TEXT_CLASSES:
        drawn["confusion-rows"] = figures.confusion_matrix(confusion, names, normalize=True)
    if "operating_points" in entry:
        drawn["thresholds"] = figures.threshold_costs(entry)
    return drawn


def _save(run: Run, drawn: Mapping[str, Figure]) -> None:
    from striate.evaluation import figures

    make_folder(run.figures)
    write_several(
        {
            run.figures / f"{name}{ending}": write(figure)
            for name, figure in drawn.items()
            for ending, write in ((".png", figures.png), (".svg", figures.svg))
        }
    )
