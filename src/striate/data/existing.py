"""Images for a network that is trained already: a labelled data set to evaluate, or images to predict."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from striate.data import decode
from striate.data.classes import choose_classes, labels_to_numbers, name_classes
from striate.data.decoding import pixels_of
from striate.data.folders import FolderReader, walk_folder
from striate.data.images import ImageSet, permute
from striate.data.inspection import inspect
from striate.data.layout import NOT_TEXT, is_hidden, is_image_name, printable
from striate.data.lookup import find_source
from striate.data.parallel import Progress, each
from striate.data.prepare import quarantine_table
from striate.data.sources import Sample, Source
from striate.errors import DataError
from striate.schemas import Preprocess

if TYPE_CHECKING:
    import pandas as pd

Item = str | Path | Image.Image | np.ndarray
"""An image: a path, a PIL image, or an array as `read_images` describes it."""


@dataclass(frozen=True)
class LabelledImages:
    """One split of a data set, for a network that knows its classes.

    Attributes:
        name: of the data set, short.
        split: the split that was chosen; `""` where the data has none.
        images: labels are positions in the network's class names.
        quarantine: `schemas.QUARANTINE_COLUMNS`, the images that do not decode.
        messages: what the user should know.
    """

    name: str
    split: str
    images: ImageSet
    quarantine: pd.DataFrame
    messages: tuple[str, ...]


@dataclass(frozen=True)
class DecodedImages:
    """Some images, as far as they decode.

    Attributes:
        images: uint8 (M, C, H, W).
        kept: int64 (M,), which items they are, ascending.
        reasons: for each other item, by its number, why it does not decode.
    """

    images: np.ndarray
    kept: np.ndarray
    reasons: dict[int, str]


def prepare_for(
    data: str,
    preprocess: Preprocess,
    class_names: Sequence[str],
    *,
    split: str | None = None,
    only: Mapping[str, str] | None = None,
    data_root: str | None = None,
    classes: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> LabelledImages:
    """Find and decode the images of `data` as a trained network expects them.

    Args:
        data: folder, zip, CSV file or name, as for training.
        preprocess: the network's.
        class_names: the network's; images of other classes are left out, with a message.
        split: which split; None: the test split if there is one, else all images. A validation split
            serves as the test where there is no other.
        only: the images to take, as `samples.csv` gives their paths and labels, whatever their split;
            None: no such limit.
        data_root: where named data sets are.
        classes: only these.
        progress: called as `progress(stage, done, total)`.

    Raises:
        DataError: there are no such images, or none of a class that the network knows.
    """
    source = choose_classes(find_source(data, data_root), classes)
    chosen, messages = _choose_split(source, split) if only is None else ("", [])
    rows = [row for row, item in enumerate(source.samples) if _belongs(item.split, chosen)]
    if only is not None:
        source = replace(source, samples=tuple(_labelled(sample, only) for sample in source.samples))
    source = _keep(source, [row for row in rows if only is None or source.samples[row].path in only])
    labels = labels_to_numbers((sample.label for sample in source.samples), class_names)
    strange = Counter(sample.label for sample, label in zip(source.samples, labels, strict=True) if label < 0)
    if strange:
        messages.append(
            f"Left out {sum(strange.values())} image(s) of {name_classes(sorted(strange))}, "
            "which the model does not know."
        )
    source = _keep(
        source, [row for row, item in enumerate(source.samples) if labels[row] >= 0 and not item.note]
    )
    if not source.samples:
        raise DataError(
            f"{data} holds no image of a class that the model knows ({name_classes(class_names)})."
        )
    return _decode_source(source, preprocess, class_names, chosen, messages, progress)


def read_images(items: Sequence[Item], preprocess: Preprocess) -> np.ndarray:
    """Return uint8 (N, C, H, W): `items` upright, at the network's size and channels, permuted if it says so.

    Args:
        items: paths, PIL images or arrays: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) (RGBA), of uint8
            or of floats in [0, 1].
        preprocess: the network's; the result is not normalised yet.

    Raises:
        DataError: an item cannot be used; names it and the reason.
    """
    decoded = decode_images(items, preprocess)
    for number, reason in decoded.reasons.items():
        raise DataError(f"image {_name(items[number], number)} cannot be used: {reason}.")
    return decoded.images


def decode_images(
    items: Sequence[Item], preprocess: Preprocess, progress: Progress | None = None
) -> DecodedImages:
    """Decode what can be decoded of `items`, as `read_images` does, and say why the others cannot."""
    with decode.quiet():
        results = list(each(lambda item: _try(item, preprocess), items, "reading images", progress))
    kept = [number for number, result in enumerate(results) if not isinstance(result, str)]
    images = np.empty((len(kept), *preprocess.input_shape), np.uint8)
    for row, number in enumerate(kept):
        images[row] = results[number]
    reasons = {number: result for number, result in enumerate(results) if isinstance(result, str)}
    return DecodedImages(permute(images, preprocess.permute_pixels), np.array(kept, np.int64), reasons)


def list_images(paths: Sequence[str | Path]) -> tuple[list[Path], list[tuple[str, str]]]:
    """Return the image files that `paths` name: files as they are, folders with all that they hold, sorted.

    In a folder, hidden files and those that are not called like images are passed over.

    Returns:
        The files; and path and reason of those whose names are no text, which no table could hold.

    Raises:
        DataError: a path does not exist or is an archive or table, or there is no image at all.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if os.path.isdir(path):
            names = walk_folder(path).files
            found += [path / name for name in sorted(names) if is_image_name(name) and not is_hidden(name)]
        elif os.path.isfile(path) and path.suffix.lower() in (".zip", ".csv"):
            way_out = (
                "Unpack it and name its folder" if path.suffix.lower() == ".zip" else "Name their folder"
            )
            raise DataError(f"{str(path)!r} is no image; expected images and folders of images. {way_out}.")
        elif os.path.exists(path):
            found.append(path)
        else:
            raise DataError(f"no such image or folder: {str(path)!r}.")
    if not found:
        raise DataError(f"no image in {', '.join(str(path) for path in paths) or 'an empty list'}.")
    shown = {path: printable(str(path)) for path in found}
    unnamed = [(name, NOT_TEXT) for path, name in shown.items() if name != str(path)]
    return [path for path, name in shown.items() if name == str(path)], unnamed


