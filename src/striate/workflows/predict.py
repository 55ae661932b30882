"""A model and images in, names and probabilities out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from striate import schemas
from striate.errors import DataError, UserError
from striate.workflows.listener import Listener

if TYPE_CHECKING:
    import pandas as pd

    from striate.schemas import Predictions

    PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class PredictionTable:
    """What a model says of some image files.

    Attributes:
        table: `schemas.PREDICTION_COLUMNS` and probabilities, a row an image, as text.
        predictions: the same for machines.
        problems: path and reason of each file that could not be read.
    """

    table: pd.DataFrame
    predictions: Predictions
    problems: tuple[tuple[str, str], ...]


def predict(
    model: PathLike,
    images: PathLike | Sequence[PathLike],
    *,
    out: PathLike | None = None,
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
        batch_size: images a step; by default, what fits their size.
        device: of torch: "auto", "cpu", "cuda" or "mps".
        engine: "torch"; "numpy", which never imports torch; or "cupy".
        listener: hears how it goes; files that cannot be read are told as messages.

    Raises:
        UserError: the bundle, a path or `out` cannot be used, or not one image can be read.
    """
    from striate.data import list_images
    from striate.evaluation import predictions_table
    from striate.inference import load

    listener = listener or Listener()
    given = [images] if isinstance(images, str | os.PathLike) else list(images)
    if out is not None and not Path(out).absolute().parent.is_dir():
        raise UserError(f"cannot write {out}: there is no folder {Path(out).parent}.")
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
    table = predictions_table(predictions)
    if out is not None:
        schemas.write_table(Path(out), table)
    return PredictionTable(table, predictions, tuple(problems))
