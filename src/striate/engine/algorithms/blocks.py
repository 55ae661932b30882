"""What the blocked algorithms share: pieces of images in a core's own cache.

Images lie in memory as (N, C, H, W). Inside a block the channels may come last, (n, h, w, C): then all
channels of a pixel are neighbours, a patch is a few long runs, and matrix products need no rearrangement.
`load` brings a piece of images into that form with its padding. Arrays that are channels-last in memory
already (a transposed view of (N, H, W, C)) pass through at the speed of a plain copy. Outputs lie channels
last, whatever the input does: that is how products of pixels with kernels come out.

The batch is cut into lanes, by shape alone; threads take lanes as they come. A lane adds up its own part of
the weight gradient, and the lanes' parts are added in their order: the same bits, however many threads there
are.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod

import numpy as np

from striate.engine import blas, parallel
from striate.engine.algorithms.geometry import Geometry

LANES = 8
"""Parts of a batch that threads can take, at most."""

LANE_MULTIPLY_ADDS = 1 << 22
"""Of a part, at least, if there are more than two: a fraction of a millisecond."""

LANE_PIXELS = 1 << 9
"""Output pixels of a part, likewise: with fewer, adding up a weight gradient costs more than computing it."""


LOCKED_BELOW = 500
"""Numbers of a result under which `np.matmul` keeps Python's lock, however long it takes: threads wait."""

COLLIDING = 8
"""Channels from which on their distances in memory matter: a cache holds so many lines of one distance."""


class Scratch:
    """Arrays that a lane uses again for every block, so that they stay in the cache."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self._arrays: dict[str, np.ndarray] = {}

    def take(self, name: str, *shape: int) -> np.ndarray:
        """Return an array of `shape` with any content; the one of this name before is overwritten."""
        size = prod(shape)
        if name not in self._arrays or self._arrays[name].size < size:
            self._arrays[name] = np.empty(size, self.dtype)
        return self._arrays[name][:size].reshape(shape)

    def framed(self, value: float, name: str, *shape: int) -> np.ndarray:
        """Return an array full of `value` at first; what has been written to one of this name stays in it."""
        if name not in self._arrays or self._arrays[name].shape != shape:
            self._arrays[name] = np.full(shape, value, self.dtype)
        return self._arrays[name]

    def roomy(self, name: str, *shape: int) -> np.ndarray:
        """Return such an array whose rows lie at distances that do not collide in the cache."""
        return self.take(name, *shape[:-1], pitch(shape[-1]))[..., : shape[-1]]


def lanes(geometry: Geometry) -> list[slice]:
    """Cut a batch into slices of almost equal length, fewer where there is little to compute."""
    pixels = geometry.batch * geometry.out_size[0] * geometry.out_size[1]
    worth = min(geometry.multiply_adds // LANE_MULTIPLY_ADDS, pixels // LANE_PIXELS)
    return share(geometry.batch, min(LANES, max(2, worth)))


def share(length: int, count: int = LANES) -> list[slice]:
    """Cut `length` things into at most `count` slices of almost equal length."""
    return _cut(length, min(count, length))


def strips(length: int, fitting: int) -> list[slice]:
    """Cut `length` rows into slices of almost equal length, none longer than `fitting`."""
    return _cut(length, -(-length // fitting))


def pieces(lane: slice, height: int, fitting: int) -> list[tuple[slice, list[slice]]]:
    """Cut a lane into images worked on together, each with the strips of rows to be done at a time.

    Args:
        lane: images of the batch.
        height: rows of an image.
        fitting: rows, of all images together, that may be done at a time; 1 where it is less.

    Returns:
        Several images with all rows in one strip, or single images in several strips.
    """
    together, rows = max(1, fitting // height), strips(height, max(1, fitting))
    starts = range(lane.start, lane.stop, together)
    return [(slice(start, min(start + together, lane.stop)), rows) for start in starts]


def _cut(length: int, count: int) -> list[slice]:
    edges = [length * part // max(1, count) for part in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def run(work: Callable[[slice], None], parts: list[slice]) -> None:
    """Call `work` on all parts, spread over the threads, each with a BLAS of one thread."""
    with blas.one_thread():
        parallel.run(work, parts)


def load(source: np.ndarray, target: np.ndarray, top: int, left: int, scratch: Scratch) -> None:
    """Copy a piece of images into the middle of zeros, channels last.

    Args:
        source: (n, C, h, w), any strides.
        target: (n, H, W, C), overwritten.
        top: rows of zeros above the piece in `target`; negative where the piece begins above it.
        left: columns of zeros to the left, likewise.
        scratch: for a rearranged copy.
    """
    height, width = source.shape[2:]
    target[:, : max(0, top)] = 0
    target[:, max(0, top + height) :] = 0
    target[:, :, : max(0, left)] = 0
    target[:, :, max(0, left + width) :] = 0
    load_inside(source, target, top, left, scratch)


def load_inside(source: np.ndarray, target: np.ndarray, top: int, left: int, scratch: Scratch) -> None:
    """Do what `load` does, leaving alone what lies around the piece."""
    height, width = target.shape[1:3]
    source = source[:, :, max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
    target = target[:, max(0, top) : max(0, top) + source.shape[2]]
    target = target[:, :, max(0, left) : max(0, left) + source.shape[3]]
    if source.strides[1] != source.itemsize and source.shape[1] >= COLLIDING:
        source = _spread(source, scratch)
    target[...] = source.transpose(0, 2, 3, 1)


def _spread(source: np.ndarray, scratch: Scratch) -> np.ndarray:
    """Copy (n, C, h, w) so that its channels lie at distances which do not collide in the cache."""
    n, C, h, w = source.shape
    roomy = scratch.take("spread", n, C, pitch(h * w))[:, :, : h * w].reshape(n, C, h, w)
    roomy[...] = source
    return roomy


def pitch(length: int) -> int:
    """Return the next length that is an odd number of cache lines: rows of it lie spread over a cache."""
    return ((length + 15) // 16 | 1) * 16


def like(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return an empty (N, C, H, W) array, channels-last in memory where x is."""
    if x.strides[1] == x.itemsize and x.shape[1] > 1 and not x.flags.c_contiguous:
        return channels_last(shape, x.dtype)
    return np.empty(shape, x.dtype)


