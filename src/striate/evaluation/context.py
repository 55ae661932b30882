"""What a report shows, as plain values, and how they are gathered from a run folder."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.evaluation import gallery, wording
from striate.runs import Run
from striate.schemas import SPLITS, read_table

if TYPE_CHECKING:
    import pandas as pd

    from striate.offline_page import Fragment


QUARANTINE_ROWS = 100
"""So many images that could not be used are listed."""


@dataclass(frozen=True)
class Command:
    """Something to copy into a terminal or a notebook: what it is for, and its text."""

    purpose: str
    text: str


@dataclass(frozen=True)
class ReportContext:
    """Everything that a report shows; what is left empty is left out of the page.

    Attributes:
        title: heading, such as the run folder's name.
        metrics: split -> entry of `metrics.json`. The sentence is about `test`, else `val`, else the first.
        data_name: what the network was trained on.
        evaluated_on: the data that was measured, where it is not the data that was trained on.
        counts: split -> images of each class, in the order of the classes.
        network: `name`, `parameters`, `multiply_adds`, `input_shape`, as far as known.
        training: `seconds`, `device`, `best_epoch`, `message` (how it ended, where that is worth saying), as
            far as known.
        calibration: `temperature`, `samples`, `message`, as far as known.
        config: the settings.
        history: `schemas.HISTORY_COLUMNS`; None where nothing was trained.
        goal: accuracy to draw into the curves.
        total: the weighted total of an evaluation on several sets (`evaluation.sets`); None elsewhere.
        gallery: the images of `split` to show (`gallery.choose`); None: no images.
        audit: `audit.json`: what an audit found among the images, or why there was none (`skipped`).
        ladder: `ladder.json`: what was tried within a budget; empty where there was none.
        messages: named messages about the data and the run.
        quarantined: number of images that could not be used.
        quarantine: some of them, as (path, reason).
        curves: ROC and precision-recall curves, as `curves-<split>.csv` holds them; None: not drawn.
        environment: versions and hardware; may be nested.
        commands: how to repeat, predict, evaluate, load.
        files: name -> what it holds, of the run folder.
        inside: a section that another room made: what the network computed for some of the images.
    """

    title: str
    metrics: Mapping[str, Mapping[str, Any]]
    data_name: str
    evaluated_on: str = ""
    counts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    history: pd.DataFrame | None = None
    goal: float | None = None
    total: Mapping[str, Any] | None = None
    gallery: Mapping[str, Any] | None = None
    audit: Mapping[str, Any] = field(default_factory=dict)
    ladder: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[str] = ()
    quarantined: int = 0
    quarantine: Sequence[tuple[str, str]] = ()
    curves: pd.DataFrame | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    commands: Sequence[Command] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    inside: Fragment | None = None

    @property
    def split(self) -> str:
        """What the sentence is about."""
        return shown_split(self.metrics)

    @property
    def remarks(self) -> list[str]:
        """What a reader must know to judge the result, the weightiest first."""
        kind = "" if self.evaluated_on else self.split
        remarks = [*self.audit.get("remarks", ()), *wording.remarks(kind, self.metrics[self.split])]
        if message := self.training.get("message"):
            remarks.append(str(message))
        if self.quarantined:
            count = wording.counted(self.quarantined, "image")
            remarks.append(f"{count} could not be used: see quarantine.csv.")
        missing = "" if self.gallery is None else gallery.missing_note(self.gallery)
        weighing = "" if self.total is None else self.total.get("message", "")
        uncalibrated = self.calibration.get("message", "")
        return [*remarks, *(text for text in (weighing, *self.messages, uncalibrated, missing) if text)]


def shown_split(metrics: Mapping[str, Any]) -> str:
    """Return the split that a report is about: `test`, else `val`, else the first."""
    return next((split for split in ("test", "val") if split in metrics), next(iter(metrics)))


def context_from_run(
    run: Run,
    *,
    messages: Sequence[str] = (),
    thumbnails: gallery.Thumbnails | None = None,
    maps: gallery.Thumbnails | None = None,
) -> ReportContext:
    """Return what the report of `run` shows, from the files that lie there; what is absent is left out.

    Of `run.facts()` it takes, where given: `data` (`name`, `evaluated_on`, `messages`), `network`
    (`name`, `parameters`, `multiply_adds`, `input_shape`), `training` (`seconds`, `device`, `best_epoch`,
    `message`) and `model` (path of the bundle, where it is not in the run folder).

    Args:
        run: a run folder with `run.json` and `metrics.json` at least.
        messages: further remarks, shown after those of the run.
        thumbnails: gives small pictures of the images of `shown_split`; None: they are shown by name alone.
        maps: gives pictures of where the network looked on its worst errors; None: none are shown.

    Raises:
        RunError: a file is damaged.
    """
    facts, metrics = run.facts(), run.metrics()
    data = facts.get("data", {})
    names = [row["name"] for row in next(iter(metrics.values()))["per_class"]]
    settings = run.config() if run.config_file.is_file() else None
    quarantine = _quarantine(run)
    split = shown_split(metrics)
    return ReportContext(
        title=run.folder.resolve().name,
        metrics=metrics,
        data_name=str(data.get("name", run.folder.name)),
        evaluated_on=str(data.get("evaluated_on", "")),
        counts=_counts(run.samples(), names) if run.samples_file.is_file() else {},
        network=facts.get("network", {}),
        training=facts.get("training", {}),
        calibration=facts.get("calibration", {}),
        config=settings.model_dump(mode="json") if settings else {},
        history=run.history() if run.history_file.is_file() else None,
        goal=settings.goal if settings else None,
        total=run.total(),
        gallery=_gallery(run, split, thumbnails, maps),
        audit=run.audit(),
        ladder=run.ladder(),
        messages=(*data.get("messages", ()), *messages),
        quarantined=len(quarantine),
        quarantine=quarantine[:QUARANTINE_ROWS],
        curves=_curves(run, split),
        environment=run.environment() if run.environment_file.is_file() else {},
        commands=_commands(run, str(facts.get("model", run.model))),
        files=_files(run),
    )


def _gallery(
    run: Run, split: str, thumbnails: gallery.Thumbnails | None, maps: gallery.Thumbnails | None
) -> dict[str, Any] | None:
    """Choose the images of `split` to show, where its predictions lie in the run."""
    if not run.predictions_file(split).is_file():
        return None
    return gallery.choose(run.calibrated(split), thumbnails, split=split, maps=maps)


def _curves(run: Run, split: str) -> pd.DataFrame | None:
    """ROC and precision-recall curves of `split`, where they were written."""
    path = run.curves_file(split)
    return read_table(path) if path.is_file() else None


def _quarantine(run: Run) -> list[tuple[str, str]]:
    """Path and reason of every image that could not be used."""
    if not run.quarantine_file.is_file():
        return []
    table = run.quarantine()
    return list(zip(table["path"], table["reason"], strict=True))


def _counts(samples: pd.DataFrame, names: Sequence[str]) -> dict[str, list[int]]:
    """Split -> images of each class, for the splits that have any."""
    positions = {name: index for index, name in enumerate(names)}
    counts = {}
    for split in dict.fromkeys((*SPLITS, *filter(None, samples["split"].unique()))):
        labels = samples.loc[samples["split"] == split, "label"].map(positions).dropna().astype(int)
        if len(labels):
            counts[split] = np.bincount(labels, minlength=len(names)).tolist()
    return counts


def _commands(run: Run, model: str) -> tuple[Command, ...]:
    commands = [
        Command(
            "Name new pictures",
            f"striate predict {shlex.quote(model)} PICTURE_OR_FOLDER --out predictions.csv",
        ),
        Command("Measure it on other labelled pictures", f"striate evaluate {shlex.quote(model)} OTHER_DATA"),
        Command("Use it from Python", _python(model)),
    ]
    if run.config_file.is_file():
        repeat = f"striate train --config {shlex.quote(str(run.config_file))}"
        commands.insert(0, Command("Repeat this training", repeat))
    return tuple(commands)


def _python(model: str) -> str:
    return (
        "import striate\n\n"
        f"classifier = striate.load({model!r})\n"
        'classifier.predict(["picture.jpg"])\n'
        'classifier.predict_proba(["picture.jpg"])  # (N, K), in the order of classifier.class_names'
    )


def _files(run: Run) -> dict[str, str]:
    """The files of the run folder that are there, and what they hold."""
    known = {
        run.config_file: "the settings",
        run.metrics_file: "every number of this page",
        run.history_file: "loss and accuracy of each epoch",
        run.timing_file: "seconds and images a second of each epoch",
        run.kernels_file: "kernels of the first convolution after each epoch",
        run.samples_file: "every image with its label and split",
        run.quarantine_file: "images that could not be used, with the reason",
        run.facts_file: "what data, network and training turned out to be",
        run.environment_file: "versions and hardware",
        run.audit_file: "copies, leaks and shortcuts among the images",
        run.ladder_file: "what was tried within the budget, and what it cost",
        run.model: "the model: weights, class names, preprocessing",
        run.figures: "the figures, as PNG and SVG",
        run.checkpoints: "what resuming needs",
        run.tensorboard: "events for TensorBoard",
    }
    for split in run.splits():
        known[run.predictions_table(split)] = f"predictions for the {split} images, for people"
        known[run.predictions_file(split)] = f"logits and labels of the {split} images, for programs"
        known[run.per_class_file(split)] = f"metrics of each class, {split} images"
        known[run.confused_pairs_file(split)] = f"classes that are taken for one another, {split} images"
        known[run.calibration_file(split)] = f"how sure and how often right, {split} images"
        known[run.answers_file(split)] = f"how many are answered, and rightly, {split} images"
        known[run.maps_file(split)] = f"where the network looked on its worst errors, {split} images"
        known[run.curves_file(split)] = f"ROC and precision-recall curves, {split} images"
        known[run.thresholds_file(split)] = f"what each threshold names rightly and wrongly, {split} images"
    return {
        f"{path.name}/" if path.is_dir() else path.name: content
        for path, content in known.items()
        if path.exists()
    }
