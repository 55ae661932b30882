"""Convolution with a 1x1 kernel: the image is its own matrix of patches.

Every pixel is a row of C numbers as it lies, and the convolution mixes channels and nothing else:

    Y (pixels, O) = X (pixels, C) @ W^T (C, O)

    dW = dY^T @ X,    dX = dY @ W

Nothing is copied on the way in. Images that lie channels first in memory are matrices too, seen transposed,
one for each image. With stride s only every s-th row and column takes part.

Meant for: 1x1 kernels. Source of their use: Lin, Chen and Yan, Network in network (2014).
"""

from __future__ import annotations

import numpy as np

from striate.engine.algorithms import blocks
from striate.engine.algorithms.geometry import Geometry

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
"""Largest difference from `loops`, relative to the largest value: the same products in another order."""

BLOCK_BYTES = 1 << 21
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
    kernels, x = np.ascontiguousarray(weight[:, :, 0, 0].T), _seen(x, geometry)
    output = blocks.channels_last(geometry.out_shape, x.dtype)

    def mix(lane: slice) -> None:
        for piece in _pieces(lane, geometry, x.itemsize):
            y, pixels = _matrices(output[piece], x[piece])
            np.matmul(pixels, kernels, out=y)
            if bias is not None:
                y += bias

    blocks.run(mix, blocks.lanes(geometry))
    return output


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    kernels, lanes = weight[:, :, 0, 0], blocks.lanes(geometry)
    grad_x = blocks.like(x, geometry.in_shape) if "x" in needs else None
    if grad_x is not None and geometry.stride != (1, 1):
        grad_x[...] = 0
    sums = np.zeros((len(lanes), *kernels.shape), x.dtype)
    bias_sums = np.zeros((len(lanes), len(kernels)), x.dtype)

    def mix(lane: slice) -> None:
        part = lanes.index(lane)
        for piece in _pieces(lane, geometry, x.itemsize):
            dy, pixels = _matrices(grad_output[piece], _seen(x, geometry)[piece])
            if "weight" in needs:
                sums[part] += np.matmul(dy.swapaxes(1, 2), pixels).sum(axis=0)
            if "bias" in needs:
                bias_sums[part] += dy.sum(axis=(0, 1))
            if grad_x is not None:
                _put(np.matmul(dy, kernels), _seen(grad_x, geometry)[piece])

    blocks.run(mix, lanes)
    grad_weight = sums.sum(axis=0).reshape(weight.shape) if "weight" in needs else None
    return grad_x, grad_weight, bias_sums.sum(axis=0) if "bias" in needs else None


def _seen(images: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The pixels that a stride does not leap over, (N, C, H', W')."""
    return images[:, :, :: geometry.stride[0], :: geometry.stride[1]]


def _matrices(*pieces: np.ndarray) -> list[np.ndarray]:
    """Pieces of images (n, channels, h, w) as rows, (1, n h w, channels) each if all lie channels last.

    Else as (n, h w, channels): images that lie channels first are matrices of their own, seen transposed.
    """
    pixels = [piece.transpose(0, 2, 3, 1) for piece in pieces]
    together = all(one.flags.c_contiguous for one in pixels)
    n = pieces[0].shape[0]
    return [one.reshape(1 if together else n, -1, one.shape[3]) for one in pixels]


def _put(rows: np.ndarray, target: np.ndarray) -> None:
    """Copy rows of pixels to images (n, channels, h, w)."""
    n, channels, height, width = target.shape
    target[...] = rows.reshape(n, height, width, channels).transpose(0, 3, 1, 2)


def _pieces(lane: slice, geometry: Geometry, itemsize: int) -> list[tuple[slice, slice, slice]]:
    """Cut a lane into what is multiplied at a time: (images, all channels, rows)."""
    row_bytes = (geometry.in_channels + geometry.out_channels) * geometry.out_size[1] * itemsize
    cut = blocks.pieces(lane, geometry.out_size[0], BLOCK_BYTES // row_bytes)
    return [(images, slice(None), rows) for images, strips in cut for rows in strips]
