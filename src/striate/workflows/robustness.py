"""Models and labelled images in; how accurate they stay while the images are distorted, out."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from striate import bundle, files
from striate.errors import DataError, UserError
from striate.report_file import ReportFile
from striate.runs import Run
from striate.workflows.compare import choose_folder
from striate.workflows.entries import tell_apart
from striate.workflows.listener import Listener
from striate.workflows.origins import settings_of
from striate.workflows.sets import PathLike

if TYPE_CHECKING:
    from striate.data import ImageSet
    from striate.data.distortions import Distortion
    from striate.evaluation.study.robustness import Course
    from striate.inference import Classifier

PAGE, FACTS = "robustness.html", "robustness.json"
MOST_IMAGES = 1000
"""So many images are distorted; of more, as many of the seed's choice."""
_CHUNK_BYTES = 2**26  # of pixels held at a time


@dataclass(frozen=True)
class Robustness:
    """What was measured, and where it lies.

    Attributes:
        result: what `robustness.json` holds.
        folder: holds it and the page.
        page: one HTML file; in a notebook it shows itself.
    """

    result: dict[str, Any]
    folder: Path
    page: ReportFile


def measure_robustness(
    models: Sequence[PathLike],
    data: PathLike | None = None,
    *,
    out: PathLike | None = None,
    split: str | None = None,
    data_root: PathLike | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    engine: str = "torch",
    seed: int = 0,
    listener: Listener | None = None,
) -> Robustness:
    """Measure models on images that are shifted, scaled, turned, blurred, noisy, dark, bright or compressed.

    Args:
        models: folders of runs or bundles, with the same classes.
        data: labelled images, as for `evaluate`; by default the test images of what the first model was
            trained on.
        out: folder to write; by default `runs/<data>-robustness`, with a number where that is taken.
        split: "train", "val" or "test"; by default the test split if there is one.
        data_root: folder in which named data sets lie.
        batch_size: images a step; by default, what fits their size.
        device: of torch.
        engine: "torch", "numpy" or "cupy".
        seed: of the choice of images and of what is drawn for each.
        listener: hears how it goes.

    Raises:
        UserError: a model or the data cannot be used, or the models would see different images.
    """
    from striate.inference import load

    listener = listener or Listener()
    places = [Path(model) for model in models]
    root = None if data_root is None else os.fspath(data_root)
    source, root = (os.fspath(data), root) if data is not None else _own_data(places[0], root)
    folder = choose_folder(out, f"{Path(source).stem}-robustness", (FACTS, PAGE))
    files.check_apart(folder, source)
    _refuse_repeats(places)
    classifiers = [load(place, device, engine) for place in places]
    sets = _sets(classifiers, places, source, split, root, listener)
    chosen = np.sort(_chosen(len(sets[0]), seed))
    courses = _measure(classifiers, sets, chosen, seed, batch_size, listener)
    return _write(folder, _names(places), courses, _pictures(sets[0], chosen, seed), source, len(sets[0]))


def _refuse_repeats(places: Sequence[Path]) -> None:
    found = [bundle.find(place).resolve() for place in places]
    twice = [str(place) for place, one in zip(places, found, strict=True) if found.count(one) > 1]
    if twice:
        raise UserError(f"{twice[0]} is named twice; a model cannot be compared with itself.")


def _own_data(model: Path, data_root: str | None) -> tuple[str, str | None]:
    """Return the data that a model was trained on, and where named data sets lie.

    Raises:
        UserError: nobody knows.
    """
    settings = settings_of(Run(bundle.find(model).parent))
    if settings is None:
        raise UserError(f"{model} does not say what it was trained on; name the DATA to measure it on.")
    return settings.data, data_root or settings.data_root


def _sets(
    classifiers: Sequence[Classifier],
    places: Sequence[Path],
    data: str,
    split: str | None,
    data_root: str | None,
    listener: Listener,
) -> list[ImageSet]:
    """Return the images of each model, at its size; their pixels are not permuted yet.

    Raises:
        DataError: the models know other classes, or were trained on some of another's test images.
    """
    from striate.data import prepare_for
    from striate.workflows.evaluate import recorded_images

    sets: list[ImageSet] = []
    for classifier, place in zip(classifiers, places, strict=True):
        found = prepare_for(
            data,
            classifier.preprocess.model_copy(update={"permute_pixels": None}),
            classifier.class_names,
            split=split,
            only=recorded_images(place, data, split or "test"),
            data_root=data_root,
            progress=listener.stage,
        )
        for message in found.messages:
            listener.message(message)
        images = found.images
        order = np.argsort(images.paths, kind="stable").tolist()
        sets.append(images.select(order))
        if classifier.class_names != classifiers[0].class_names:
            raise DataError(f"{places[0]} and {place} tell different classes apart; measure them one by one.")
        if sets[-1].paths != sets[0].paths:
            raise DataError(
                f"{places[0]} and {place} would see different images of {data}: each its own test images. "
                "Name other DATA, or train them on the same split (--split-seed)."
            )
    return sets


def _chosen(count: int, seed: int) -> np.ndarray:
    from striate.data.draws import order

    return order(seed, 0, count)[:MOST_IMAGES]