def _choose_split(source: Source, split: str | None) -> tuple[str, list[str]]:
    """Return the split to use, `""` for all images, and what to say about it."""
    given = source.splits
    if split is None:
        if not given:
            return "", []
        split = "test"
    if split == "test" and "test" not in given and "val" in given:
        return "val", ["There is no test split, so the validation split (val) serves as the test."]
    if split in given:
        return split, []
    if split == "test" and given:
        return "", ["There is no test split, so all images are used."]
    raise DataError(f"{source.name} has no split {split!r}; it has {', '.join(given) or 'none'}.")


def _labelled(sample: Sample, labels: Mapping[str, str]) -> Sample:
    """Return `sample` with the label that a training gave it (it may have been told another)."""
    return replace(sample, label=labels.get(sample.path, sample.label))


def _belongs(split: str, chosen: str) -> bool:
    return not chosen or split == chosen


def _keep(source: Source, rows: Sequence[int]) -> Source:
    return replace(
        source,
        samples=tuple(source.samples[row] for row in rows),
        array=None if source.array is None else source.array[list(rows)],
    )


def _decode_source(
    source: Source,
    preprocess: Preprocess,
    class_names: Sequence[str],
    split: str,
    messages: Sequence[str],
    progress: Progress | None,
) -> LabelledImages:
    inspection = inspect(source, progress)
    rows = [row for row, reason in enumerate(inspection.reason) if not reason]
    if not rows:
        raise DataError(
            f"none of the {len(source.samples)} image(s) decodes; the first: {inspection.reason[0]}."
        )
    pixels, notices = pixels_of(source, inspection, rows, preprocess, progress)
    samples = [source.samples[row] for row in rows]
    labels = labels_to_numbers((sample.label for sample in samples), class_names)
    return LabelledImages(
        name=source.name,
        split=split,
        images=ImageSet(tuple(sample.path for sample in samples), labels, pixels),
        quarantine=quarantine_table(source, inspection),
        messages=tuple(dict.fromkeys([*source.messages, *messages, *inspection.messages, *notices])),
    )


def open_image(item: Item) -> Image.Image:
    """Return an item as a picture of its own size, upright, mode L or RGB.

    Raises:
        DataError: it cannot be used; names it and the reason.
    """
    try:
        with decode.quiet():
            if isinstance(item, (str, Path)):
                return decode.load(FolderReader("").read(os.fspath(item)))[1]
            return decode.flatten(item if isinstance(item, Image.Image) else _image_of(item))
    except decode.Undecodable as error:
        raise DataError(f"image {_name(item, 0)} cannot be used: {error}.") from error


def _try(item: Item, preprocess: Preprocess) -> np.ndarray | str:
    """Return uint8 (C, H, W), or the reason why not."""
    try:
        if isinstance(item, (str, Path)):
            return decode.pixels(FolderReader("").read(os.fspath(item)), preprocess)
        image = item if isinstance(item, Image.Image) else _image_of(item)
        return decode.fit(decode.flatten(image), preprocess)
    except decode.Undecodable as error:
        return str(error)


def _image_of(array: np.ndarray) -> Image.Image:
    array = np.asarray(array)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not array.size or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise decode.Undecodable(
            f"its shape is {array.shape}; expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
        )
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise decode.Undecodable("it holds floats outside [0, 1]")
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise decode.Undecodable(f"its values are {array.dtype}; expected uint8, or floats in [0, 1]")
    return Image.fromarray(np.ascontiguousarray(array))


def _name(item: Item, number: int) -> str:
    return repr(str(item)) if isinstance(item, (str, Path)) else f"number {number}"
