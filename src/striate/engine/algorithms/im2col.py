"""Convolution as one matrix product: image to columns (im2col).

Write the patch under each output pixel as a column of K = C * kH * kW numbers; the columns of an image form a
matrix, and with the kernels as rows of another

    Y (O, H'W') = W (O, K) @ columns (K, H'W')

One large product runs at the machine's full speed, which pays for copying each input pixel up to kH * kW
times. The bias is the weight of one more row of columns, which is all ones. Backward:

    dW = dY @ columns^T      summed over images
    d columns = W^T @ dY     and each column's numbers are added where they came from (col2im)

Where patches overlap, a pixel's gradient is the *sum* over all columns it was copied to. The columns of a few
output rows at a time are made, so that they stay in a core's cache.

Meant for: every shape; among them the first layer's few channels, 1x1 kernels, and groups. Source: Chellapilla,
Puri and Simard, High performance convolutional neural networks for document processing (2006).
"""

from __future__ import annotations

import numpy as np

from striate.engine.algorithms import blocks
from striate.engine.algorithms.blocks import Scratch
from striate.engine.algorithms.geometry import Geometry

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
"""Largest difference from `loops`, relative to the largest value: the same products in another order."""

COLUMNS_BYTES = 1 << 19
"""Size of the columns made at a time."""


def refusal(geometry: Geometry) -> str | None:
    """Return why this algorithm does not serve `geometry`, or None: it serves all."""
    return None


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Convolve x (N, C, H, W) with weight (O, C / groups, kH, kW), add bias (O,): return (N, O, H', W')."""
    kernels = _kernels(weight, bias, geometry)
    output = np.empty(geometry.out_shape, x.dtype)

    def convolve(lane: slice) -> None:
        scratch = Scratch(x.dtype)
        for n in range(lane.start, lane.stop):
            padded = _pad(x[n], geometry, scratch)
            for rows in _strips(geometry, x.itemsize):
                columns = image_to_columns(padded, rows, geometry, scratch)
                np.matmul(kernels, columns, out=_pixels(output[n], rows, geometry))

    blocks.run(convolve, blocks.lanes(geometry.batch))
    return output


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    kernels = _kernels(weight, None, geometry)
    grad_x = np.empty(geometry.in_shape, x.dtype) if "x" in needs else None
    lanes = blocks.lanes(geometry.batch)
    groups, per_group, K = kernels.shape[0], kernels.shape[1], kernels.shape[2] - 1
    sums = np.zeros((len(lanes), groups, per_group, K + 1), x.dtype)

    def propagate(lane: slice) -> None:
        scratch, total = Scratch(x.dtype), sums[lanes.index(lane)]
        for n in range(lane.start, lane.stop):
            padded = _pad(x[n], geometry, scratch)
            grad_padded = scratch.take("grad", geometry.in_channels, *geometry.padded)
            grad_padded[...] = 0
            for rows in _strips(geometry, x.itemsize):
                dy = _pixels(grad_output[n], rows, geometry)
                if "weight" in needs or "bias" in needs:
                    columns = image_to_columns(padded, rows, geometry, scratch)
                    total += np.matmul(dy, columns.swapaxes(1, 2), out=scratch.take("dW", *total.shape))
                if grad_x is not None:
                    grad_columns = scratch.take("columns", groups, K, dy.shape[2])
                    np.matmul(kernels[:, :, :K].swapaxes(1, 2), dy, out=grad_columns)
                    columns_to_image(grad_columns, rows, grad_padded, geometry)
            if grad_x is not None:
                (top, _), (left, _), (H, W) = *geometry.padding, geometry.size
                grad_x[n] = grad_padded[:, top : top + H, left : left + W]

    blocks.run(propagate, lanes)
    total = sums.sum(axis=0)
    grad_weight = total[:, :, :K].reshape(weight.shape) if "weight" in needs else None
    return grad_x, grad_weight, total[:, :, K].reshape(-1) if "bias" in needs else None


def image_to_columns(padded: np.ndarray, rows: slice, geometry: Geometry, scratch: Scratch) -> np.ndarray:
    """Return the patches under some output rows of one padded image (C, H, W), and ones: (G, K + 1, pixels)."""
    groups, in_group = geometry.groups, geometry.in_channels // geometry.groups
    kernel_height, kernel_width = geometry.kernel
    height, width = rows.stop - rows.start, geometry.out_size[1]
    K = in_group * kernel_height * kernel_width
    columns = scratch.take("columns", groups, K + 1, height * width)
    columns[:, K] = 1
    taps = columns[:, :K].reshape(groups, in_group, kernel_height, kernel_width, height, width)
    images = padded.reshape(groups, in_group, *geometry.padded)
    for i in range(kernel_height):
        for j in range(kernel_width):
            down, right = _taps(i, j, rows, geometry)
            taps[:, :, i, j] = images[:, :, down, right]
    return columns


def columns_to_image(
    grad_columns: np.ndarray, rows: slice, grad_padded: np.ndarray, geometry: Geometry
) -> None:
    """Add grad_columns (G, K, pixels) to grad_padded (C, H, W), each number where it came from."""
    kernel_height, kernel_width = geometry.kernel
    shape = geometry.in_channels, kernel_height, kernel_width, rows.stop - rows.start, geometry.out_size[1]
    taps = grad_columns.reshape(shape)
    for i in range(kernel_height):
        for j in range(kernel_width):
            down, right = _taps(i, j, rows, geometry)
            grad_padded[:, down, right] += taps[:, i, j]


def _taps(i: int, j: int, rows: slice, geometry: Geometry) -> tuple[slice, slice]:
    """Where the tap (i, j) meets the padded image under some output rows."""
    down, right = geometry.taps(i, j)
    step = geometry.stride[0]
    start = down.start + rows.start * step
    return slice(start, start + (rows.stop - rows.start - 1) * step + 1, step), right


def _kernels(weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """The kernels as rows, with the bias (or 0) as their last number: (G, O/G, K + 1)."""
    groups, per_group = geometry.groups, geometry.out_channels // geometry.groups
    flat = weight.reshape(groups, per_group, -1)
    last = np.zeros(geometry.out_channels, weight.dtype) if bias is None else bias
    return np.concatenate([flat, last.reshape(groups, per_group, 1)], axis=2)


def _pixels(images: np.ndarray, rows: slice, geometry: Geometry) -> np.ndarray:
    """Some rows of an output (O, H', W') as (G, O/G, pixels)."""
    return images[:, rows].reshape(geometry.groups, geometry.out_channels // geometry.groups, -1)


def _pad(image: np.ndarray, geometry: Geometry, scratch: Scratch) -> np.ndarray:
    """One image (C, H, W) in its zeros."""
    if geometry.padded == geometry.size:
        return image
    (top, _), (left, _), (H, W) = *geometry.padding, geometry.size
    padded = scratch.take("padded", geometry.in_channels, *geometry.padded)
    padded[...] = 0
    padded[:, top : top + H, left : left + W] = image
    return padded


def _strips(geometry: Geometry, itemsize: int) -> list[slice]:
    """Cut the output's rows so that the columns of each piece fit a core's cache."""
    height, width = geometry.out_size
    row_bytes = (
        (geometry.in_channels * geometry.kernel[0] * geometry.kernel[1] + geometry.groups) * width * itemsize
    )
    count = -(-height // max(1, COLUMNS_BYTES // row_bytes))
    edges = [height * strip // count for strip in range(count + 1)]
    return [slice(start, stop) for start, stop in zip(edges, edges[1:], strict=False)]
