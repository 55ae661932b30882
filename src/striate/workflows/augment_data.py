"""A data set in, the same images augmented out: a second test set that shows what a network stands."""

from __future__ import annotations

import functools
import io
import os
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from striate import files, schemas
from striate.errors import DataError, RunError, UserError, unknown_name
from striate.schemas import SPLITS
from striate.workflows.listener import Listener

if TYPE_CHECKING:
    from striate.data.sources import Source

    PathLike = str | os.PathLike[str]

RECORD = "augmented.json"
LABELS = "labels.csv"
"""Where a class cannot be the name of a folder, this table in the folder holds the labels."""


@dataclass(frozen=True)
class AugmentedData:
    """Where the augmented images lie.

    Attributes:
        folder: class folders, in split folders where the data has splits; and `augmented.json`.
        data: what `evaluate` takes: the folder, or `labels.csv` in it.
        images: number of images written.
        left_out: path and reason of each image that does not decode, or whose name is not valid text.
    """

    folder: Path
    data: Path
    images: int
    left_out: tuple[tuple[str, str], ...]


def augment_data(
    data: PathLike,
    *,
    out: PathLike,
    preset: str = "photo",
    seed: int = 0,
    split: str | None = None,
    data_root: PathLike | None = None,
    listener: Listener | None = None,
) -> AugmentedData:
    """Write every image of `data` once, augmented by a draw of its own, as PNG; the verb is `data augment`.

    Args:
        data: folder, .zip, .csv, or the name of a data set.
        out: folder to write; must not be there. It is there once it is whole.
        preset: of the augmentation.
        seed: of the draws; the same seed gives the same images.
        split: "train", "val" or "test": write these images alone.
        data_root: folder in which named data sets lie.
        listener: hears how it goes.

    Raises:
        UserError: the data, the preset, the split or the folder cannot be used.
    """
    from striate.data.augment import preset_named
    from striate.data.lookup import find_source
    from striate.data.parallel import each

    listener = listener or Listener()
    preset_named(preset)
    folder = Path(out)
    if os.path.exists(folder):
        raise RunError(f"{folder} is there already. Choose another --out.")
    files.check_apart(folder, data)
    source = find_source(os.fspath(data), None if data_root is None else os.fspath(data_root))
    rows = _chosen(source, split)
    if not source.splits:
        listener.message(
            "The data has no splits: images that a model was trained on are among these. Evaluate on a part "
            "that was kept apart."
        )
    places = _places(source, rows)
    temporary = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}.tmp")
    try:
        task = functools.partial(_write, source, temporary, preset, seed)
        reasons = list(each(task, list(zip(rows, places, strict=True)), "augmenting", listener.stage))
        unnamed = _unnamed(source, split)
        undecoded = [(source.samples[row].path, why) for row, why in zip(rows, reasons, strict=True) if why]
        left_out = (*undecoded, *unnamed)
        kept = [pair for pair, why in zip(zip(rows, places, strict=True), reasons, strict=True) if not why]
        if not kept:
            raise DataError(f"none of the {len(rows)} images decodes; the first: {undecoded[0][1]}.")
        tabled = _write_labels(temporary, source, kept)
        _record(temporary, data, preset, seed, split, len(kept), left_out)
        os.rename(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if undecoded:
        listener.message(f"{len(undecoded)} image(s) do not decode and are left out: see {RECORD}.")
    if unnamed:
        listener.message(
            f"{len(unnamed)} image(s) are left out because their names are not valid text: see {RECORD}."
        )
    if tabled:
        listener.message(f"A class cannot be the name of a folder; name {folder / LABELS} as DATA.")
    return AugmentedData(folder, folder / LABELS if tabled else folder, len(kept), left_out)


def _chosen(source: Source, split: str | None) -> list[int]:
    """Return the positions of the samples to augment."""
    if split is not None and split not in SPLITS:
        raise UserError(unknown_name("split", split, SPLITS))
    if split is not None and split not in source.splits:
        raise DataError(f"{source.name} has no split {split!r}; it has {', '.join(source.splits) or 'none'}.")
    rows = [
        row
        for row, sample in enumerate(source.samples)
        if not sample.note and (split is None or sample.split == split)
    ]
    if not rows:
        raise DataError(f"{source.name} holds no image to augment.")
    return rows


def _unnamed(source: Source, split: str | None) -> list[tuple[str, str]]:
    """Return path and reason of the images that no table could name."""
    return [(path, why) for path, _, part, why in source.quarantine if split is None or part == split]


def _places(source: Source, rows: Sequence[int]) -> list[PurePosixPath]:
    """Return where each image is written: split, class and name, told apart where two would be the same."""
    taken: set[str] = set()
    numbers: dict[str, int] = {}  # place that is wanted -> the last number that was put to it
    places = []
    for row in rows:
        sample = source.samples[row]
        stem = PurePosixPath(sample.path).stem or "image"
        wanted = place = PurePosixPath(sample.split, _folder_name(sample.label), f"{stem}.png")
        key = str(wanted).casefold()
        while str(place).casefold() in taken:
            numbers[key] = numbers.get(key, 1) + 1
            place = wanted.with_name(f"{stem}-{numbers[key]}.png")
        taken.add(str(place).casefold())
        places.append(place)
    return places


def _folder_name(label: str) -> str:
    """Return `label` as the name of a folder; where it cannot be one of a class, what is nearest."""
    from striate.data.layout import split_of

    name = re.sub(r"[/\\\0]", "-", label)
    mistakable = name.startswith(".") or not name.strip() or split_of(name) is not None
    return f"_{name}" if mistakable else name


def _write_labels(folder: Path, source: Source, kept: Sequence[tuple[int, PurePosixPath]]) -> bool:
    """Write the table of labels where folders cannot tell them; return whether."""
    import pandas as pd

    samples = [source.samples[row] for row, _ in kept]
    if all(_folder_name(sample.label) == sample.label for sample in samples):
        return False
    table = pd.DataFrame(
        {"image": [str(place) for _, place in kept], "label": [each.label for each in samples]}
    )
    if source.splits:
        table["split"] = [each.split for each in samples]
    schemas.write_table(folder / LABELS, table)
    return True


def _write(source: Source, folder: Path, preset: str, seed: int, task: tuple[int, PurePosixPath]) -> str:
    """Write one image; return why it cannot be, or ""."""
    import torch

    from striate.data.augment import augment
    from striate.data.decode import Undecodable

    row, place = task
    try:
        pixels = _pixels(source, row)
    except Undecodable as error:
        return str(error)
    images = torch.from_numpy(pixels[None].copy())  # torch warns of what it cannot write
    varied = augment(images, preset, seed=seed, epoch=0, indices=np.array([row])).numpy()[0]
    buffer = io.BytesIO()
    Image.fromarray(varied[0] if len(varied) == 1 else varied.transpose(1, 2, 0)).save(buffer, "PNG")
    path = folder / place
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())  # the folder takes its name once it is whole
    except OSError as error:
        raise UserError(
            f"cannot write {path.name}: {error.strerror}. Free some space or choose another --out."
        ) from error
    return ""


def _pixels(source: Source, row: int) -> np.ndarray:
    """Return one image at its own size, uint8 (C, H, W)."""
    from striate.data import decode

    if source.array is not None:
        stored: np.ndarray = source.array[row]
        return stored
    if source.reader is None:
        raise DataError(f"{source.name} has neither files nor pixels to read.")
    with decode.quiet():
        _, image = decode.load(source.reader.read(source.samples[row].path))
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _record(
    folder: Path,
    data: PathLike,
    preset: str,
    seed: int,
    split: str | None,
    written: int,
    left_out: Sequence[tuple[str, str]],
) -> None:
    record = {
        "data": os.path.abspath(data) if os.path.exists(data) else os.fspath(data),
        "preset": preset,
        "seed": seed,
        "split": split,
        "images": written,
        "left_out": [{"path": path, "reason": reason} for path, reason in left_out],
    }
    files.write_json(folder / RECORD, record)
