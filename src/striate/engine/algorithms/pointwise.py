"""Convolution with a 1x1 kernel: the image is its own matrix of columns.

Every pixel is a column of C numbers as it lies, and the convolution mixes channels and nothing else:

    Y (O, pixels) = W (O, C) @ X (C, pixels)

    dW = dY @ X^T,    dX = W^T @ dY

A large image is multiplied where it lies. Small ones are put side by side first, a few at a time, because a
product with few columns runs slower than the copy takes. With stride s only every s-th row and column takes
part.

Meant for: 1x1 kernels. Source of their use: Lin, Chen and Yan, Network in network (2014).
"""

from __future__ import annotations

import numpy as np

from striate.engine.algorithms import blocks
from striate.engine.algorithms.blocks import Scratch
from striate.engine.algorithms.geometry import Geometry

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
"""Largest difference from `loops`, relative to the largest value: the same products in another order."""

BLOCK_BYTES = 1 << 20
"""Size of the pixels multiplied at a time, in and out."""


def refusal(geometry: Geometry) -> str | None:
    """Return why this algorithm does not serve `geometry`, or None."""
    if geometry.kernel != (1, 1) or geometry.groups != 1:
        return f"the kernel must be 1x1, without groups, not {geometry.kernel} in {geometry.groups} groups"
    if geometry.padded != geometry.size:
        return "there must be no padding"
    return None


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Convolve x (N, C, H, W) with weight (O, C, 1, 1), add bias (O,): return (N, O, H', W')."""
    kernels, x = weight[:, :, 0, 0], _seen(x, geometry)
    output = blocks.like(x, geometry.out_shape)

    def mix(lane: slice) -> None:
        scratch = Scratch(x.dtype)
        for piece in _pieces(lane, geometry, x.itemsize):
            columns = _columns(x[piece], "x", scratch)
            y = scratch.roomy("y", len(kernels), columns.shape[1])
            np.matmul(kernels, columns, out=y)
            _put(output[piece], y, bias)

    blocks.run(mix, blocks.lanes(geometry.batch))
    return output


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    kernels, lanes = weight[:, :, 0, 0], blocks.lanes(geometry.batch)
    grad_x = blocks.like(x, geometry.in_shape) if "x" in needs else None
    if grad_x is not None and geometry.stride != (1, 1):
        grad_x[...] = 0
    sums = np.zeros((len(lanes), *kernels.shape), x.dtype)
    bias_sums = np.zeros((len(lanes), len(kernels)), x.dtype)

    def mix(lane: slice) -> None:
        scratch, part = Scratch(x.dtype), lanes.index(lane)
        for piece in _pieces(lane, geometry, x.itemsize):
            dy = _columns(grad_output[piece], "y", scratch)
            if "weight" in needs:
                columns = _columns(_seen(x, geometry)[piece], "x", scratch)
                sums[part] += np.matmul(dy, columns.T, out=scratch.take("dW", *kernels.shape))
            if "bias" in needs:
                bias_sums[part] += dy @ np.ones(dy.shape[1], dy.dtype)
            if grad_x is not None:
                dx = scratch.roomy("x", kernels.shape[1], dy.shape[1])
                np.matmul(kernels.T, dy, out=dx)
                _put(_seen(grad_x, geometry)[piece], dx, None)

    blocks.run(mix, lanes)
    grad_weight = sums.sum(axis=0).reshape(weight.shape) if "weight" in needs else None
    return grad_x, grad_weight, bias_sums.sum(axis=0) if "bias" in needs else None


def _seen(images: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The pixels that a stride does not leap over, (N, C, H', W')."""
    return images[:, :, :: geometry.stride[0], :: geometry.stride[1]]


def _columns(images: np.ndarray, name: str, scratch: Scratch) -> np.ndarray:
    """Images (n, channels, h, w) as (channels, pixels): one image where it lies, several side by side."""
    n, channels, height, width = images.shape
    if n == 1:
        return images.reshape(channels, height * width)
    columns = scratch.roomy(name, channels, n * height * width)
    columns.reshape(channels, n, height, width)[...] = images.swapaxes(0, 1)
    return columns


def _put(images: np.ndarray, columns: np.ndarray, bias: np.ndarray | None) -> None:
    """Copy (channels, pixels) to images (n, channels, h, w), adding bias (channels,) on the way."""
    n, channels, height, width = images.shape
    apart = columns.reshape(channels, n, height, width).swapaxes(0, 1)
    np.add(apart, 0 if bias is None else bias[:, None, None], out=images)


def _pieces(lane: slice, geometry: Geometry, itemsize: int) -> list[tuple[slice, slice, slice]]:
    """Cut a lane into what is multiplied at a time: (images, all channels, rows)."""
    row_bytes = (geometry.in_channels + geometry.out_channels) * geometry.out_size[1] * itemsize
    cut = blocks.pieces(lane, geometry.out_size[0], BLOCK_BYTES // row_bytes)
    return [(images, slice(None), rows) for images, strips in cut for rows in strips]
