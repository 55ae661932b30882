"""Average pooling: the mean of every window."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from striate.engine.backend import (
    Array,
    Pair,
    check_float,
    check_shape,
    check_whole,
    from_numpy,
    is_numpy,
    zeros,
)
from striate.engine.functional.windows import Windows, as_images, as_maps, lay_windows
from striate.engine.parallel import pieces, run


def avg_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Return the mean of each window.

        y[p, q] = sum over i, j of x[p s + i - pad, q s + j - pad] / divisor[p, q]

    Padding counts as zeros. A sum over a rectangle is a sum over its rows of sums over its columns, which
    takes kH + kW steps instead of kH * kW.

    Args:
        x: (N, C, H, W) or (C, H, W).
        kernel_size: of a window.
        stride: from one window to the next; None for the window's size.
        padding: around the map, at most half of a window.
        ceil_mode: a last window may hang over the end; what hangs over beyond the padding is not counted.
        count_include_pad: divide by the window's size; else by how many of its elements are no padding.
        divisor_override: divide by this instead.

    Returns:
        (N, C, H', W') or (C, H', W'); see `lay_windows` for the sizes.
    """
    check_float(x=x)
    windows = lay_windows(x, kernel_size, stride, padding, 1, ceil_mode)
    factors = _factors(windows, count_include_pad, divisor_override, x)
    (maps,) = as_maps(x)
    y = _by_maps(lambda part: _sum_windows(part, windows) * factors, maps, windows.counts)
    return as_images(y, x.shape[:-2])


def avg_pool2d_backward(
    grad_output: Array,
    x: Array,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Return each window's gradient, divided as in the forward, given to all its elements and summed there.

    The output is linear in x: every element of a window has the slope 1 / divisor. The backward is the
    forward's transpose, so its steps come in the opposite order.

    Args:
        grad_output: of the output's shape.
        x: as in the forward; only its shape and layout count.
        kernel_size: as in the forward.
        stride: as in the forward.
        padding: as in the forward.
        ceil_mode: as in the forward.
        count_include_pad: as in the forward.
        divisor_override: as in the forward.
    """
    check_float(x=x, grad_output=grad_output)
    windows = lay_windows(x, kernel_size, stride, padding, 1, ceil_mode)
    check_shape("grad_output", grad_output, (*x.shape[:-2], *windows.counts))
    factors = _factors(windows, count_include_pad, divisor_override, x)
    (grads,) = as_maps(grad_output, like=x)
    grad_maps = _by_maps(lambda part: _spread(part * factors, windows), grads, windows.size)
    return as_images(grad_maps, x.shape[:-2])


def _by_maps(function: Callable[[Array], Array], maps: Array, size: tuple[int, int]) -> Array:
    """Return `function` of (P, ., ., D) maps, (P, *size, D): a few maps at a time where they are NumPy's."""
    if not is_numpy(maps):
        return function(maps)
    result = np.empty((len(maps), *size, maps.shape[3]), maps.dtype)

    def work(part: slice) -> None:
        result[part] = function(maps[part])

    run(work, pieces(len(maps), max(maps[:1].nbytes, result[:1].nbytes)))
    return result


def _sum_windows(maps: Array, windows: Windows) -> Array:
    """Return (P, H', W', D): the sum of each window of maps (P, H, W, D)."""
    padded = windows.pad(maps, 0.0)
    rows = [padded[:, windows.along(0, row), :, :] for row in range(windows.kernel[0])]
    tall = reduce(lambda total, row: total + row, rows)
    columns = [tall[:, :, windows.along(1, column), :] for column in range(windows.kernel[1])]
    return reduce(lambda total, column: total + column, columns)


def _spread(grads: Array, windows: Windows) -> Array:
    """Return (P, H, W, D): each of grads (P, H', W', D) added to all elements of its window."""
    height, width = windows.padded_size
    maps, depth = grads.shape[0], grads.shape[3]
    tall = zeros((maps, windows.counts[0], width, depth), grads)
    for column in range(windows.kernel[1]):
        tall[:, :, windows.along(1, column), :] += grads
    padded = zeros((maps, height, width, depth), grads)
    for row in range(windows.kernel[0]):
        padded[:, windows.along(0, row), :, :] += tall
    return padded[windows.body]


def _factors(windows: Windows, count_include_pad: bool, divisor_override: int | None, like: Array) -> Array:
    """Return one over the divisor of each window, (H', W', 1)."""
    if divisor_override is not None:
        if check_whole("divisor_override", divisor_override, minimum=-(2**62)) == 0:
            raise ValueError("divisor_override: expected a number other than 0, got 0")
        return from_numpy(np.full((*windows.counts, 1), 1 / divisor_override), like)
    heights, widths = (_lengths(windows, axis, count_include_pad) for axis in (0, 1))
    return from_numpy(1 / (heights[:, None, None] * widths[None, :, None]), like)


def _lengths(windows: Windows, axis: int, include_padding: bool) -> np.ndarray:
    """Return how many elements of each window count along one axis."""
    length, padding = windows.size[axis], windows.padding[axis]
    start = windows.starts(axis)
    end = np.minimum(start + windows.kernel[axis], length + padding)
    if not include_padding:
        start, end = np.maximum(start, 0), np.minimum(end, length)
    lengths: np.ndarray = end - start
    return lengths.astype(np.float64)
