"""Batch normalisation's sums and products on NumPy arrays, a piece at a time and on all threads.

The formulas are those of `normalization`. x is seen as rows of its memory, long enough that NumPy's loops
run at full speed, and what belongs to the channels is spread along a row. Sums within a piece are taken in
x's own precision, sums over pieces in float64, and always in the same order, so that results repeat to the
bit.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from striate.engine import blas, parallel
from striate.engine.layout import arrange, is_channels_last, pixels_of
from striate.engine.parallel import run

if TYPE_CHECKING:
    from striate.engine.functional.normalization import Statistics

LONG = 64
"""Positions of a channel that are neighbours in memory, from which on each channel is a row by itself."""

ROW = 8192
"""Numbers of a row that holds all channels of some pixels, at most (or one pixel); short rows are slow."""


NEAR_ZERO = 16.0
"""How many times its variance a channel's squared mean may be for the mean square to tell the variance: some
four of its 24 binary digits are lost then."""


class Rows(NamedTuple):
    """How an array (N, C, ...) is seen as (rows, A, B), a view of its memory.

    Attributes:
        shape: (rows, A, B). A is C and B the positions of an image; or A is 1, and B numbers hold all
            channels.
        channels: C.
        last: whether neighbours in memory belong to different channels.
    """

    shape: tuple[int, int, int]
    channels: int
    last: bool

    def of(self, x: np.ndarray) -> np.ndarray:
        """Return x (N, C, ...) as (rows, A, B)."""
        return (pixels_of(x) if is_channels_last(x) else x).reshape(self.shape)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return values (C,) as (A, B) or (A, 1), to stand beside every row."""
        if self.shape[1] == self.channels:
            return values[:, None]
        times = self.shape[2] // self.channels
        return (np.tile(values, times) if self.last else np.repeat(values, times))[None]

    def sums(self, block: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
        """Sum block (rows, A, B), or its products with `other`, over each channel: (C,), float64."""
        if self.shape[1] == self.channels:
            by_image = block.sum(axis=2) if other is None else np.einsum("rab,rab->ra", block, other)
            return np.asarray(by_image.sum(axis=0, dtype=np.float64))
        if other is None:  # a product: BLAS reads a row at a time, as NumPy's sum does, but faster
            row = np.dot(np.ones(len(block), block.dtype), block[:, 0])
        else:
            row = np.einsum("rb,rb->b", block[:, 0], other[:, 0])
        if self.last:
            return np.asarray(row.reshape(-1, self.channels).sum(axis=0, dtype=np.float64))
        return np.asarray(row.reshape(self.channels, -1).sum(axis=1, dtype=np.float64))

    def guess(self, block: np.ndarray) -> np.ndarray:
        """Return the mean of each channel over an eighth of block (rows, A, B), or over more: (C,)."""
        some = block[::8]
        return np.asarray((self.sums(some) / self.count(slice(0, len(some)))).astype(block.dtype))

    def pieces(self, itemsize: int) -> list[slice]:
        """Cut the rows into pieces."""
        return parallel.pieces(self.shape[0], self.shape[1] * self.shape[2] * itemsize)

    def count(self, part: slice) -> int:
        """Return how many values of each channel lie in some rows."""
        rows = int(part.stop - part.start)
        return rows * self.shape[1] * self.shape[2] // self.channels


def rows_of(x: np.ndarray) -> Rows:
    """Return how x (N, C) or (N, C, ...), in a layout of `arrange`, is best seen."""
    batch, channels, positions = len(x), x.shape[1], prod(x.shape[2:])
    if is_channels_last(x) or x.ndim == 2:
        pixels = batch * positions
        at_most = max(1, min(pixels, ROW // max(1, channels)))
        together = next(count for count in range(at_most, 0, -1) if pixels % count == 0)
        return Rows((pixels // together, 1, together * channels), channels, last=True)
    if positions >= LONG:
        return Rows((batch, channels, positions), channels, last=False)
    return Rows((batch, 1, channels * positions), channels, last=False)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of each channel of x (N, C, ...), both (C,), in one pass over memory.

    The variance is the mean square less the squared mean. Where a channel's mean is far from 0, their first
    digits are the same and cancel: its deviations are summed instead, see `careful_moments`.
    """
    (x,) = arrange(x)
    rows = rows_of(x)
    numbers, parts = rows.of(x), rows.pieces(x.itemsize)
    sums, squares = (np.empty((len(parts), rows.channels)) for _ in range(2))

    def work(part: slice) -> None:
        place, block = parts.index(part), numbers[part]
        sums[place] = rows.sums(block)
        squares[place] = rows.sums(block, block)

    with np.errstate(over="ignore", invalid="ignore"):  # the careful way warns of what cannot be computed
        _run(work, parts)
        n = max(1, x.size // rows.channels)
        mean = sums.sum(axis=0) / n
        variance = squares.sum(axis=0) / n - mean**2
        near = (mean**2 <= NEAR_ZERO * variance) & (variance < np.inf)  # squares may overflow
    if not (near | (squares == 0).all(axis=0)).all():
        return careful_moments(x)
    return mean.astype(x.dtype), variance.astype(x.dtype)


def careful_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what `moments` returns, wherever the means are.

    Each piece gives, per channel, a mean m_i of n_i values and a sum of squared deviations s_i. With the mean
    m of all, the whole sum is sum(s_i) + sum(n_i (m_i - m)^2): exact, and safe where the mean is far larger
    than the deviation (Chan, Golub & LeVeque 1983, eq. 2.1). Within a piece, deviations d are taken from the
    mean of a part of it, so that m_i = guess + mean(d) and s_i = sum(d^2) - n_i mean(d)^2. As the part is an
    eighth or more, n_i mean(d)^2 is at most 7 s_i, however it differs from the rest: no digits are lost.
    """
    (x,) = arrange(x)
    rows = rows_of(x)
    numbers, parts = rows.of(x), rows.pieces(x.itemsize)
    counts = np.array([[rows.count(part)] for part in parts])
    means, squares = (np.empty((len(parts), rows.channels)) for _ in range(2))

    def work(part: slice) -> None:
        place, block, count = parts.index(part), numbers[part], rows.count(part)
        guess = rows.guess(block)
        deviation = block - rows.spread(guess)
        off = rows.sums(deviation) / count
        means[place] = guess + off
        squares[place] = np.maximum(rows.sums(deviation, deviation) - count * off**2, 0)  # rounding

    _run(work, parts)
    n = counts.sum()
    mean = (counts * means).sum(axis=0) / n
    total = (squares + counts * (means - mean) ** 2).sum(axis=0)
    return mean.astype(x.dtype), (total / n).astype(x.dtype)


def normalize(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Return (x - mean) * scale + bias, each (C,), in the shape and layout of x: x * scale + a constant."""
    (x,) = arrange(x)
    y, rows = np.empty_like(x), rows_of(x)
    numbers, results = rows.of(x), rows.of(y)
    factor = rows.spread(scale)
    constant = rows.spread(-mean * scale if bias is None else bias - mean * scale)

    def work(part: slice) -> None:
        np.multiply(numbers[part], factor, out=results[part])
        results[part] += constant

    run(work, rows.pieces(x.itemsize))
    return y


def gradient_sums(grad: np.ndarray, x: np.ndarray, saved: Statistics) -> tuple[np.ndarray, np.ndarray]:
    """Return sum(grad) and sum(grad * z) over each channel, both (C,), z being the normalised x."""
    grad, x = arrange(grad, x)
    rows = rows_of(x)
    numbers, grads, parts = rows.of(x), rows.of(grad), rows.pieces(x.itemsize)
    sums, products = (np.empty((len(parts), rows.channels)) for _ in range(2))
    far = bool(((saved.mean * saved.inverse_deviation) ** 2 > NEAR_ZERO).any())
    centre = rows.spread(saved.mean)

    def work(part: slice) -> None:
        place = parts.index(part)
        sums[place] = rows.sums(grads[part])
        products[place] = rows.sums(numbers[part] - centre if far else numbers[part], grads[part])

    _run(work, parts)
    total = sums.sum(axis=0)
    product = products.sum(axis=0) - (0 if far else saved.mean * total)
    return total.astype(x.dtype), (product * saved.inverse_deviation).astype(x.dtype)


def gradient_of_x(
    grad: np.ndarray,
    x: np.ndarray,
    saved: Statistics,
    scale: np.ndarray,
    grad_bias: np.ndarray,
    grad_weight: np.ndarray,
) -> np.ndarray:
    """Return scale * (grad - grad_bias / n - z * grad_weight / n) in the shape and layout of x."""
    grad, x = arrange(grad, x)
    grad_x, rows = np.empty_like(x), rows_of(x)
    numbers, grads, results = rows.of(x), rows.of(grad), rows.of(grad_x)
    n = max(1, x.size // rows.channels)
    factor = rows.spread(scale)
    steep = saved.inverse_deviation * grad_weight / n
    slope, constant = rows.spread(-steep), rows.spread(steep * saved.mean - grad_bias / n)

    def work(part: slice) -> None:
        out = results[part]
        np.multiply(numbers[part], slope, out=out)
        out += constant
        out += grads[part]
        out *= factor

    run(work, rows.pieces(x.itemsize))
    return grad_x


def _run(work: Callable[[slice], None], parts: list[slice]) -> None:
    """Call `work` on all parts, spread over the threads, each with a BLAS of one thread."""
    with blas.one_thread():
        run(work, parts)
