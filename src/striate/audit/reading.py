"""Every image of a data set, looked at once: its bytes, its size, its colours, and a small grey copy."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from striate.data import decode
from striate.data.parallel import Progress, each
from striate.data.sources import Reader, Sample, Source
from striate.errors import DataError

SIDE = 32
"""Side of the small grey copies, in pixels."""
STAGE = "reading images"
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R 601."""


@dataclass(frozen=True)
class Look:
    """What is kept of one image.

    Attributes:
        digest: SHA-256 of the file's bytes (of the pixels, where images come decoded).
        facts: width, height, format; None where it does not decode.
        size_bytes: of the file; 0 where images come decoded.
        small: uint8 (SIDE, SIDE), grey.
        colour: float32 (3,), mean red, green and blue in [0, 1]; `border`: of the outermost 1/32 alone.
    """

    digest: bytes
    facts: decode.Facts | None = None
    size_bytes: int = 0
    small: np.ndarray | None = None
    colour: np.ndarray | None = None
    border: np.ndarray | None = None


@dataclass(frozen=True)
class Images:
    """N images that decode, as far as the audit keeps them in memory.

    Attributes:
        name: of the data set, short.
        paths: (N,); likewise `labels`, and `splits` as the data gives them (`""`: none).
        digest: (N,), SHA-256 of each file's bytes.
        width: int32 (N,), upright, in pixels; likewise `height`.
        format: (N,), such as PNG; `array` for images that come decoded.
        size_bytes: int64 (N,), of the file; 0 for images that come decoded.
        small: uint8 (N, SIDE, SIDE), grey.
        colour: float32 (N, 3), mean red, green and blue in [0, 1]; `border`: of the outermost 1/32 alone.
        undecodable: how many images are left out because they do not decode.
        open: gives image number i, upright, of mode L or RGB, at (about) twice a given side or larger;
            a side of 0: at its full size.
    """

    name: str
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    digest: tuple[bytes, ...]
    width: np.ndarray
    height: np.ndarray
    format: tuple[str, ...]
    size_bytes: np.ndarray
    small: np.ndarray
    colour: np.ndarray
    border: np.ndarray
    undecodable: int
    open: Callable[[int, int], Image.Image]

    def __len__(self) -> int:
        return len(self.paths)


def read(source: Source, progress: Progress | None = None) -> Images:
    """Look at every image of `source` that the data does not leave out itself.

    Raises:
        DataError: there is no image, or none that decodes.
    """
    rows = [row for row, sample in enumerate(source.samples) if not sample.note]
    samples = [source.samples[row] for row in rows]
    look: Callable[[int], Look] = functools.partial(_look_at, source)
    with decode.quiet():
        looks = list(each(look, rows, STAGE, progress))
    kept = [number for number, found in enumerate(looks) if found.facts is not None]
    if not kept:
        raise DataError(f"{source.name} holds no image that decodes; {len(samples)} were tried.")
    return _collect(source, [rows[number] for number in kept], [looks[number] for number in kept], len(rows))


def _collect(source: Source, rows: Sequence[int], looks: Sequence[Look], tried: int) -> Images:
    samples: list[Sample] = [source.samples[row] for row in rows]
    facts = [found.facts for found in looks if found.facts is not None]
    return Images(
        name=source.name,
        paths=tuple(sample.path for sample in samples),
        labels=tuple(sample.label for sample in samples),
        splits=tuple(sample.split for sample in samples),
        digest=tuple(found.digest for found in looks),
        width=np.array([fact.width for fact in facts], np.int32),
        height=np.array([fact.height for fact in facts], np.int32),
        format=tuple(fact.format for fact in facts),
        size_bytes=np.array([found.size_bytes for found in looks], np.int64),
        small=np.stack([found.small for found in looks if found.small is not None]),
        colour=np.stack([found.colour for found in looks if found.colour is not None]),
        border=np.stack([found.border for found in looks if found.border is not None]),
        undecodable=tried - len(looks),
        open=lambda number, side: _open(source, rows[number], side),
    )


def _look_at(source: Source, row: int) -> Look:
    if source.reader is None:
        assert source.array is not None
        pixels = source.array[row]
        height, width = pixels.shape[1:]
        facts = decode.Facts(width, height, "array", "L" if len(pixels) == 1 else "RGB", len(pixels) == 1)
        digest = hashlib.sha256(np.ascontiguousarray(pixels).data).digest()
        return _look(digest, facts, 0, _from_array(pixels))
    return _look_at_file(source.reader, source.samples[row].path)


def _look_at_file(reader: Reader, path: str) -> Look:
    try:
        content = reader.read(path)
        facts, image = decode.load(content, (SIDE, SIDE))
    except decode.Undecodable:
        return Look(b"")
    return _look(hashlib.sha256(content).digest(), facts, len(content), image)


def _look(digest: bytes, facts: decode.Facts, size_bytes: int, image: Image.Image) -> Look:
    pixels = shrink(image.convert("RGB"), SIDE).astype(np.float32)
    frame = np.concatenate((pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]))
    return Look(
        digest,
        facts,
        size_bytes,
        np.rint(pixels @ _LUMA).astype(np.uint8),
        pixels.mean((0, 1)) / 255,
        frame.mean(0) / 255,
    )


def shrink(image: Image.Image, side: int) -> np.ndarray:
    """Return uint8 (side, side) or (side, side, 3): `image` squashed, bilinear with antialiasing."""
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def grey(image: Image.Image, side: int) -> np.ndarray:
    """Return float32 (side, side), 0 to 255: `image` in grey, squashed."""
    pixels = shrink(image, side).astype(np.float32)
    return pixels if pixels.ndim == 2 else pixels @ _LUMA


def _open(source: Source, row: int, side: int) -> Image.Image:
    if source.reader is None:
        assert source.array is not None
        return _from_array(source.array[row])
    path = source.samples[row].path
    try:
        return decode.load(source.reader.read(path), (side, side) if side else None)[1]
    except decode.Undecodable as error:
        raise DataError(f"{path!r} changed while the data was read: {error}. Start again.") from error


def _from_array(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
