"""Photos decoded once, at the size of the input, and kept on disk as uint8: each later epoch only copies.

An entry of the cache holds the images of one split, under a key of the content of each file and of how it is
decoded. It is mapped into memory, so that 20,000 photos need no more of it than a batch does.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from striate.cache import cache_folder
from striate.data import cache, decode
from striate.data.images import ArrayPixels, ImageSet, Pixels
from striate.data.parallel import Progress, each
from striate.schemas import Preprocess

MOST_BYTES = 8 * 2**30
"""A split that would take more disk is decoded in every epoch instead."""
STAGE = "decoding images once"
KIND = "kept"


def keep_pixels(
    images: ImageSet, digests: np.ndarray, preprocess: Preprocess, progress: Progress | None = None
) -> tuple[ImageSet, str]:
    """Return the images with their pixels from the cache, where they are put first if they are not there.

    Args:
        images: N of them; those in memory are returned as they are.
        digests: uint8 (N, 32), SHA-256 of each image's file.
        preprocess: what their pixels were prepared with.
        progress: called as `progress(stage, done, total)`.

    Returns:
        The images, and what to say where they cannot be kept; then they are those that were given.

    Raises:
        DataError: a file cannot be read any more; names it.
    """
    size = len(images) * int(np.prod(preprocess.input_shape))
    if images.pixels.in_memory or preprocess.permute_pixels is not None:
        return images, ""
    if size > MOST_BYTES:
        return images, (
            f"Images are decoded in every epoch: {len(images)} of them at this size would take "
            f"{size / 2**30:.0f} GB on disk."
        )
    key = cache.key_of(KIND, preprocess.decoding, digests.tobytes().hex())
    array = _mapped(key, len(images), preprocess)
    refusal = None
    if array is None:
        refusal = _decode_all(images.pixels, key, preprocess, progress)
        array = None if refusal else _mapped(key, len(images), preprocess)
    if array is None:
        return images, f"Images are decoded in every epoch. {refusal or ''}".strip()
    return replace(images, pixels=ArrayPixels(array)), ""


def _mapped(key: str, count: int, preprocess: Preprocess) -> np.ndarray | None:
    """Return uint8 (N, C, H, W), read only, if it is in the cache and whole."""
    entry = cache.load(KIND, key, mapped=True)
    array = None if entry is None else entry.get("images")
    fits = array is not None and array.shape == (count, *preprocess.input_shape)
    return array if fits else None


def _decode_all(pixels: Pixels, key: str, preprocess: Preprocess, progress: Progress | None) -> str | None:
    """Put all images into the cache; return why that cannot be done."""
    try:
        with cache.written(KIND, key) as folder:
            shape = (len(pixels), *preprocess.input_shape)
            file = folder / "images.npy"
            array = np.lib.format.open_memmap(file, "w+", np.uint8, shape)
            _reserve(file)

            def decode_row(row: int) -> None:
                array[row] = pixels.take(np.array([row]))[0]

            with decode.quiet():
                for _ in each(decode_row, range(len(pixels)), STAGE, progress):
                    pass
            array.flush()
        return None
    except OSError as error:
        return f"They cannot be kept in {cache_folder()}: {error.strerror or error}."


def _reserve(file: Path) -> None:
    """Take the room of a whole file on the disk: a full one would end the process as pixels are written.

    Raises:
        OSError: there is not so much room.
    """
    if hasattr(os, "posix_fallocate"):
        with open(file, "r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    elif shutil.disk_usage(file.parent).free < file.stat().st_size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
