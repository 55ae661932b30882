"""What a data set holds: counts, sizes, samples, and what augmentation makes of one image."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import config, files, schemas
from striate.config import DataConfig
from striate.errors import UserError, unknown_name
from striate.workflows.listener import Listener

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from striate.data import ImageSet, ImageSets

    PathLike = str | os.PathLike[str]

SAMPLES_PER_CLASS = 12
CLASS_SAMPLES = 64
PREVIEWS = 15


@dataclass(frozen=True)
class DataDescription:
    """What a data set holds.

    Attributes:
        counts: a row a class: `class`, images of `train`, `val`, `test`, `unused`, `quarantined`, `total`.
        sizes: rows width and height, columns min, median, max (pixels).
        formats: a row for each format and mode with the number of `images`.
        messages: what the user should know.
        figures: the figures written.
        folder: where they lie, with `samples.csv` and `quarantine.csv`.
    """

    counts: pd.DataFrame
    sizes: pd.DataFrame
    formats: pd.DataFrame
    messages: tuple[str, ...]
    figures: tuple[Path, ...]
    folder: Path


def describe_data(
    data: PathLike,
    *,
    out: PathLike | None = None,
    class_name: str | None = None,
    augment: str = "flip-crop",
    listener: Listener | None = None,
    **settings: Any,
) -> DataDescription:
    """Count, measure and draw a data set as training would see it; the verb is `striate data`.

    Args:
        data: folder, .zip, .csv, or the name of a data set.
        out: folder to write figures and tables to; by default `runs/<data>-data`.
        class_name: draw the samples of this class alone.
        augment: preset of the augmentation preview.
        listener: hears how it goes.
        **settings: fields of `striate.config.DataConfig`.

    Raises:
        UserError: the data, a setting or the folder cannot be used.
    """
    from striate.data import describe, prepare
    from striate.evaluation import figures

    listener = listener or Listener()
    chosen = config.make(DataConfig, {"data": os.fspath(data)} | settings)
    sets = prepare(chosen, progress=listener.stage)
    if class_name is not None and class_name not in sets.class_names:
        raise UserError(unknown_name("class", class_name, sets.class_names))
    for message in sets.messages:
        listener.message(message)
    described = describe(sets)
    folder = Path(out) if out is not None else Path("runs") / f"{sets.name}-data"
    files.check_apart(folder, data)
    drawn = {
        "class-balance.png": figures.class_balance(_counts(sets), sets.class_names),
        "image-sizes.png": figures.image_sizes(sets.facts[["width", "height"]].to_numpy()),
        **_draw_samples(sets, class_name, chosen.seed),
        "augmentation.png": _draw_preview(sets, augment, chosen.seed),
    }
    paths = _write(folder, drawn, sets)
    counts = described.counts.rename_axis("class").reset_index()
    sizes = described.sizes.rename_axis("pixels").reset_index()
    return DataDescription(counts, sizes, described.formats, sets.messages, paths, folder)


def _counts(sets: ImageSets) -> dict[str, list[int]]:
    splits = {"train": sets.train, "val": sets.val, "test": sets.test}
    return {
        split: np.bincount(images.labels, minlength=len(sets.class_names)).tolist()
        for split, images in splits.items()
        if images is not None
    }


def _draw_samples(sets: ImageSets, class_name: str | None, seed: int) -> dict[str, Figure]:
    """Return a figure of training images: some of each class, or more of one."""
    from striate.evaluation import figures

    if class_name is None:
        samples = {
            name: _sample(sets.train, label, SAMPLES_PER_CLASS, seed)[0]
            for label, name in enumerate(sets.class_names)
        }
        return {"samples.png": figures.sample_grid(samples)}
    images, names = _sample(sets.train, sets.class_names.index(class_name), CLASS_SAMPLES, seed)
    return {"samples-of-class.png": figures.image_grid(images, names, title=class_name)}


def _sample(images: ImageSet, label: int, count: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Return up to `count` images of a class, uint8 (n, C, H, W), and the names of their files."""
    candidates = np.flatnonzero(images.labels == label)
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.choice(candidates, min(count, len(candidates)), replace=False))
    return images.pixels.take(chosen), [Path(images.paths[index]).name for index in chosen]


def _draw_preview(sets: ImageSets, augment: str, seed: int) -> Figure:
    from striate.data.augment import preview
    from striate.evaluation import figures

    original = sets.train.pixels.take(np.array([0]))[0]
    return figures.augmentation_preview(original, preview(original, augment, seed, PREVIEWS), preset=augment)


def _write(folder: Path, drawn: dict[str, Figure], sets: ImageSets) -> tuple[Path, ...]:
    from striate.evaluation import figures

    files.make_folder(folder)
    for name, figure in drawn.items():
        figures.save(figure, folder / name)
    schemas.write_images(folder / "samples.csv", sets.samples)
    schemas.write_images(folder / "quarantine.csv", sets.quarantine)
    return tuple(folder / name for name in drawn)
