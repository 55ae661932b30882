"""Convolution as one matrix product, channels last: image to rows.

The same idea as im2col, on pixels that lie in memory as (H, W, C). A patch is then a *row* of kH runs of
kW * C neighbouring numbers, copied a run at a time however large the stride is, and

    Y (pixels, O) = rows (pixels, K) @ W (K, O),    K = kH * kW * C

comes out channels-last too. Backward dW = rows^T @ dY, and d rows = dY @ W^T is added where it came from, a
pixel's C numbers at a time.

Meant for: many channels where Winograd's algorithm does not serve (dilation, large or oblong kernels) or
has too few tiles to pay, at stride 2 above all, where im2col would pick single numbers.
"""

from __future__ import annotations

import numpy as np

from striate.engine.algorithms import blocks
from striate.engine.algorithms.blocks import Scratch
from striate.engine.algorithms.geometry import Geometry
from striate.engine.algorithms.im2col import TOLERANCE as TOLERANCE

ROWS_BYTES = 1 << 21
"""Size of the rows made at a time."""


def refusal(geometry: Geometry) -> str | None:
    """Return why this algorithm does not serve `geometry`, or None."""
    if geometry.groups != 1:
        return "groups must be 1"
    return None


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Convolve x (N, C, H, W) with weight (O, C, kH, kW), add bias (O,): return (N, O, H', W')."""
    kernels = _kernels(weight, bias)
    output = blocks.channels_last(geometry.out_shape, x.dtype)

    def convolve(lane: slice) -> None:
        scratch = Scratch(x.dtype)
        for images, strips in _blocks(lane, geometry, x.itemsize):
            piece = _load_padded(x[images], geometry, scratch)
            for strip in strips:
                rows = image_to_rows(piece, strip, geometry, scratch)
                np.matmul(rows, kernels, out=blocks.rows_in(output, images, strip))

    blocks.run(convolve, blocks.lanes(geometry.batch))
    return output


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    kernels = _kernels(weight, None)
    grad_x = blocks.like(x, geometry.in_shape) if "x" in needs else None
    lanes = blocks.lanes(geometry.batch)
    sums = np.zeros((len(lanes), *kernels.shape), x.dtype)
    (top, _), (left, _), (H, W) = *geometry.padding, geometry.size

    def propagate(lane: slice) -> None:
        scratch, total = Scratch(x.dtype), sums[lanes.index(lane)]
        for images, strips in _blocks(lane, geometry, x.itemsize):
            piece = _load_padded(x[images], geometry, scratch)
            grad_piece = scratch.take("grad", *piece.shape)
            grad_piece[...] = 0
            for strip in strips:
                dy = blocks.rows_of(grad_output[images, :, strip], "dy", scratch)
                if "weight" in needs or "bias" in needs:
                    rows = image_to_rows(piece, strip, geometry, scratch)
                    total += np.matmul(rows.T, dy, out=scratch.take("dW", *total.shape))
                if grad_x is not None:
                    grad_rows = scratch.take("rows", len(dy), len(kernels) - 1)
                    rows_to_image(np.matmul(dy, kernels[:-1].T, out=grad_rows), strip, grad_piece, geometry)
            if grad_x is not None:
                grad_x[images] = grad_piece[:, top : top + H, left : left + W].transpose(0, 3, 1, 2)

    blocks.run(propagate, lanes)
    total = sums.sum(axis=0)
    grad_weight = None
    if "weight" in needs:
        taps = total[:-1].reshape(*geometry.kernel, geometry.in_channels, -1)
        grad_weight = np.ascontiguousarray(taps.transpose(3, 2, 0, 1))
    return grad_x, grad_weight, total[-1] if "bias" in needs else None


def image_to_rows(piece: np.ndarray, strip: slice, geometry: Geometry, scratch: Scratch) -> np.ndarray:
    """Return the patches under some output rows of padded images (n, H, W, C), and ones: (pixels, K + 1)."""
    n, C = piece.shape[0], piece.shape[3]
    (height, width), (kernel_height, kernel_width) = (
        (strip.stop - strip.start, geometry.out_size[1]),
        geometry.kernel,
    )
    (down, right), (spread_down, spread_right) = geometry.stride, geometry.dilation
    image, row, pixel, item = piece.strides
    patches = np.ndarray(
        (n, height, width, kernel_height, kernel_width, C),
        piece.dtype,
        buffer=piece,
        offset=strip.start * down * row,
        strides=(image, row * down, pixel * right, row * spread_down, pixel * spread_right, item),
    )
    K = kernel_height * kernel_width * C
    rows = scratch.take("rows", n * height * width, blocks.pitch(K + 1))
    rows[:, K] = 1
    rows[:, :K].reshape(patches.shape)[...] = patches
    return rows[:, : K + 1]


def rows_to_image(grad_rows: np.ndarray, strip: slice, grad_piece: np.ndarray, geometry: Geometry) -> None:
    """Add grad_rows (pixels, K) to grad_piece (n, H, W, C), each number where it came from."""
    kernel_height, kernel_width = geometry.kernel
    n, C = grad_piece.shape[0], grad_piece.shape[3]
    taps = grad_rows.reshape(n, -1, geometry.out_size[1], kernel_height, kernel_width, C)
    step = geometry.stride[0]
    for i in range(kernel_height):
        for j in range(kernel_width):
            start = i * geometry.dilation[0] + strip.start * step
            down = slice(start, start + (taps.shape[1] - 1) * step + 1, step)
            grad_piece[:, down, geometry.taps(i, j)[1]] += taps[:, :, :, i, j]


def _kernels(weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """The kernels as columns, with the bias (or 0) as their last number: (K + 1, O)."""
    kernels = np.empty((weight[0].size + 1, len(weight)), weight.dtype)
    kernels[:-1] = weight.transpose(2, 3, 1, 0).reshape(-1, len(weight))
    kernels[-1] = 0 if bias is None else bias
    return kernels


def _load_padded(images: np.ndarray, geometry: Geometry, scratch: Scratch) -> np.ndarray:
    """Images (n, C, H, W) in their zeros, channels last."""
    (top, _), (left, _) = geometry.padding
    piece = scratch.take("piece", len(images), *geometry.padded, geometry.in_channels)
    blocks.load(images, piece, top, left, scratch)
    return piece


def _blocks(lane: slice, geometry: Geometry, itemsize: int) -> list[tuple[slice, list[slice]]]:
    """Cut a lane into images worked on together, each with the output rows to be done at a time."""
    height, width = geometry.out_size
    row_bytes = geometry.in_channels * geometry.kernel[0] * geometry.kernel[1] * width * itemsize
    fitting = max(1, ROWS_BYTES // row_bytes)  # output rows
    together = max(1, fitting // height)
    strips = blocks.strips(height, fitting)
    starts = range(lane.start, lane.stop, together)
    return [(slice(start, min(start + together, lane.stop)), strips) for start in starts]
