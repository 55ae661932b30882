"""Small pictures of a run's images, for its report; never torch.

A thumbnail shows the image as a person knows it: the original file, upright and whole, in its own colours:
before it is brought to the network's size, its channels are changed and its pixels are permuted.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from striate.data import decode
from striate.data.archives import ZipReader
from striate.data.cifar import read_pixels
from striate.data.folders import FolderReader
from striate.data.idx import read_idx
from striate.data.images import permute
from striate.data.named import CIFAR10_FOLDER, IMAGENETTE_FOLDERS, NAMES, digits, find_idx_files, root_of
from striate.data.parallel import each
from striate.data.sources import Reader
from striate.errors import DataError
from striate.schemas import Preprocess

Size = tuple[int, int]
"""(width, height)."""
SIDE = 96
"""Longest side of a thumbnail, in pixels."""
TINY = 40
"""An image whose longest side is no longer than this is kept pixel by pixel, as PNG; others become JPEG."""
QUALITY = 78


def reader(data: str, data_root: str | None = None) -> Callable[[Sequence[str]], list[bytes | None]]:
    """Return what gives the thumbnails of images of `data`, by their paths in `samples.csv`.

    It answers with JPEG or (of tiny images) PNG bytes for each path, and with None for an image that is gone,
    moved or damaged, or whose data set is. Nothing is downloaded.

    Args:
        data: folder, zip, CSV file or name, as in the run's settings.
        data_root: folder in which named data sets lie.
    """
    images = _find(data, data_root, (SIDE, SIDE))

    def thumbnails(paths: Sequence[str]) -> list[bytes | None]:
        images.expect(paths)
        with decode.quiet():
            return list(each(functools.partial(_thumbnail, images), paths, "reading thumbnails", None))

    return thumbnails


def opener(data: str, data_root: str | None = None) -> Callable[[str], Image.Image]:
    """Return what opens an image of `data` at its full size, by its path in `samples.csv`: mode L or RGB.

    It raises a `DataError` for an image that cannot be had any more.

    Args:
        data: folder, zip, CSV file or name, as in the run's settings.
        data_root: folder in which named data sets lie.
    """
    images = _find(data, data_root, None)

    def open_one(path: str) -> Image.Image:
        images.expect([path])
        try:
            with decode.quiet():
                return images.image(path)
        except decode.Undecodable as error:
            raise DataError(f"{path} cannot be used: {error}.") from error

    return open_one


def input_reader(
    data: str, data_root: str | None, preprocess: Preprocess
) -> Callable[[Sequence[str]], list[np.ndarray | None]]:
    """Return what gives images of `data` as a network takes them, by their paths in `samples.csv`.

    It answers with uint8 (C, H, W) for each path, the very pixels that were trained and measured on, and with
    None for an image that cannot be had any more.

    Args:
        data: folder, zip, CSV file or name, as in the run's settings.
        data_root: folder in which named data sets lie.
        preprocess: of the network.
    """
    images = _find(data, data_root, decode.asked_size(preprocess))

    def inputs(paths: Sequence[str]) -> list[np.ndarray | None]:
        images.expect(paths)
        with decode.quiet():
            return [_input(images, path, preprocess) for path in paths]

    return inputs


def _input(images: _Images, path: str, preprocess: Preprocess) -> np.ndarray | None:
    try:
        fitted = decode.fit(images.image(path), preprocess)
    except decode.Undecodable:
        return None
    permuted: np.ndarray = permute(fitted[None], preprocess.permute_pixels)[0]
    return permuted


class _Images(Protocol):
    """Where the images of a run are, as far as they are still there."""

    def expect(self, paths: Sequence[str]) -> None:
        """Make ready for `paths`; what cannot be had is left."""
        ...

    def image(self, path: str) -> Image.Image:
        """Return an image of mode L or RGB.

        Raises:
            Undecodable: it cannot be had.
        """
        ...


class _Files:
    """Image files of a folder or an archive.

    Args:
        files: where they lie.
        target: (width, height): a large JPEG may be decoded smaller, but not below; None: at its full size.
    """

    def __init__(self, files: Reader, target: Size | None) -> None:
        self.files = files
        self.target = target

    def expect(self, paths: Sequence[str]) -> None:
        """Do nothing: files are read one by one."""

    def image(self, path: str) -> Image.Image:
        return decode.load(self.files.read(path), self.target)[1]


class _Arrays:
    """The images of a named set, by their numbers: `test/00012`.

    Args:
        read: gives uint8 (N, C, H, W) for the part of a path before the number.
    """

    def __init__(self, read: Callable[[str], np.ndarray]) -> None:
        self.read = read
        self.parts: dict[str, np.ndarray | None] = {}

    def expect(self, paths: Sequence[str]) -> None:
        for part in sorted({path.partition("/")[0] for path in paths} - set(self.parts)):
            try:
                self.parts[part] = self.read(part)
            except DataError:
                self.parts[part] = None

    def image(self, path: str) -> Image.Image:
        part, _, number = path.partition("/")
        array = self.parts.get(part)
        if array is None or not (number.isascii() and number.isdigit()) or int(number) >= len(array):
            raise decode.Undecodable("the data set does not hold it")
        pixels = array[int(number)]
        return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def _find(data: str, data_root: str | None, target: Size | None) -> _Images:
    """Return where the images of `data` are.

    A run's settings hold a path that existed as an absolute one, so a name is that of a data set even where a
    folder is called like it by now.
    """
    if data.lower() in NAMES:
        return _named(data.lower(), root_of(data_root), target)
    path = Path(os.path.expanduser(data)) if data else Path("\0")
    if os.path.exists(path):
        if path.is_file() and path.suffix.lower() != ".csv":
            return _Files(ZipReader(str(path.absolute())), target)
        if path.is_dir() and (raw := find_idx_files(path)) is not None:
            return _Arrays(functools.partial(_idx_part, raw))
        return _Files(FolderReader(str((path.parent if path.is_file() else path).absolute())), target)
    if path.suffix.lower() == ".csv":  # the table is gone, but the images need not be
        return _Files(FolderReader(str(path.parent.absolute())), target)
    return _Arrays(_nothing)


def _named(name: str, root: Path, target: Size | None) -> _Images:
    if name == "imagenette":
        folders = [root / folder for folder in IMAGENETTE_FOLDERS if (root / folder).is_dir()]
        if not folders:
            return _Arrays(_nothing)
        return _Files(FolderReader(str(folders[0].absolute())), target)
    return _Arrays(functools.partial(_PARTS[name], root))


def _nothing(part: str) -> np.ndarray:
    raise DataError("the data set is not there any more")


def _digits_part(root: Path, part: str) -> np.ndarray:
    return digits()[0] if part == "digits" else _nothing(part)


def _idx_part(raw: Path, part: str) -> np.ndarray:
    """Read one split of MNIST or a relative, whose IDX files lie in `raw`, uint8 (N, 1, H, W)."""
    prefixes = {"train": "train", "test": "t10k"}
    if part not in prefixes:
        return _nothing(part)
    images = read_idx(raw / f"{prefixes[part]}-images-idx3-ubyte")
    if images.ndim != 3:
        raise DataError(f"{raw} holds no images of height and width.")
    return images[:, None]


def _cifar_part(root: Path, part: str) -> np.ndarray:
    """Read one split of CIFAR-10, uint8 (N, 3, 32, 32)."""
    batches = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
    if part not in batches:
        return _nothing(part)
    return np.concatenate([read_pixels(root / CIFAR10_FOLDER / name) for name in batches[part]])


_PARTS: dict[str, Callable[[Path, str], np.ndarray]] = {
    "digits": _digits_part,
    "mnist": lambda root, part: _idx_part(root / "MNIST" / "raw", part),
    "fashion-mnist": lambda root, part: _idx_part(root / "FashionMNIST" / "raw", part),
    "cifar10": _cifar_part,
}


def _thumbnail(images: _Images, path: str) -> bytes | None:
    try:
        image = images.image(path)
    except decode.Undecodable:
        return None
    buffer = io.BytesIO()
    if max(image.size) <= TINY:
        image.save(buffer, "PNG")
    else:
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
