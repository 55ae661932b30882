"""What the data room hands on: the images of a split, and all splits of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from striate.data import decode
from striate.data.parallel import each
from striate.data.sources import Reader
from striate.errors import DataError
from striate.schemas import Preprocess

if TYPE_CHECKING:
    import pandas as pd


_PART = 4
"""Images that one thread decodes at a time."""


class Pixels(Protocol):
    """The pixels of N images of one size."""

    @property
    def in_memory(self) -> bool:
        """Whether `take` only copies, or reads and decodes files."""
        ...

    def __len__(self) -> int: ...

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return uint8 (n, C, H, W): the images at `indices`, int (n,), in that order."""
        ...

    def select(self, places: Sequence[int]) -> Pixels:
        """Return some of the images, sharing memory."""
        ...


class ArrayPixels:
    """Images in memory: some rows of one array that all splits share.

    Args:
        array: uint8 (M, C, H, W), C-contiguous; not copied.
        rows: int64 (N,), which rows of `array` these images are; None: all of them.
    """

    in_memory = True

    def __init__(self, array: np.ndarray, rows: np.ndarray | None = None) -> None:
        if array.dtype != np.uint8 or array.ndim != 4:
            raise ValueError(f"array is {array.dtype} of shape {array.shape}; expected uint8 (N, C, H, W)")
        self.array = array
        self.rows = np.arange(len(array)) if rows is None else np.asarray(rows, np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return uint8 (n, C, H, W): a copy of the images at `indices`."""
        taken: np.ndarray = self.array[self.rows[np.asarray(indices)]]
        return taken

    def select(self, places: Sequence[int]) -> ArrayPixels:
        """Return some of the images, sharing memory."""
        return ArrayPixels(self.array, self.rows[list(places)])


class FilePixels:
    """Images decoded from their files each time they are taken, in any thread.

    Args:
        reader: where the files' bytes come from.
        paths: (N,), as the reader knows them.
        preprocess: the size, channels, fit and permutation of the pixels to hand out.
        digests: uint8 (N, 32), SHA-256 of each file when the data was prepared; None: whatever is read.
    """

    in_memory = False

    def __init__(
        self, reader: Reader, paths: Sequence[str], preprocess: Preprocess, digests: np.ndarray | None = None
    ) -> None:
        self.reader = reader
        self.paths = tuple(paths)
        self.preprocess = preprocess
        self.digests = digests

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return uint8 (n, C, H, W): the images at `indices`, read and decoded now.

        Raises:
            DataError: a file cannot be read any more, or is another than when the data was prepared.
        """
        images = np.empty((len(indices), *self.preprocess.input_shape), np.uint8)
        with decode.quiet():
            for row, index in enumerate(indices):
                digest = None if self.digests is None else self.digests[int(index)]
                images[row] = decode_unchanged(self.reader, self.paths[int(index)], digest, self.preprocess)
        return permute(images, self.preprocess.permute_pixels)

    def select(self, places: Sequence[int]) -> FilePixels:
        """Return some of the images."""
        digests = None if self.digests is None else self.digests[list(places)]
        return FilePixels(self.reader, [self.paths[place] for place in places], self.preprocess, digests)


class ResizedPixels:
    """Images in memory that are brought to size each time they are taken: enlarged, they need not all fit.

    Args:
        array: uint8 (M, C, H, W) of any size and channels; not copied.
        preprocess: the size, channels, fit and permutation of the pixels to hand out.
        rows: int64 (N,), which rows of `array` these images are.
    """

    in_memory = False

    def __init__(self, array: np.ndarray, preprocess: Preprocess, rows: np.ndarray) -> None:
        self.array = array
        self.preprocess = preprocess
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return uint8 (n, C, H, W): the images at `indices`, resized now."""
        images = resize_all(self.array[self.rows[np.asarray(indices)]], self.preprocess)
        return permute(images, self.preprocess.permute_pixels)

    def select(self, places: Sequence[int]) -> ResizedPixels:
        """Return some of the images, sharing memory."""
        return ResizedPixels(self.array, self.preprocess, self.rows[list(places)])


def decode_unchanged(
    reader: Reader, path: str, digest: np.ndarray | None, preprocess: Preprocess
) -> np.ndarray:
    """Read and decode a file that was inspected before; return uint8 (C, H, W).

    What is kept on disk lies under the digest of the file, so another content must not come under it.

    Args:
        reader: where its bytes come from.
        path: as the reader knows it.
        digest: uint8 (32,), SHA-256 of the file then; None: not known.
        preprocess: size, channels and fit.

    Raises:
        DataError: it does not decode any more, or its content is another.
    """
    try:
        content = reader.read(path)
        if digest is None or hashlib.sha256(content).digest() == digest.tobytes():
            return decode.pixels(content, preprocess)
    except decode.Undecodable as error:
        raise DataError(
            f"{path!r} could be decoded when the data was prepared, but not now: {error}. "
            "Was it changed? Start again."
        ) from error
    raise DataError(f"{path!r} changed while the data was read: it is another file now. Start again.")


def resize_all(array: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """Bring decoded images, uint8 (N, C, H, W), to the size and channels asked for."""
    if array.shape[1:] == preprocess.input_shape:
        return array
    resized = np.empty((len(array), *preprocess.input_shape), np.uint8)
    for row, image in enumerate(array):
        upright = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        resized[row] = decode.fit(Image.fromarray(np.ascontiguousarray(upright)), preprocess)
    return resized


def take(pixels: Pixels, indices: np.ndarray) -> np.ndarray:
    """Return uint8 (n, C, H, W): the images at `indices`; those in files are decoded by several threads.

    Raises:
        DataError: a file cannot be read any more; names it.
    """
    if pixels.in_memory or not len(indices):
        return pixels.take(indices)
    parts = [indices[start : start + _PART] for start in range(0, len(indices), _PART)]
    with decode.quiet():
        return np.concatenate(list(each(pixels.take, parts, "decoding images", None)))


def permute(images: np.ndarray, seed: int | None) -> np.ndarray:
    """Return `images`, (N, C, H, W), with the H*W pixels of every channel in one order drawn from `seed`.

    Output pixel i is input pixel `permutation[i]`, `permutation` being NumPy's PCG64 generator's
    `permutation(H * W)`. A seed of None changes nothing.
    """
    if seed is None:
        return images
    order = np.random.Generator(np.random.PCG64(seed)).permutation(images.shape[2] * images.shape[3])
    flat = images.reshape(*images.shape[:2], -1)
    permuted: np.ndarray = np.take(flat, order, axis=2)
    return permuted.reshape(images.shape)


@dataclass(frozen=True)
class ImageSet:
    """The images of one split.

    Attributes:
        paths: (N,), as in the sample table.
        labels: int64 (N,), positions in the class names; -1 where unknown.
        pixels: N images.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    pixels: Pixels

    def __len__(self) -> int:
        return len(self.paths)

    def select(self, places: Sequence[int]) -> ImageSet:
        """Return some of the images, in the order of `places`."""
        paths = tuple(self.paths[place] for place in places)
        return ImageSet(paths, self.labels[list(places)], self.pixels.select(places))


@dataclass(frozen=True)
class ImageSets:
    """A data set, ready for batches.

    Attributes:
        name: short, for run folders.
        class_names: (K,), sorted; labels are positions in it.
        samples: `schemas.SAMPLE_COLUMNS`, one row for every image that decodes, with its final split;
            images outside every split have the split `""` and a note.
        quarantine: `schemas.QUARANTINE_COLUMNS`, one row for every image that does not decode.
        facts: one row for each row of `samples`: path, width, height (upright, pixels), format, mode, and
            sha256 of the file (or of the pixels, where they come decoded).
        preprocess: how an image becomes network input; with the training split's mean and deviation.
        train: never empty.
        val: None where nothing is held out for validation.
        test: never empty.
        messages: what the user should know, one sentence or two each.
        fingerprint: SHA-256 (hex) over path, label, split and content of the training images.
        groups: for each row of `samples`, what `--group-by` keeps together; None without that.
    """

    name: str
    class_names: tuple[str, ...]
    samples: pd.DataFrame
    quarantine: pd.DataFrame
    facts: pd.DataFrame
    preprocess: Preprocess
    train: ImageSet
    val: ImageSet | None
    test: ImageSet
    messages: tuple[str, ...]
    fingerprint: str
    groups: tuple[str, ...] | None = None

    def digests(self, images: ImageSet) -> np.ndarray:
        """Return uint8 (N, 32): the SHA-256 of each of the N images of one of the splits."""
        known = dict(zip(self.facts["path"], self.facts["sha256"], strict=True))
        content = b"".join(bytes.fromhex(known[path]) for path in images.paths)
        return np.frombuffer(content, np.uint8).reshape(-1, 32)
