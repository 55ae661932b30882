"""Convolution as one matrix product, channels last: image to rows.

The same idea as im2col, on pixels that lie in memory as (H, W, C). The patch under an output, or under m
neighbouring outputs of a row, is then a *row* of kH runs of neighbouring numbers, and

    Y (pixels / m, m * O) = rows (pixels / m, K) @ W (K, m * O),    K = kH * (m - 1 + kW) * C at stride 1

comes out channels-last too. For m > 1 W is a band (`banding`): fewer numbers are copied, in longer runs, and
some are multiplied by 0, which pays where channels are few. Backward, dW = rows^T @ dY; and the gradient of x
is

  * at stride 1 itself a convolution, of dY in zeros, with the kernels turned by half a turn and in and out
    exchanged. Then the rows are those of dY, and serve twice: dX = rows @ W', dW' = rows^T @ X;
  * where that would multiply many of these zeros, and at larger strides, one product dY @ W_ij^T for each tap
    (i, j) of the kernel, added where the tap's pixels came from, a row of pixels at a time.

Meant for: few channels, with m = 2 or 3; many channels where Winograd's algorithm does not serve (dilation,
large or oblong kernels) or has too few tiles to pay.
"""

from __future__ import annotations

import numpy as np

from striate.engine.algorithms import blocks
from striate.engine.algorithms.banding import Band
from striate.engine.algorithms.blocks import Scratch
from striate.engine.algorithms.geometry import Geometry
from striate.engine.algorithms.im2col import TOLERANCE as TOLERANCE
from striate.engine.algorithms.rows import ROWS_BYTES, image_to_rows, taps_to_image

COPYING = 10
"""Multiply-adds of a product in whose time one number is copied, about."""

ADDING = 80
"""Multiply-adds in whose time a tap's product is written, read again and added to where it came from."""

FANNING_OUT = 4
"""Output channels for each input channel, up to which rows of dY are not too long for both gradients."""

Gradients = tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]


def refusal(geometry: Geometry) -> str | None:
    """Return why this algorithm does not serve `geometry`, or None."""
    if geometry.groups != 1:
        return "groups must be 1"
    return None


