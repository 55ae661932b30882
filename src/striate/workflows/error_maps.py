"""Where a network looked on its most confident mistakes: computed once, kept in the run, shown in the report.

The maps are kept, not the pictures: a report is made anew from the run's files, without torch.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from striate import files
from striate.errors import DataError, RunError, UserError
from striate.schemas import Preprocess

if TYPE_CHECKING:
    from striate.data import ImageSet
    from striate.inference import Classifier
    from striate.runs import Run
    from striate.schemas import Predictions

SHOWN = 12
"""So many mistakes get a map: those that the report shows without a click."""
SIDE = 96
"""Longest side of a picture of a map, in pixels."""
TINY = 40


def write_error_maps(
    run: Run, split: str, classifier: Classifier, images: ImageSet, predictions: Predictions
) -> None:
    """Keep Grad-CAM maps of the worst errors of `split`, where torch computes a network with convolutions."""
    rows = most_wrong(predictions, SHOWN)
    network = getattr(classifier.runtime, "network", None)
    permuted = classifier.preprocess.permute_pixels is not None
    if permuted or not len(rows) or not hasattr(network, "named_modules"):
        return
    import safetensors.numpy

    from striate.explain import Subject, class_maps

    subject = Subject.of(classifier)
    try:
        maps = class_maps(subject, images.pixels.take(rows))
    except UserError:  # no convolution
        return
    arrays = {predictions.images[row]: values for row, values in zip(rows, maps.values, strict=True)}
    metadata = {
        "preprocess": classifier.preprocess.model_dump_json(),
        "layer": subject.layer_for_people(maps.layer),
    }
    files.write_bytes(run.maps_file(split), safetensors.numpy.save(arrays, metadata))


def most_wrong(predictions: Predictions, count: int) -> np.ndarray:
    """Return the positions of the mistakes, int64 (n,), n at most `count`, the most confident first."""
    wrong = np.flatnonzero((predictions.labels >= 0) & (predictions.predicted != predictions.labels))
    sure = predictions.probabilities[wrong].max(axis=1, initial=0)
    worst: np.ndarray = wrong[np.argsort(-sure, kind="stable")][:count]
    return worst


def reader(run: Run, split: str) -> Callable[[Sequence[str]], list[bytes | None]] | None:
    """Return what gives pictures of the maps, on the images, by their paths; None where no maps were kept.

    Raises:
        RunError: the file of the maps is damaged.
    """
    path = run.maps_file(split)
    if not path.is_file():
        return None
    from striate.data.thumbnails import opener
    from striate.workflows.origins import images_of

    maps, preprocess = _read(path)
    try:
        open_one = opener(*images_of(run, split))
    except RunError:  # nobody knows where the images were
        return None

    def pictures(paths: Sequence[str]) -> list[bytes | None]:
        return [_picture(maps.get(path), path, open_one, preprocess) for path in paths]

    return pictures


def _read(path: Path) -> tuple[dict[str, np.ndarray], Preprocess]:
    """Return the maps, float32 (H, W) each, by the paths of their images, and how those were prepared."""
    import safetensors

    try:
        with safetensors.safe_open(path, "numpy") as stored:
            preprocess = Preprocess.model_validate_json((stored.metadata() or {})["preprocess"])
            maps = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"cannot read {path}: {reason}. Delete it to go on without.") from error
    for name, values in maps.items():
        if values.ndim != 2 or values.dtype.kind != "f":
            raise RunError(
                f"cannot read {path}: {name!r} is {values.dtype} {values.shape}, expected a map of floats. "
                "Delete it to go on without."
            )
    return maps, preprocess


def _picture(
    values: np.ndarray | None, path: str, open_one: Callable[[str], Image.Image], preprocess: Preprocess
) -> bytes | None:
    """Return a map on its image as JPEG, or PNG of a tiny image; None where either is missing."""
    from striate.explain.framing import on_picture
    from striate.explain.overlay import heat, overlay

    if values is None:
        return None
    try:
        image = open_one(path)
    except DataError:
        return None
    shown = Image.fromarray(overlay(image, heat(on_picture(values, image.size, preprocess))))
    buffer = io.BytesIO()
    if max(shown.size) <= TINY:
        shown.save(buffer, "PNG")
    else:
        shown.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        shown.save(buffer, "JPEG", quality=78)
    return buffer.getvalue()
