"""What every evaluation leaves in a run folder: predictions, metrics, figures, the report."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from striate.evaluation import (
    compute_metrics,
    context_from_run,
    predictions_table,
    render_report,
)
from striate.evaluation.context import shown_split
from striate.evaluation.intervals import wilson
from striate.evaluation.labelled import labelled
from striate.evaluation.leaks import without_images
from striate.evaluation.metrics import LEVEL
from striate.evaluation.sets import weigh
from striate.files import make_folder, write_json, write_text
from striate.workflows import looks
from striate.workflows.error_maps import reader as map_reader
from striate.workflows.error_maps import write_error_maps
from striate.workflows.exports import write_figures, write_tables
from striate.workflows.inside import inside_section
from striate.workflows.listener import Listener

if TYPE_CHECKING:
    from striate.data import ImageSet
    from striate.evaluation import ReportContext
    from striate.evaluation.gallery import Thumbnails
    from striate.inference import Classifier
    from striate.runs import Run
    from striate.workflows.drawing import DrawingProcess
    from striate.workflows.thresholds import Threshold


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
        table = predictions_table(predictions.at_temperature(classifier.record.temperature))
        run.write_predictions(split, predictions, table)
        if split == shown_split(splits):
            write_error_maps(run, split, classifier, images, predictions)


def measure_views(
    run: Run, classifier: Classifier, images: ImageSet | None, views: str, listener: Listener
) -> None:
    """Record how many test images are named rightly when logits are averaged over `views`, in `run.json`."""
    from striate.inference.views import TEST_VIEWS

    if images is None or views == "one":
        return
    progress = functools.partial(listener.stage, f"evaluating test, views {views}")
    predictions = labelled(classifier.predict_set(images, progress, views=views))
    correct = int((predictions.predicted == predictions.labels).sum())
    found = {
        "name": views,
        "views": len(TEST_VIEWS[views]),
        "samples": len(predictions.labels),
        "correct": correct,
    }
    run.write_facts(run.facts() | {"test_views": found})


def write_results(
    run: Run,
    listener: Listener | None = None,
    threshold: Threshold | None = None,
    *,
    figures: bool = True,
    beside: DrawingProcess | None = None,
) -> None:
    """Compute metrics, figures and the report of `run` from its saved predictions, without torch.

    Args:
        run: with predictions and facts.
        listener: hears the report's remarks.
        threshold: of two classes, to be measured on all images but those that trained or chose it.
        figures: at print size, of those that the report shows, too.
        beside: draws them meanwhile.

    Raises:
        RunError: predictions that do not fit the run, or each other.
        DataError: predictions that cannot be measured.
    """
    listener = listener or Listener()
    listener.stage("writing the report", 0, 1)
    metrics = _metrics(run, threshold)
    write_json(run.metrics_file, metrics)
    write_tables(run, metrics)
    if figures:
        make_folder(run.figures)
    drawing = figures and beside is not None and beside.draw(run)
    context = _context(run)  # of all that lies there by now
    page = render_report(context)
    if figures and not (drawing and beside is not None and beside.succeeded()):
        write_figures(run, metrics)
    write_text(run.report, page)
    looks.record(run)
    listener.stage("writing the report", 1, 1)
    listener.remarks(context.remarks)


def _context(run: Run) -> ReportContext:
    """Return what the report shows, with pictures of the images that are still where they were."""
    split = shown_split(run.metrics())
    thumbnails = _thumbnails(run, split)
    messages = []
    if thumbnails and run.facts()["data"].get("preprocess", {}).get("permute_pixels") is not None:
        messages.append(
            "Pictures show the images as they are; the network saw them with their pixels permuted."
        )
    context = context_from_run(run, messages=messages, thumbnails=thumbnails, maps=map_reader(run, split))
    return replace(context, inside=inside_section(run, split, context.gallery))


def _metrics(run: Run, threshold: Threshold | None) -> dict[str, Any]:
    """Return what `metrics.json` holds: an entry a split or set, and the total of several sets."""
    predictions = {split: run.predictions(split) for split in run.splits()}
    for split, found in predictions.items():
        run.check(split, found)
    temperature = run.temperature()
    metrics = {split: compute_metrics(found, temperature=temperature) for split, found in predictions.items()}
    if threshold is not None:
        for split in predictions.keys() - _seen(run):
            metrics[split]["threshold"] = threshold.measure(predictions[split].at_temperature(temperature))
    for split, images in run.leaked().items():
        if split in metrics:
            metrics[split]["without_leaked"] = without_images(predictions[split], images, LEVEL)
    if "test" in metrics and (views := run.facts().get("test_views")):
        low, high = wilson(views["correct"], views["samples"], LEVEL)
        share = {"value": views["correct"] / views["samples"], "low": low, "high": high}
        metrics["test"]["test_views"] = views | {"accuracy": share}
    if weights := {name: entry["weight"] for name, entry in run.sets().items()}:
        metrics["total"] = _total(metrics, weights)
    return metrics


def _total(metrics: Mapping[str, Any], weights: Mapping[str, float]) -> dict[str, Any]:
    """Return the weighted score of several sets, with its `parts`."""
    weighed = weigh({name: (metrics[name], weight) for name, weight in weights.items()})
    parts = [
        {"name": name, "weight": part["weight"], "samples": part["samples"]} | part["accuracy"]
        for name, part in weighed["sets"].items()
    ]
    return {
        **weighed["total"],
        "level": weighed["level"],
        "message": weighed["message"],
        "parts": parts,
    }


def _seen(run: Run) -> set[str]:
    """Return the splits whose images a training knows."""
    return {"train", "val"} if run.config_file.is_file() else set()


def _thumbnails(run: Run, split: str) -> Thumbnails | None:
    """Return what gives small pictures of the images of `split`; None where nobody knows where they were."""
    from striate.data import thumbnails

    if run.config_file.is_file():
        settings = run.config()
        return thumbnails.reader(settings.data, settings.data_root)
    source = run.sets().get(split) or run.facts()["data"].get("source")
    return None if source is None else thumbnails.reader(source["path"], source["data_root"])
