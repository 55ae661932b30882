"""Depth-wise convolution of small maps: the product of each channel with a Toeplitz matrix.

A convolution is linear in its input, so there is a matrix for it: from the pixels of some rows of a channel,
as a vector, to the outputs of some rows. Each column holds the kernel's taps at the pixels that this output
sees, and 0 elsewhere; along its diagonals the same tap comes again and again (a Toeplitz matrix; Goodfellow,
Bengio and Courville, Deep Learning, section 9.1). For each channel, with the images of a batch as rows,

    Y (N, r * W') = X (N, K) @ T (K, r * W'),    K = ((r - 1) * stride + reach) * W

    dT = X^T @ dY; a tap's gradient is the sum of its diagonal
    dX = dY @ T^T, added where strips of r rows overlap; at stride 1 the convolution of dY with turned kernels

Nothing is copied or padded: pixels of neighbouring rows are neighbours in memory, and what would meet padding
is left out of T. In return most products are with 0, which pays as long as rows are short.

Meant for: depth-wise layers on maps of some 30 pixels and fewer, batches of images.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from striate.engine.algorithms import blocks
from striate.engine.algorithms.blocks import Scratch
from striate.engine.algorithms.depthwise import TOLERANCE as TOLERANCE
from striate.engine.algorithms.depthwise import refusal as refusal
from striate.engine.algorithms.geometry import Geometry

OUTPUTS = 28
"""Of a strip of rows, at least: narrower products are slow."""

PLANE = 64
"""Outputs of a plane up to which it is one strip."""

CHUNK_BYTES = 1 << 19
"""Size of the matrices of the channels that are worked on together."""

Part = tuple[slice, slice, slice, slice]
"""Of a strip: its pixels and outputs on their planes; rows and columns of T that they belong to."""


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Convolve x (N, C, H, W) with weight (C, 1, kH, kW), add bias (C,): return (N, C, H', W')."""
    output = np.empty(geometry.out_shape, x.dtype)

    def convolve(channels: slice) -> None:
        T, pixels = _matrices(weight[channels], geometry), _planes(x, channels)
        y = _planes(output, channels)
        for seen, made, rows, columns in _strips(geometry):
            np.matmul(pixels[:, :, seen], T[:, rows, columns], out=y[:, :, made])
        if bias is not None:
            images = output[:, channels].reshape(len(x), -1)  # long rows: NumPy is slow on planes
            images += np.repeat(bias[channels], y.shape[2])

    blocks.run(convolve, _chunks(geometry, x.itemsize))
    return output


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    grad_x = None
    if "x" in needs and _turns(geometry):
        grad_x = forward(grad_output, weight[:, :, ::-1, ::-1], None, geometry.turned())
    elif "x" in needs:
        grad_x = np.zeros(geometry.in_shape, x.dtype)
    grad_weight = np.empty(weight.shape, x.dtype) if "weight" in needs else None
    grad_bias = np.empty(geometry.out_channels, x.dtype) if "bias" in needs else None

    def propagate(channels: slice) -> None:
        T, scratch = _matrices(weight[channels], geometry), Scratch(x.dtype)
        grad_T = np.zeros_like(T)
        pixels, dy = _planes(x, channels), _planes(grad_output, channels)
        for seen, made, rows, columns in _strips(geometry):
            slope, first = dy[:, :, made], made.start == 0
            if grad_weight is not None:
                left = pixels[:, :, seen].swapaxes(1, 2)
                _add_product(left, slope, grad_T[:, rows, columns], scratch, first)
            if grad_x is not None and not _turns(geometry):
                target = _planes(grad_x, channels)[:, :, seen]
                _add_product(slope, T[:, rows, columns].swapaxes(1, 2), target, scratch, first)
        if grad_weight is not None:
            grad_weight[channels] = _sum_diagonals(grad_T, geometry)
        if grad_bias is not None:
            grad_bias[channels] = (dy @ np.ones(dy.shape[2], dy.dtype)).sum(axis=1)

    blocks.run(propagate, _chunks(geometry, x.itemsize))
    return grad_x, grad_weight, grad_bias


