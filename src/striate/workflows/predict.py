"""A model and images in, names and probabilities out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import files, schemas
from striate.errors import DataError, UserError
from striate.workflows.listener import Listener

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from striate.bundle import BundleRecord
    from striate.inference import Classifier
    from striate.inference.sorting import ClassFolders
    from striate.schemas import Predictions

    PathLike = str | os.PathLike[str]

FORMATS = (".csv", ".json")
"""How the name of the file ends that `predict` writes."""


@dataclass(frozen=True)
class Abstention:
    """Which images are left to a person.

    Attributes:
        threshold: probability of the predicted class below which they are.
        abstained: bool (N,).
        expected: share of the answers that the probabilities promise to be right; None without an answer.
        measured: what the test images of the training (validation without any) came to from that probability
            on: `split`, `samples`, `threshold`, `answered`, `correct`; None where the bundle holds none.
        calibrated: whether the probabilities were calibrated.
    """

    threshold: float
    abstained: np.ndarray
    expected: float | None
    measured: Mapping[str, Any] | None
    calibrated: bool


@dataclass(frozen=True)
class PredictionTable:
    """What a model says of some image files.

    Attributes:
        table: `schemas.PREDICTION_COLUMNS` and probabilities, a row an image, as text.
        predictions: the same for machines.
        problems: path and reason of each file that could not be read.
        abstention: which images are left to a person; None where every one is answered.
        top: so many of the most probable classes were asked for; None: the usual ones.
        copies: of each image, where it was copied to; None where it was not asked for.
    """

    table: pd.DataFrame
    predictions: Predictions
    problems: tuple[tuple[str, str], ...]
    abstention: Abstention | None = None
    top: int | None = None
    copies: tuple[Path, ...] | None = None

    def records(self) -> list[dict[str, Any]]:
        """Return what a JSON file holds of each image, with as many classes as the table has.

        `image`, `predicted`, `probability`, `abstained` where images may be left to a person, `probabilities`
        (class -> probability, the most probable first), and `copy` where it was copied.
        """
        from striate.inference.answers import as_records

        left = None if self.abstention is None else self.abstention.abstained
        found = list(as_records(self.predictions, self._most(), left))
        for record, copy in zip(found, self.copies or (), strict=False):
            record["copy"] = str(copy)
        return found

    def _most(self) -> int:
        """How many classes the table names."""
        from striate.evaluation.tables import ALL_PROBABILITIES, RANKS

        classes = len(self.predictions.class_names)
        usual = classes if classes <= ALL_PROBABILITIES else 1 + len(RANKS)
        return usual if self.top is None else self.top


def predict(
    model: PathLike,
    images: PathLike | Sequence[PathLike],
    *,
    out: PathLike | None = None,
    abstain: float | None = None,
    top: int | None = None,
    views: str = "one",
    copy_to: PathLike | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    engine: str = "torch",
    listener: Listener | None = None,
) -> PredictionTable:
    """Classify image files.

    Args:
        model: folder of a bundle or of a run.
        images: files and folders; folders are searched for images.
        out: file to write: .csv, or .json for a list with an object an image.
        abstain: probability, 0 to 1, below which an image is left to a person: it has 1 in the column
            `abstained`, and its class stands there as a guess.
        top: so many of the most probable classes of each image, with their probabilities.
        views: over which logits are averaged: "one" (the image), "flip", "shift" or "flip-shift", as
            `--test-views` of a training.
        copy_to: folder in which each image is copied into one named after its class, or into `unsure` where
            it is left to a person. Nothing is overwritten; images that are called alike get a number.
        batch_size: images a step; by default, what fits their size.
        device: of torch: "auto", "cpu", "cuda" or "mps".
        engine: "torch"; "numpy", which never imports torch; or "cupy".
        listener: hears how it goes; files that cannot be read are told as messages.

    Raises:
        UserError: the bundle, a path or an argument cannot be used, or not one image can be read.
    """
    from striate.data import list_images
    from striate.evaluation.abstention import check_threshold
    from striate.inference import load
    from striate.inference.answers import check_top
    from striate.inference.views import check_views

    listener = listener or Listener()
    given = [Path(images)] if isinstance(images, str | os.PathLike) else [Path(path) for path in images]
    if abstain is not None:
        abstain = check_threshold(abstain)
    if top is not None:
        check_top(top)
    check_views(views)
    target = None if out is None else _target(out)
    if copy_to is not None:
        for source in given:
            files.check_apart(Path(copy_to), source, "--copy-to")
    paths, problems = list_images(given)
    classifier = load(Path(model), device, engine)
    if top is not None:
        check_top(top, len(classifier.class_names))
    folders = None if copy_to is None else _class_folders(Path(copy_to), classifier, given)
    if folders is not None:
        folders.check()
    predictions = classifier.predict_files(
        paths,
        on_problem=lambda path, reason: problems.append((path, reason)),
        progress=lambda done, total: listener.stage("predicting", done, total),
        batch_size=batch_size,
        views=views,
    )
    for path, reason in problems:
        listener.message(f"{path}: {reason}")
    if not predictions.images:
        raise DataError(
            f"none of the {len(problems)} images could be read; the first: {': '.join(problems[0])}."
        )
    metrics = classifier.record.metrics if views == "one" else {}  # what was measured is without views
    left = None if abstain is None else _abstain(predictions, abstain, classifier.record, metrics)
    copies = None if folders is None else _copy(folders, predictions, left, listener)
    table = _table(predictions, top, None if left is None else left.abstained)
    result = PredictionTable(table, predictions, tuple(problems), left, top, copies)
    if out is not None and target is not None:
        _write(target, result, as_table=_ending(out) == ".csv")
    return result


def _target(out: PathLike) -> Path:
    """Return the file to write.

    Raises:
        UserError: its name does not say in which of `FORMATS`, or it cannot be written.
    """
    if _ending(out) not in FORMATS:
        raise UserError(
            f"cannot write {os.fspath(out)}: expected a name that ends in {' or '.join(FORMATS)}."
        )
    return files.named_file(out)


def _ending(out: PathLike) -> str:
    return Path(out).suffix.lower()


def _table(predictions: Predictions, top: int | None, abstained: np.ndarray | None) -> pd.DataFrame:
    from striate.evaluation import predictions_table
    from striate.inference.answers import top_table

    if top is None:
        return predictions_table(predictions, abstained)
    return top_table(predictions, top, abstained)


def _write(target: Path, result: PredictionTable, *, as_table: bool) -> None:
    """Write the table as CSV, or else as JSON a list with an object an image, each on its line."""
    if as_table:
        return schemas.write_table(target, result.table)
    lines = [json.dumps(record, ensure_ascii=False, allow_nan=False) for record in result.records()]
    files.write_text(target, "[\n" + ",\n".join(lines) + "\n]\n")


def _class_folders(folder: Path, classifier: Classifier, given: Sequence[Path]) -> ClassFolders:
    from striate.inference.sorting import class_folders

    return class_folders(folder, classifier.class_names, given)


def _copy(
    folders: ClassFolders, predictions: Predictions, left: Abstention | None, listener: Listener
) -> tuple[Path, ...]:
    """Copy the images to where they belong; return the copies."""
    from striate.inference.sorting import copy_photos

    abstained = [False] * len(predictions.images) if left is None else left.abstained.tolist()
    places = [
        folders.place(predicted, unsure)
        for predicted, unsure in zip(predictions.predicted.tolist(), abstained, strict=True)
    ]
    photos = [Path(image) for image in predictions.images]
    return tuple(
        copy_photos(photos, places, lambda done, total: listener.stage("copying photos", done, total))
    )


def _abstain(
    predictions: Predictions, threshold: float, record: BundleRecord, metrics: Mapping[str, Any]
) -> Abstention:
    """Leave the images whose most probable class has less than `threshold` to a person.

    Args:
        predictions: of the images.
        threshold: a probability.
        record: of the bundle.
        metrics: measured in the same way as `predictions`; may be empty.
    """
    confidence = predictions.probabilities.max(axis=1)
    abstained = confidence < threshold
    answers = confidence[~abstained]
    return Abstention(
        threshold,
        abstained,
        float(answers.mean()) if len(answers) else None,
        _measured(metrics, threshold),
        record.temperature != 1,
    )


def _measured(metrics: Mapping[str, Any], threshold: float) -> Mapping[str, Any] | None:
    """Return what was measured from `threshold` on, of the test images if there are any."""
    from striate.evaluation.abstention import at_least, points_of

    for split in ("test", "val"):
        entry: Any = metrics.get(split)
        point = at_least(points_of(entry), threshold)
        if point is not None:
            counts = {name: point[name] for name in ("threshold", "answered", "correct")}
            return {"split": split, "samples": entry["samples"], **counts}
    return None
