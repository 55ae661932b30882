"""Operations on each element by itself, in pieces that stay in a core's cache and on all threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from striate.engine import parallel
from striate.engine.backend import Array, is_numpy
from striate.engine.layout import arrange, in_memory_order

HANDING_OVER = 4
"""Pieces from which on it pays to wake other threads, which takes some 50 microseconds."""


def keep_where(values: np.ndarray, chosen: np.ndarray, out: np.ndarray) -> None:
    """Write `values` where `chosen`, else 0.

    The numbers' bits are multiplied by 1 or 0, as if they were whole numbers. An infinite number times 0
    would be NaN; and choosing number by number takes ten times as long.

    Args:
        values: float32 or float64, any shape.
        chosen: bool, of that shape.
        out: of that shape and dtype.
    """
    whole = f"i{values.itemsize}"
    np.multiply(values.view(whole), chosen, out=out.view(whole))


def elementwise(function: Callable[..., Array], *arrays: Array) -> Array:
    """Return `function(*arrays)`, computed piece by piece where the arrays are NumPy's and large.

    Args:
        function: acts on each element by itself and keeps shape and dtype.
        arrays: of one shape; the result has the dtype of the first.
    """
    first = arrays[0]
    if not is_numpy(*arrays):
        return function(*arrays)
    if first.nbytes <= parallel.PIECE_BYTES:
        return function(*arrange(*arrays))

    def write(*parts: np.ndarray) -> None:
        *inputs, out = parts
        out[...] = function(*inputs)

    return elementwise_into(write, *arrays)


def elementwise_into(function: Callable[..., object], *arrays: np.ndarray) -> np.ndarray:
    """Return a new array that `function(*arrays, out)` fills, piece by piece, all in one layout.

    A function of one or two steps is faster so than with `elementwise`, which copies each result.

    Args:
        function: acts on each element by itself; takes pieces of the arrays and of the result, all (n,).
        arrays: NumPy's, of one shape; the result has the dtype of the first.
    """
    arranged = arrange(*arrays)
    result = np.empty_like(arranged[0])
    flat = [in_memory_order(one) for one in (*arranged, result)]

    def apply(part: slice) -> None:
        function(*[one[part] for one in flat])

    parts = parallel.pieces(result.size, result.itemsize)
    parallel.run(apply, parts, least=HANDING_OVER)
    return result
