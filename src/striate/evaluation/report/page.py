"""The report: one HTML file that needs no network, from plain values.

The page is `templates/report.html.j2`; this module works out what it shows. Every text is escaped there.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.evaluation import wording
from striate.evaluation.context import ReportContext
from striate.evaluation.history import chosen_epoch, has_validation, numbers
from striate.evaluation.metrics import confusion_matrix
from striate.version import __version__

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Template
    from matplotlib.figure import Figure

TOP_REMARKS = 3
"""So many remarks stand on the first screen; the others follow below."""
NUMBERED_CLASSES = 30
"""With more classes, the class table numbers them, as the confusion matrix does."""
TOP_CONFUSIONS = 10
_SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test"}


def render_report(context: ReportContext) -> str:
    """Return the report as HTML text.

    Raises:
        ValueError: `context.metrics` is empty.
        DataError: the history lacks columns.
    """
    if not context.metrics:
        raise ValueError("context.metrics is empty; expected the metrics of at least one split")
    split = context.split
    entry = context.metrics[split]
    history = None if context.history is None or context.history.empty else numbers(context.history)
    kind = "" if context.evaluated_on else split
    remarks = [*wording.remarks(kind, entry), *_run_remarks(context), *context.messages]
    return _template().render(
        context=context,
        version=__version__,
        headline=wording.headline(split, entry, context.evaluated_on),
        split=split,
        kind=wording.image_kind(kind),
        entry=entry,
        remarks=remarks[:TOP_REMARKS],
        further_remarks=remarks[TOP_REMARKS:],
        facts=_facts(context, entry, history),
        scores=_scores(context, history),
        figures=_figures(context, entry, history),
        classes=_class_rows(context, entry),
        counted_splits=[name for name in context.counts if name != split],
        numbered=len(entry["per_class"]) > NUMBERED_CLASSES,
        confusions=_top_confusions(entry),
        splits=_split_rows(context),
        settings=_plain(context.config),
        environment=_plain(context.environment),
        goal=_goal(context, entry),
    )


def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("striate.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters.update(
        percent=wording.percent, number=wording.number, interval=_interval, split_name=_split_name
    )
    return environment.get_template("report.html.j2")


def _printable(value: Any) -> Any:
    """Leave out what HTML cannot hold: control characters and halves of surrogate pairs."""
    if type(value) is not str or value.isprintable():
        return value
    kept = "".join(letter for letter in value if letter in "\n\t" or not _unprintable(letter))
    return kept.encode("utf-8", "replace").decode("utf-8")


def _unprintable(letter: str) -> bool:
    code = ord(letter)
    return code < 32 or 127 <= code < 160 or (code & 0xFFFE) == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def _interval(share: Mapping[str, float]) -> str:
    return f"{wording.percent(share['low'])} to {wording.percent(share['high'])}"


def _split_name(split: str) -> str:
    return _SPLIT_NAMES.get(split, split)


def _run_remarks(context: ReportContext) -> list[str]:
    remarks = []
    if message := context.training.get("message"):
        remarks.append(str(message))
    if context.quarantined:
        remarks.append(
            f"{wording.counted(context.quarantined, 'image')} could not be used: see quarantine.csv."
        )
    return remarks


def _facts(
    context: ReportContext, entry: Mapping[str, Any], history: pd.DataFrame | None
) -> list[tuple[str, str]]:
    """The few lines under the sentence: what was trained on what, for how long."""
    facts = [("Trained on", _trained_on(context, entry))]
    if context.network:
        facts.append(("Network", _network(context.network)))
    if training := _training(context, history):
        facts.append(("Training", training))
    frequent = entry["most_frequent"]
    name, share = wording.shorten(frequent["name"]), wording.percent(frequent["value"])
    facts.append(("For comparison", f"always naming '{name}' would get {share}"))
    return facts


def _trained_on(context: ReportContext, entry: Mapping[str, Any]) -> str:
    classes = wording.counted(len(entry["per_class"]), "class")
    images = sum(context.counts.get("train", ()))
    return (
        f"{context.data_name}: {wording.counted(images, 'image')} of {classes}"
        if images
        else (f"{context.data_name}: {classes}")
    )


def _network(network: Mapping[str, Any]) -> str:
    parts = [str(network.get("name", ""))]
    if "parameters" in network:
        parts.append(wording.counted(int(network["parameters"]), "parameter"))
    if "multiply_adds" in network:
        parts.append(f"{_short_count(int(network['multiply_adds']))} multiply-adds an image")
    if shape := network.get("input_shape"):
        parts.append("input " + " x ".join(str(side) for side in shape))
    return ", ".join(part for part in parts if part)


def _short_count(count: int) -> str:
    for size, unit in ((10**9, "billion"), (10**6, "million")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:,}"


def _training(context: ReportContext, history: pd.DataFrame | None) -> str:
    parts = []
    if history is not None:
        why = (
            "the best on validation"
            if has_validation(history)
            else "the last, as there is no validation split"
        )
        parts.append(
            f"{wording.counted(len(history), 'epoch')}; epoch {_chosen(context, history)} was kept ({why})"
        )
    if "seconds" in context.training:
        parts.append(f"took {wording.duration(float(context.training['seconds']))}")
    if device := context.training.get("device"):
        parts.append(f"on {device}")
    return ", ".join(parts)


def _chosen(context: ReportContext, history: pd.DataFrame) -> int | None:
    """The epoch whose weights were kept: as the run says, else as its history does."""
    epoch = context.training.get("best_epoch")
    return chosen_epoch(history) if epoch is None else int(epoch)


def _goal(context: ReportContext, entry: Mapping[str, Any]) -> str:
    if context.goal is None:
        return ""
    low, high = entry["accuracy"]["low"], entry["accuracy"]["high"]
    goal = f"{100 * context.goal:.6g}\u00a0%"
    if low >= context.goal:
        return f"The goal of {goal} is reached: the whole interval lies above it."
    if high < context.goal:
        return f"The goal of {goal} is missed: the whole interval lies below it."
    reached = "reached" if entry["accuracy"]["value"] >= context.goal else "missed"
    return f"The goal of {goal} is {reached}, but it lies within the interval: this test cannot settle it."


def _scores(context: ReportContext, history: pd.DataFrame | None) -> list[dict[str, Any]]:
    """A row a split: its metrics, and what its images were used for."""
    order = [split for split in ("test", "val", "train") if split in context.metrics]
    order += [split for split in context.metrics if split not in order]
    return [
        {
            "images": context.evaluated_on or _split_name(split),
            "entry": context.metrics[split],
            "use": _use(split, history),
        }
        for split in order
    ]


def _use(split: str, history: pd.DataFrame | None) -> str:
    if history is None:
        return "measured only"
    return {"val": "used for choosing the epoch", "train": "used for training"}.get(
        split, "used once, at the end"
    )


def _figures(
    context: ReportContext, entry: Mapping[str, Any], history: pd.DataFrame | None
) -> dict[str, dict[str, Any]]:
    """Name -> image as a data URI with its size and a description in words."""
    from striate.evaluation import figures

    names = [row["name"] for row in entry["per_class"]]
    shown = {
        "confusion": _image(
            figures.confusion_matrix(confusion_matrix(entry), names),
            f"Confusion matrix of {len(names)} classes: {entry['correct']} of {entry['samples']} images lie "
            "on the diagonal. The most frequent mistakes are listed in the table that follows.",
        ),
        "recall": _image(
            figures.per_class_recall(entry),
            "Share of each class named correctly, with its interval; the class table holds the same numbers.",
        ),
    }
    if history is not None:
        shown["curves"] = _image(
            figures.learning_curves(history, goal=context.goal, chosen=_chosen(context, history)),
            _curves_in_words(history),
        )
    if context.counts:
        totals = ", ".join(f"{_split_name(split)} {sum(values)}" for split, values in context.counts.items())
        shown["balance"] = _image(
            figures.class_balance(context.counts, names), f"Images of each class by split; in all: {totals}."
        )
    return shown


def _curves_in_words(history: pd.DataFrame) -> str:
    first, last = history.iloc[0], history.iloc[-1]
    words = [f"Loss and accuracy over {len(history)} epochs."]
    for split, name in (("train", "Training"), ("val", "Validation")):
        start, end = float(first[f"{split}_accuracy"]), float(last[f"{split}_accuracy"])
        if math.isfinite(start) and math.isfinite(end):
            words.append(f"{name} accuracy went from {wording.percent(start)} to {wording.percent(end)}.")
    return " ".join(words)


def _image(figure: Figure, description: str) -> dict[str, Any]:
    from striate.evaluation.figures import svg

    width, height = figure.get_size_inches()
    uri = "data:image/svg+xml;base64," + base64.b64encode(svg(figure)).decode("ascii")
    return {"uri": uri, "alt": description, "width": round(width * 96), "height": round(height * 96)}


def _class_rows(context: ReportContext, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    others = {split: values for split, values in context.counts.items() if split != context.split}
    return [
        {**row, "number": index + 1, "counts": [values[index] for values in others.values()]}
        for index, row in enumerate(entry["per_class"])
    ]


def _top_confusions(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The most frequent mistakes, by count: true class, predicted class, count, share of the true class."""
    mistakes = confusion_matrix(entry).copy()
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:TOP_CONFUSIONS]
    rows = entry["per_class"]
    found = []
    for true, predicted in zip(*np.unravel_index(order, mistakes.shape), strict=True):
        count = int(mistakes[true, predicted])
        if count:
            share = count / rows[true]["samples"]
            found.append(
                {
                    "true": rows[true]["name"],
                    "predicted": rows[predicted]["name"],
                    "count": count,
                    "share": share,
                }
            )
    return found


def _split_rows(context: ReportContext) -> list[dict[str, Any]]:
    return [
        {"split": split, "images": sum(values), "smallest": min(values), "largest": max(values)}
        for split, values in context.counts.items()
        if len(values)
    ]


def _plain(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Names and texts of settings or facts, nested ones with their path in front."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            rows.extend(_plain(value, f"{prefix}{name}: "))
        else:
            rows.append((f"{prefix}{name}", _text(name, value)))
    return rows


def _text(name: str, value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_bytes") and isinstance(value, int):
        return f"{value / 2**30:.1f} GiB"
    if isinstance(value, Mapping):
        return "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)