def _measure(
    classifiers: Sequence[Classifier],
    sets: Sequence[ImageSet],
    chosen: np.ndarray,
    seed: int,
    batch_size: int | None,
    listener: Listener,
) -> list[Course]:
    """Return, of each distortion, which answers of each model are right at each level."""
    from striate.data.distortions import DISTORTIONS
    from striate.evaluation.study.robustness import Course

    found = {
        name: np.zeros((len(classifiers), len(each.levels), len(chosen)), bool)
        for name, each in DISTORTIONS.items()
    }
    tasks = [(number, part) for number, images in enumerate(sets) for part in _parts(images, len(chosen))]
    for done, (number, part) in enumerate(tasks):
        rows = chosen[part]
        answer = _Answer.of(classifiers[number], sets[number].select(rows.tolist()), batch_size)
        for at, (name, each) in enumerate(DISTORTIONS.items()):
            listener.stage("measuring robustness", done * len(found) + at, len(tasks) * len(found))
            found[name][number, :, part] = _right(answer, each, rows, seed)
    listener.stage("measuring robustness", len(tasks) * len(found), len(tasks) * len(found))
    return [
        Course(name, each.unit, each.levels, each.neutral, found[name]) for name, each in DISTORTIONS.items()
    ]


@dataclass(frozen=True)
class _Answer:
    """What a model answers for some images, however they are distorted.

    Attributes:
        classifier: the model.
        images: n of them, which say the labels.
        pixels: uint8 (n, C, H, W), as they are.
        batch_size: images a step; None: what fits their size.
        undistorted: bool (n,), which of them are named correctly as they are.
    """

    classifier: Classifier
    images: ImageSet
    pixels: np.ndarray
    batch_size: int | None
    undistorted: np.ndarray

    @classmethod
    def of(cls, classifier: Classifier, images: ImageSet, batch_size: int | None) -> Self:
        """Decode the images, once, and answer them as they are."""
        from striate.data.images import take

        pixels = take(images.pixels, np.arange(len(images)))
        found = cls(classifier, images, pixels, batch_size, np.zeros(len(images), bool))
        return replace(found, undistorted=found.right(pixels))

    def right(self, pixels: np.ndarray) -> np.ndarray:
        """Return which of the images, with these pixels, are named correctly, bool (n,)."""
        from striate.data.images import ArrayPixels, permute

        changed = np.ascontiguousarray(permute(pixels, self.classifier.preprocess.permute_pixels))
        shown = replace(self.images, pixels=ArrayPixels(changed))
        predictions = self.classifier.predict_set(shown, batch_size=self.batch_size)
        right: np.ndarray = predictions.predicted == predictions.labels
        return right


def _right(answer: _Answer, distortion: Distortion, rows: np.ndarray, seed: int) -> np.ndarray:
    """Return which images are named correctly at each level of a distortion, bool (L, n)."""
    from striate.data.distortions import distort

    return np.stack(
        [
            answer.undistorted
            if level == distortion.neutral
            else answer.right(distort(answer.pixels, distortion, level, rows, seed))
            for level in distortion.levels
        ]
    )


def _parts(images: ImageSet, count: int) -> Iterator[slice]:
    """Yield the images in parts that fit into memory comfortably."""
    one = int(np.prod(images.pixels.take(np.array([0])).shape))
    step = max(1, _CHUNK_BYTES // one)
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def _pictures(images: ImageSet, chosen: np.ndarray, seed: int) -> dict[str, list[bytes]]:
    """Return one of the images at each level of each distortion, as PNG files."""
    from PIL import Image

    from striate.data.distortions import DISTORTIONS, distort

    row = chosen[len(chosen) // 2]
    pixels = images.pixels.take(np.array([row]))
    pictures: dict[str, list[bytes]] = {}
    for name, distortion in DISTORTIONS.items():
        for level in distortion.levels:
            changed = distort(pixels, distortion, level, np.array([row]), seed)[0]
            picture = Image.fromarray(
                changed[0] if len(changed) == 1 else np.ascontiguousarray(changed.transpose(1, 2, 0))
            )
            picture.thumbnail((88, 88))
            buffer = io.BytesIO()
            picture.save(buffer, "PNG")
            pictures.setdefault(name, []).append(buffer.getvalue())
    return pictures


def _write(
    folder: Path,
    names: Sequence[str],
    courses: Sequence[Course],
    pictures: dict[str, list[bytes]],
    data: str,
    available: int,
) -> Robustness:
    from striate.evaluation.study import robustness, robustness_page

    result = robustness.describe(names, courses)
    messages = []
    if result["samples"] < available:
        messages.append(f"Of {available:,} images, {result['samples']:,} were drawn.")
    page = robustness_page.render(result, pictures, Path(data).name, messages)
    files.make_folder(folder)
    files.write_json(folder / FACTS, result)
    files.write_text(folder / PAGE, page)
    return Robustness(result, folder, ReportFile(folder / PAGE))


def _names(places: Sequence[Path]) -> list[str]:
    """Return the names of the runs or bundles, told apart where they are the same."""
    folders = [place.resolve() for place in places]
    return tell_apart([folder.parent if folder.name == "model" else folder for folder in folders])
