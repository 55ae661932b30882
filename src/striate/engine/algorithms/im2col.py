"""Convolution as one matrix product: image to columns (im2col).

Write the patch under each output pixel as a column of K = C * kH * kW numbers; the columns of all pixels
form a matrix, and with the kernels as rows of another

    Y (O, pixels) = W (O, K) @ columns (K, pixels)

(computed transposed, Y^T = columns^T @ W^T, so that the channels of a pixel come out side by side; a last 1
in each column meets the bias). One large product runs at the machine's full speed, which pays for copying
each input pixel up to kH * kW times. Backward:

    dW = dY @ columns^T
    d columns = W^T @ dY     where each column's numbers are added where they came from (col2im)

Where patches overlap, a pixel's gradient is the *sum* over all columns it was copied to. The columns of a
few images, or of a few output rows, are made at a time, so that they stay in a core's cache.

Meant for: every shape; among them the first layer's few channels, and groups. Source:
Chellapilla, Puri and Simard, High performance convolutional neural networks for document processing (2006).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from striate.engine.algorithms import blocks
from striate.engine.algorithms.blocks import Scratch
from striate.engine.algorithms.geometry import Geometry

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
"""Largest difference from `loops`, relative to the largest value: the same products in another order."""

BLOCK_BYTES = 1 << 22
"""Size of the columns made at a time, with the outputs that belong to them."""


def refusal(geometry: Geometry) -> str | None:
    """Return why this algorithm does not serve `geometry`, or None: it serves all."""
    return None


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Convolve x (N, C, H, W) with weight (O, C / groups, kH, kW), add bias (O,): return (N, O, H', W')."""
    kernels = _kernels(weight, bias, geometry)
    output = blocks.channels_last(geometry.out_shape, x.dtype)

    def convolve(lane: slice) -> None:
        scratch = Scratch(x.dtype)
        for images, strips in _blocks(lane, geometry, x.itemsize):
            padded = _pad(x[images], geometry, scratch)
            for strip in strips:
                columns = image_to_columns(padded, strip, geometry, scratch)
                y = _by_group(blocks.rows_in(output, images, strip), geometry)
                np.matmul(columns.swapaxes(1, 2), kernels.swapaxes(1, 2), out=y)

    blocks.run(convolve, blocks.lanes(geometry))
    return output


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    kernels, lanes = _kernels(weight, None, geometry), blocks.lanes(geometry)
    grad_x = blocks.like(x, geometry.in_shape) if "x" in needs else None
    groups, per_group, K1 = kernels.shape  # K + 1
    sums = np.zeros((len(lanes), groups, K1, per_group), x.dtype)

    def propagate(lane: slice) -> None:
        scratch, part = Scratch(x.dtype), lanes.index(lane)
        for images, strips in _blocks(lane, geometry, x.itemsize):
            padded = _pad(x[images], geometry, scratch)
            if grad_x is not None:
                grad_padded = scratch.take("grad", *padded.shape)
                grad_padded[...] = 0
            for strip in strips:
                rows = blocks.rows_of(grad_output[images, :, strip], "dy", scratch)
                dy = _by_group(rows, geometry)
                if "weight" in needs or "bias" in needs:
                    columns = image_to_columns(padded, strip, geometry, scratch)
                    sums[part] += blocks.multiply(columns, dy, scratch.take("dW", groups, K1, per_group))
                if grad_x is not None:
                    grad_columns = scratch.roomy("columns", groups, K1 - 1, len(rows))
                    np.matmul(kernels[:, :, :-1].swapaxes(1, 2), dy.swapaxes(1, 2), out=grad_columns)
                    columns_to_image(grad_columns, strip, grad_padded, geometry)
            if grad_x is not None:
                (top, _), (left, _), (H, W) = *geometry.padding, geometry.size
                grad_x[images] = grad_padded[:, :, top : top + H, left : left + W].swapaxes(0, 1)

    blocks.run(propagate, lanes)
    total = sums.sum(axis=0)
    grad_weight = total[:, :-1].swapaxes(1, 2).reshape(weight.shape) if "weight" in needs else None
    return grad_x, grad_weight, total[:, -1].reshape(-1) if "bias" in needs else None