def channels_last(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an empty (N, C, H, W) array, channels last in memory, as products of pixels come out."""
    N, C, H, W = shape
    return np.empty((N, H, W, C), dtype).transpose(0, 3, 1, 2)


def rows_in(images: np.ndarray, some: slice, strip: slice) -> np.ndarray:
    """Return a view of a piece of channels-last images, cut by `pieces`, as rows (pixels, C)."""
    pixels = images.transpose(0, 2, 3, 1)[some, strip]
    assert pixels.flags.c_contiguous
    return pixels.reshape(-1, images.shape[1])


def rows_of(images: np.ndarray, name: str, scratch: Scratch) -> np.ndarray:
    """Return images (n, C, h, w) as rows (pixels, C): where they lie if channels last, else a copy."""
    pixels = images.transpose(0, 2, 3, 1)
    if not pixels.flags.c_contiguous:
        pixels = scratch.take(name, *pixels.shape)
        load(images, pixels, 0, 0, scratch)
    return pixels.reshape(-1, images.shape[1])


def multiply(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Return left @ right in `out`, (rows, columns) or a stack of such, other threads going on meanwhile."""
    if out.size >= LOCKED_BELOW:
        return np.matmul(left, right, out=out)
    if out.ndim == 2:
        return np.dot(left, right, out=out)
    for a, b, product in zip(left, right, out, strict=True):
        np.dot(a, b, out=product)
    return out


def sum_pixels(images: np.ndarray) -> np.ndarray:
    """Sum (n, C, h, w) over images and pixels: (C,)."""
    total = np.empty(images.shape[1], images.dtype)
    pixels = images.transpose(0, 2, 3, 1)
    if pixels.flags.c_contiguous:  # a product: NumPy's sum would make a loop of every pixel
        rows = pixels.reshape(-1, images.shape[1])
        np.matmul(np.ones(len(rows), rows.dtype), rows, out=total)
    else:
        images.sum(axis=(0, 2, 3), out=total)
    return total