def work(geometry: Geometry) -> float:
    """Return the multiply-adds of forward and backward, with the copies counted as such."""
    pixels = geometry.batch * geometry.out_size[0] * geometry.out_size[1]
    K = geometry.in_channels * geometry.kernel[0] * geometry.kernel[1]
    return 3 * pixels * K * (geometry.out_channels + COPYING)


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Convolve x (N, C, H, W) with weight (O, C, kH, kW), add bias (O,): return (N, O, H', W')."""
    band = Band.of(geometry)
    shift = np.zeros(len(weight), weight.dtype) if bias is None else bias
    kernels = np.concatenate([band.spread(weight), np.tile(shift, band.outputs)[None]])
    output = blocks.channels_last(geometry.out_shape, x.dtype)

    def convolve(lane: slice) -> None:
        for images, strip, rows in image_to_rows(x, lane, geometry, band, Scratch(x.dtype)):
            y = blocks.rows_in(output, images, strip)
            np.matmul(rows, kernels, out=y.reshape(-1, kernels.shape[1]))

    blocks.run(convolve, blocks.lanes(geometry))
    return output


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> Gradients:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    if "x" in needs and _turning_pays(geometry):
        return _turned(grad_output, x, weight, geometry, needs)
    band, lanes = Band.of(geometry), blocks.lanes(geometry)
    K, out = geometry.kernel[0] * band.span * geometry.in_channels, band.outputs * geometry.out_channels
    taps = np.ascontiguousarray(weight.transpose(2, 3, 0, 1)).reshape(-1, *weight.shape[:2])
    grad_x = blocks.like(x, geometry.in_shape) if "x" in needs else None
    sums = np.zeros((len(lanes), K + 1, out), x.dtype)

    def propagate(lane: slice) -> None:
        scratch, total = Scratch(x.dtype), sums[lanes.index(lane)]
        if grad_x is not None:
            _send_back(grad_output, taps, lane, geometry, grad_x, scratch)
        if "weight" in needs or "bias" in needs:
            for images, strip, rows in image_to_rows(x, lane, geometry, band, scratch):
                dy = blocks.rows_of(grad_output[images, :, strip], "dy", scratch).reshape(len(rows), -1)
                total += blocks.multiply(rows.T, dy, scratch.take("dW", *total.shape))

    blocks.run(propagate, lanes)
    total = sums.sum(axis=0)
    grad_weight = band.gather(total[:-1], geometry.weight_shape) if "weight" in needs else None
    grad_bias = total[-1].reshape(band.outputs, -1).sum(axis=0) if "bias" in needs else None
    return grad_x, grad_weight, grad_bias


def _send_back(
    grad_output: np.ndarray,
    taps: np.ndarray,
    lane: slice,
    geometry: Geometry,
    grad_x: np.ndarray,
    scratch: Scratch,
) -> None:
    """Fill a lane of grad_x (N, C, H, W) by one product with each of the kernel's taps (kH * kW, O, C)."""
    (height, width), (count, _, C) = geometry.out_size, taps.shape
    for images, strips in blocks.pieces(lane, height, ROWS_BYTES // (count * C * width * taps.itemsize)):
        for strip in strips:
            dy = blocks.rows_of(grad_output[images, :, strip], "dy", scratch)
            grad_taps = np.matmul(dy, taps, out=scratch.take("taps", count, len(dy), C))
            taps_to_image(grad_taps, grad_x[images], strip, geometry, scratch)


def _turning_pays(geometry: Geometry) -> bool:
    """Tell whether rows of dY, one for each pixel of x, cost less than rows of x, and taps added back."""
    (H, W), (height, width) = geometry.size, geometry.out_size
    seen, made = geometry.in_channels, geometry.out_channels
    if geometry.stride != (1, 1) or made > FANNING_OUT * seen:
        return False
    turned = H * W * made * (2 * seen + COPYING)  # for each of the kernel's taps
    added = height * width * seen * (2 * made + COPYING + ADDING)
    return turned < added


def _turned(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> Gradients:
    """Return the gradients at stride 1, those of x and weight both by rows of dY."""
    turned = geometry.turned()
    band, lanes = Band.of(turned), blocks.lanes(geometry)
    kernels = band.spread(weight[:, :, ::-1, ::-1].swapaxes(0, 1))
    grad_x = blocks.channels_last(geometry.in_shape, x.dtype)
    sums = np.zeros((len(lanes), *kernels.shape), x.dtype)
    bias_sums = np.zeros((len(lanes), geometry.out_channels), x.dtype)

    def propagate(lane: slice) -> None:
        scratch, number = Scratch(x.dtype), lanes.index(lane)
        total = sums[number]
        if "bias" in needs:
            bias_sums[number] = blocks.sum_pixels(grad_output[lane])
        for images, strip, padded_rows in image_to_rows(grad_output, lane, turned, band, scratch):
            rows = padded_rows[:, :-1]
            np.matmul(rows, kernels, out=blocks.rows_in(grad_x, images, strip).reshape(len(rows), -1))
            if "weight" in needs:
                pixels = blocks.rows_of(x[images, :, strip], "x", scratch).reshape(len(rows), -1)
                total += blocks.multiply(rows.T, pixels, scratch.take("dW", *total.shape))

    blocks.run(propagate, lanes)
    grad_weight = None
    if "weight" in needs:
        grad_turned = band.gather(sums.sum(axis=0), turned.weight_shape)
        grad_weight = np.ascontiguousarray(grad_turned.swapaxes(0, 1)[:, :, ::-1, ::-1])
    return grad_x, grad_weight, bias_sums.sum(axis=0) if "bias" in needs else None
