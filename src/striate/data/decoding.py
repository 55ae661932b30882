"""All images of a source at one size: in one array where they are small, else from their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from striate.data import cache, decode
from striate.data.images import (
    ArrayPixels,
    FilePixels,
    Pixels,
    ResizedPixels,
    decode_unchanged,
    permute,
    resize_all,
)
from striate.data.inspection import SMALL_SIDE, Inspection
from striate.data.parallel import Progress, each
from striate.data.sources import Reader, Source
from striate.schemas import Preprocess

MAX_MEMORY_BYTES = 4 * 2**30
"""Pixels that would need more than this stay in their files, however small the images."""
STAGE = "decoding images"
_CHUNK = 4096


def pixels_of(
    source: Source,
    inspection: Inspection,
    rows: Sequence[int],
    preprocess: Preprocess,
    progress: Progress | None = None,
) -> tuple[Pixels, tuple[str, ...]]:
    """Return the pixels of the images numbered `rows`, permuted if `preprocess` says so, and messages.

    Raises:
        DataError: a file has changed since it was inspected.
    """
    paths = [source.samples[row].path for row in rows]
    if source.array is not None and not fits_in_memory(len(rows), preprocess):
        return ResizedPixels(source.array, preprocess, np.asarray(rows, np.int64)), ()
    if source.array is not None:
        array, message = resize_all(source.array[rows], preprocess), None
    elif not fits_in_memory(len(rows), preprocess):
        assert source.reader is not None
        return FilePixels(source.reader, paths, preprocess, inspection.digest[list(rows)]), ()
    else:
        assert source.reader is not None
        small = {new: inspection.small[row] for new, row in enumerate(rows) if row in inspection.small}
        digests = inspection.digest[list(rows)]
        array, message = _decoded(source.reader, paths, digests, small, preprocess, progress)
    return ArrayPixels(_permute_all(array, preprocess.permute_pixels)), (message,) if message else ()


def fits_in_memory(n: int, preprocess: Preprocess) -> bool:
    """Return whether `n` images are kept in memory."""
    small = max(preprocess.height, preprocess.width) <= SMALL_SIDE
    return small and n * int(np.prod(preprocess.input_shape)) <= MAX_MEMORY_BYTES


def _decoded(
    reader: Reader,
    paths: Sequence[str],
    digests: np.ndarray,
    small: Mapping[int, np.ndarray],
    preprocess: Preprocess,
    progress: Progress | None,
) -> tuple[np.ndarray, str | None]:
    shape = (len(paths), *preprocess.input_shape)
    contents = digests.tobytes().hex()
    key = cache.key_of("pixels", preprocess.decoding, contents)
    entry = cache.load("pixels", key)
    if entry is not None and "images" in entry and entry["images"].shape == shape:
        return entry["images"], None
    images = np.empty(shape, np.uint8)

    def decode_row(row: int) -> None:
        images[row] = _decode(reader, paths[row], digests[row], small.get(row), preprocess)

    with decode.quiet():
        for _ in each(decode_row, range(len(paths)), STAGE, progress):
            pass
    return images, cache.store("pixels", key, {"images": images})


def _decode(
    reader: Reader, path: str, digest: np.ndarray, small: np.ndarray | None, preprocess: Preprocess
) -> np.ndarray:
    if small is not None and small.shape == _as_array(preprocess):
        return small[None] if small.ndim == 2 else small.transpose(2, 0, 1)
    if small is not None:
        return decode.fit(Image.fromarray(small), preprocess)
    return decode_unchanged(reader, path, digest, preprocess)


def _as_array(preprocess: Preprocess) -> tuple[int, ...]:
    """Return the shape of an image that needs no change, channels last."""
    size = (preprocess.height, preprocess.width)
    return size if preprocess.channels == 1 else (*size, 3)


def _permute_all(array: np.ndarray, seed: int | None) -> np.ndarray:
    """Permute the pixels a few thousand images at a time, to need no second array of the same size."""
    if seed is not None:
        for start in range(0, len(array), _CHUNK):
            array[start : start + _CHUNK] = permute(array[start : start + _CHUNK], seed)
    return array
