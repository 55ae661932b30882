"""How images lie in memory: channels first, or channels last.

The shape is always (N, C, H, W). An array that is *channels-last* is a transposed view of (N, H, W, C): all
channels of a pixel are neighbours in memory, as the fastest convolutions put them out. Every other operation
works in either layout and puts out the layout that came in, as in torch, so that nothing is rearranged on the
way through a network. Arrays that are neither are copied into channels first.
"""

from __future__ import annotations

from math import prod

import numpy as np

from striate.engine.parallel import pieces, run


def is_channels_last(x: np.ndarray) -> bool:
    """Tell whether x (N, C, ...) lies channels-last in memory; where both are true, it is channels first."""
    return x.ndim > 2 and not x.flags.c_contiguous and pixels_of(x).flags.c_contiguous


def pixels_of(x: np.ndarray) -> np.ndarray:
    """Return x (N, C, ...) seen as (N, ..., C)."""
    return x.transpose(0, *range(2, x.ndim), 1)


def images_of(pixels: np.ndarray) -> np.ndarray:
    """Return pixels (N, ..., C) seen as (N, C, ...)."""
    return pixels.transpose(0, pixels.ndim - 1, *range(1, pixels.ndim - 1))


def arrange(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return arrays of one shape in one layout: channels-last if one of them is, else channels first.

    Only those that lie otherwise are copied.
    """
    last = any(is_channels_last(array) for array in arrays)
    return tuple(_in_layout(array, last) for array in arrays)


def in_memory_order(x: np.ndarray) -> np.ndarray:
    """Return all numbers of an `arrange`d array in the order of its memory, (numbers,), as a view."""
    return (pixels_of(x) if is_channels_last(x) else x).reshape(-1)


def _in_layout(x: np.ndarray, last: bool) -> np.ndarray:
    if (pixels_of(x) if last else x).flags.c_contiguous:
        return x
    copy = (
        images_of(np.empty((x.shape[0], *x.shape[2:], x.shape[1]), x.dtype))
        if last
        else np.empty(x.shape, x.dtype)
    )
    if x.ndim < 2:
        copy[...] = x
        return copy

    def rearrange(part: slice) -> None:
        copy[part] = x[part]

    run(rearrange, pieces(len(x), prod(x.shape[1:]) * x.itemsize))
    return copy
