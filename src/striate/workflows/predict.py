"""A model and images in, names and probabilities out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import files, schemas
from striate.errors import DataError
from striate.workflows.listener import Listener

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from striate.bundle import BundleRecord
    from striate.schemas import Predictions

    PathLike = str | os.PathLike[str]


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
    """

    table: pd.DataFrame
    predictions: Predictions
    problems: tuple[tuple[str, str], ...]
    abstention: Abstention | None = None


def predict(
    model: PathLike,
    images: PathLike | Sequence[PathLike],
    *,
    out: PathLike | None = None,
    abstain: float | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    engine: str = "torch",
    listener: Listener | None = None,
) -> PredictionTable:
    """Classify image files.

    Args:
        model: folder of a bundle or of a run.
        images: files and folders; folders are searched for images.
        out: CSV file to write.
        abstain: probability, 0 to 1, below which an image is left to a person: it has 1 in the column
            `abstained`, and its class stands there as a guess.
        batch_size: images a step; by default, what fits their size.
        device: of torch: "auto", "cpu", "cuda" or "mps".
        engine: "torch"; "numpy", which never imports torch; or "cupy".
        listener: hears how it goes; files that cannot be read are told as messages.

    Raises:
        UserError: the bundle, a path, `abstain` or `out` cannot be used, or not one image can be read.
    """
    from striate.data import list_images
    from striate.evaluation import predictions_table
    from striate.evaluation.abstention import check_threshold
    from striate.inference import load

    listener = listener or Listener()
    given = [images] if isinstance(images, str | os.PathLike) else list(images)
    if abstain is not None:
        check_threshold(abstain)
    target = None if out is None else files.named_file(out)
    paths, problems = list_images([Path(path) for path in given])
    classifier = load(Path(model), device, engine)
    predictions = classifier.predict_files(
        paths,
        on_problem=lambda path, reason: problems.append((path, reason)),
        progress=lambda done, total: listener.stage("predicting", done, total),
        batch_size=batch_size,
    )
    for path, reason in problems:
        listener.message(f"{path}: {reason}")
    if not predictions.images:
        raise DataError(
            f"none of the {len(problems)} images could be read; the first: {': '.join(problems[0])}."
        )
    left = None if abstain is None else _abstain(predictions, abstain, classifier.record)
    table = predictions_table(predictions, None if left is None else left.abstained)
    if target is not None:
        schemas.write_table(target, table)
    return PredictionTable(table, predictions, tuple(problems), left)


def _abstain(predictions: Predictions, threshold: float, record: BundleRecord) -> Abstention:
    """Leave the images whose most probable class has less than `threshold` to a person."""
    confidence = predictions.probabilities.max(axis=1)
    abstained = confidence < threshold
    answers = confidence[~abstained]
    return Abstention(
        threshold,
        abstained,
        float(answers.mean()) if len(answers) else None,
        _measured(record.metrics, threshold),
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