def image_to_columns(padded: np.ndarray, rows: slice, geometry: Geometry, scratch: Scratch) -> np.ndarray:
    """Return the patches, and ones, under output rows of padded images (C, n, H, W): (G, K + 1, pixels)."""
    groups, in_group = geometry.groups, geometry.in_channels // geometry.groups
    n, height, width = padded.shape[1], rows.stop - rows.start, geometry.out_size[1]
    K = in_group * geometry.kernel[0] * geometry.kernel[1]
    columns = scratch.roomy("columns", groups, K + 1, n * height * width)
    columns[:, K] = 1
    taps = columns[:, :K].reshape(groups, in_group, *geometry.kernel, n, height, width)
    channel, image, row, pixel = padded.strides
    (down, right), (spread_down, spread_right) = geometry.stride, geometry.dilation
    steps = row * spread_down, pixel * spread_right, image, row * down, pixel * right
    taps[...] = as_strided(
        padded[:, :, rows.start * down :], taps.shape, (in_group * channel, channel, *steps), writeable=False
    )
    return columns


def columns_to_image(
    grad_columns: np.ndarray, rows: slice, grad_padded: np.ndarray, geometry: Geometry
) -> None:
    """Add grad_columns (G, K, pixels) to grad_padded (C, n, H, W), each number where it came from."""
    groups, in_group = geometry.groups, geometry.in_channels // geometry.groups
    n, height, width = grad_padded.shape[1], rows.stop - rows.start, geometry.out_size[1]
    taps = grad_columns.reshape((groups, in_group, *geometry.kernel, n, height, width))
    images = grad_padded.reshape(groups, in_group, n, *geometry.padded)
    for i in range(geometry.kernel[0]):
        for j in range(geometry.kernel[1]):
            down, right = _taps(i, j, rows, geometry)
            images[:, :, :, down, right] += taps[:, :, i, j]


def _taps(i: int, j: int, rows: slice, geometry: Geometry) -> tuple[slice, slice]:
    """Where the tap (i, j) meets the padded image under some output rows."""
    down, right = geometry.taps(i, j)
    step = geometry.stride[0]
    start = down.start + rows.start * step
    return slice(start, start + (rows.stop - rows.start - 1) * step + 1, step), right


def _kernels(weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """The kernels as rows, with the bias (or 0) as their last number: (G, O/G, K + 1)."""
    kernels = np.zeros((len(weight), weight[0].size + 1), weight.dtype)
    kernels[:, :-1] = weight.reshape(len(weight), -1)
    if bias is not None:
        kernels[:, -1] = bias
    return kernels.reshape(geometry.groups, -1, kernels.shape[1])


def _pad(images: np.ndarray, geometry: Geometry, scratch: Scratch) -> np.ndarray:
    """Images (n, C, H, W) in their zeros, channels first: (C, n, H, W)."""
    if geometry.padded == geometry.size:
        return images.swapaxes(0, 1)
    (top, _), (left, _), (H, W) = *geometry.padding, geometry.size
    padded = scratch.take("padded", geometry.in_channels, len(images), *geometry.padded)
    padded[...] = 0
    padded[:, :, top : top + H, left : left + W] = images.swapaxes(0, 1)
    return padded


def _by_group(rows: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Pixels as rows (pixels, O), seen as (G, pixels, O/G)."""
    return rows.reshape(len(rows), geometry.groups, -1).swapaxes(0, 1)


def _blocks(lane: slice, geometry: Geometry, itemsize: int) -> list[tuple[slice, list[slice]]]:
    """Cut a lane into images worked on together, each with the output rows to be done at a time."""
    height, width = geometry.out_size
    taps = geometry.in_channels * geometry.kernel[0] * geometry.kernel[1]
    row_bytes = (taps + geometry.out_channels) * width * itemsize
    return blocks.pieces(lane, height, BLOCK_BYTES // row_bytes)
