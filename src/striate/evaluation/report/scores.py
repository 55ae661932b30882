"""The table of scores: a row a metric and a column a split or set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from striate.evaluation import wording
from striate.evaluation.context import ReportContext

_SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Metric:
    """A row of the table: what it is called and means, where it lies in an entry, and how it is written.

    `kind`: "share" (in percent), "area" (four decimals) or "loss" (four digits).
    """

    title: str
    meaning: str
    path: tuple[str, ...]
    kind: str = "share"


METRICS = (
    Metric("accuracy", "share of the images that were named correctly", ("accuracy",)),
    Metric(
        "balanced accuracy",
        "mean over the classes of the share named correctly (macro recall)",
        ("balanced_accuracy",),
    ),
    Metric("right within the first 2", "the true class is among the 2 most probable", ("top_k", "2")),
    Metric("right within the first 3", "the true class is among the 3 most probable", ("top_k", "3")),
    Metric("right within the first 5", "the true class is among the 5 most probable", ("top_k", "5")),
    Metric("macro precision", "share right of the images named so; mean", ("precision", "macro")),
    Metric("weighted precision", "the same, classes weighted by their images", ("precision", "weighted")),
    Metric("macro F1", "harmonic mean of precision and recall; mean over the classes", ("f1", "macro")),
    Metric("weighted F1", "the same, classes weighted by their images", ("f1", "weighted")),
    Metric("log loss", "mean of \u2212ln p of the true class; 0 is perfect", ("log_loss",), "loss"),
    Metric("Brier score", "mean squared error of the probabilities; 0 is perfect", ("brier",), "loss"),
    Metric(
        "squared error",
        "mean squared error of the second class's probability; 0 is perfect",
        ("squared_error",),
        "loss",
    ),
    Metric(
        "calibration error",
        "how far its certainty lies from how often it is right, on average",
        ("calibration", "ece"),
    ),
    Metric(
        "ROC area",
        "how well it tells a class from all others, mean; 0.5 is guessing",
        ("roc_auc", "macro"),
        "area",
    ),
    Metric(
        "average precision",
        "area under the precision-recall curve, mean over the classes",
        ("average_precision", "macro"),
        "area",
    ),
)


def written(value: float | None, kind: str) -> str:
    """Return a value as its kind is written; an end that nothing bounds is None."""
    if value is None:
        return "∞"
    if kind == "share":
        return wording.percent(value)
    if kind == "loss":
        return wording.number(value)
    return ">0.9999" if 0.99995 <= value < 1 else f"{value:.4f}"


def span(score: Mapping[str, float], kind: str = "share") -> str:
    """Return an interval as briefly as it goes: both ends with a dash between."""
    if kind == "area":  # ends are rounded outwards, so that none needs a sign of its own
        low, high = math.floor(10_000 * score["low"] + 1e-6), math.ceil(10_000 * score["high"] - 1e-6)
        return f"{low / 10_000:.4f}\u2013{high / 10_000:.4f}"
    ends = (written(score[end], kind).removesuffix("\u00a0%") for end in ("low", "high"))
    return "\u2013".join(ends)


@dataclass(frozen=True)
class Column:
    """A split or set that was measured: its name, number of images, and what they were used for."""

    name: str
    samples: int
    use: str


@dataclass(frozen=True)
class Scores:
    """The table: its columns, and of each metric the values (None where a column lacks it)."""

    columns: Sequence[Column]
    rows: Sequence[tuple[Metric, Sequence[Mapping[str, float] | None]]]


def table(context: ReportContext) -> Scores:
    """Return the scores of everything that was measured; metrics that nothing has are left out."""
    order = [split for split in ("test", "val", "train") if split in context.metrics]
    order += [split for split in context.metrics if split not in order]
    entries = [context.metrics[split] for split in order]
    columns = [
        Column(_name(context, split), entry["samples"], _use(context, split))
        for split, entry in zip(order, entries, strict=True)
    ]
    rows = [(metric, [_at(entry, metric.path) for entry in entries]) for metric in METRICS]
    return Scores(columns, [row for row in rows if any(row[1])])


def split_name(split: str) -> str:
    """Return what a split is called in a sentence."""
    return _SPLIT_NAMES.get(split, split)


def _name(context: ReportContext, split: str) -> str:
    return context.evaluated_on if context.evaluated_on and len(context.metrics) == 1 else split_name(split)


def _use(context: ReportContext, split: str) -> str:
    """Say what a split's images were used for, by the run that this is the report of."""
    epochs = context.history is not None and not context.history.empty
    if context.evaluated_on or not (epochs or context.training):
        return "measured only"
    if split == "train":
        return "used for training"
    if split != "val":
        return "used once, at the end"
    if epochs:
        return "used for choosing the epoch"
    return "used for the temperature" if context.calibration.get("samples") else "measured only"


def _at(entry: Mapping[str, Any], path: Iterable[str]) -> Mapping[str, float] | None:
    value: Any = entry
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value if isinstance(value, Mapping) and "value" in value else None