def _add_product(
    left: np.ndarray, right: np.ndarray, target: np.ndarray, scratch: Scratch, first: bool
) -> None:
    """Add left @ right to target, channel by channel; the `first` one replaces what is there."""
    if first:
        np.matmul(left, right, out=target)
    else:
        target += np.matmul(left, right, out=scratch.take("product", *target.shape))


def _turns(geometry: Geometry) -> bool:
    """Tell whether the gradient of x is a convolution with padding on all sides, or none."""
    if geometry.stride != (1, 1):
        return False
    return min(min(sides) for sides in geometry.turned().padding) >= 0


def _rows_together(geometry: Geometry) -> int:
    """Output rows of a strip."""
    height, width = geometry.out_size
    return height if height * width <= PLANE else min(height, -(-OUTPUTS // width))


def _strips(geometry: Geometry) -> Iterator[Part]:
    """Yield, strip by strip, where it lies on the planes of x and y, and in T."""
    (height, width), (H, W), together = geometry.out_size, geometry.size, _rows_together(geometry)
    for first in range(0, height, together):
        last = min(first + together, height)
        top = first * geometry.stride[0] - geometry.padding[0][0]
        bottom = top + (last - 1 - first) * geometry.stride[0] + geometry.reach[0]
        start, stop = max(0, min(top, H)), max(0, min(bottom, H))
        seen, rows = slice(start * W, stop * W), slice((start - top) * W, (stop - top) * W)
        yield seen, slice(first * width, last * width), rows, slice(0, (last - first) * width)


def _matrices(weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return T of each channel of weight (c, 1, kH, kW): (c, K, r * W')."""
    padded = np.zeros(_shape(len(weight), geometry), weight.dtype)
    for i, j, diagonal in _diagonals(padded, geometry):
        diagonal[...] = weight[:, :, i, j, None]
    left, W = geometry.padding[1][0], geometry.size[1]
    return padded[:, :, left : left + W].reshape(len(weight), padded.shape[1] * W, -1)


def _sum_diagonals(grad_T: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return the gradient of the kernels (c, 1, kH, kW), given that of T (c, K, r * W')."""
    padded = np.zeros(_shape(len(grad_T), geometry), grad_T.dtype)
    (left, W), (_, rows, _, together, width) = (geometry.padding[1][0], geometry.size[1]), padded.shape
    padded[:, :, left : left + W] = grad_T.reshape(-1, rows, W, together, width)
    grad = np.empty((len(grad_T), 1, *geometry.kernel), grad_T.dtype)
    for i, j, diagonal in _diagonals(padded, geometry):
        grad[:, 0, i, j] = diagonal.sum(axis=(1, 2))
    return grad


def _shape(channels: int, geometry: Geometry) -> tuple[int, int, int, int, int]:
    """Shape (c, rows, columns, r, W') of the matrices of some channels, with columns for the padding."""
    together, (down, across) = _rows_together(geometry), geometry.stride
    rows = (together - 1) * down + geometry.reach[0]
    columns = max(geometry.padded[1], (geometry.out_size[1] - 1) * across + geometry.reach[1])
    return channels, rows, columns, together, geometry.out_size[1]


def _diagonals(padded: np.ndarray, geometry: Geometry) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield each tap (i, j) with a view (c, r, W') of the places where it stands in T, by output."""
    channel, row, column, down, across = padded.strides
    strides = channel, geometry.stride[0] * row + down, geometry.stride[1] * column + across
    for i in range(geometry.kernel[0]):
        for j in range(geometry.kernel[1]):
            offset = i * geometry.dilation[0] * row + j * geometry.dilation[1] * column
            shape = len(padded), *padded.shape[3:]
            yield i, j, np.ndarray(shape, padded.dtype, padded, offset, strides)


def _planes(images: np.ndarray, channels: slice) -> np.ndarray:
    """Return some channels of images (N, C, H, W) as (c, N, H * W): a view if they lie channels first."""
    some = images[:, channels]
    return some.reshape(*some.shape[:2], -1).swapaxes(0, 1)


def _chunks(geometry: Geometry, itemsize: int) -> list[slice]:
    """Cut the channels into chunks whose matrices fit a core's cache."""
    fitting = max(1, CHUNK_BYTES // (prod(_shape(1, geometry)) * itemsize))
    return blocks.strips(geometry.in_channels, fitting)
