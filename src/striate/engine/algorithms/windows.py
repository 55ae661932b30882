"""Convolution as one sum of products over windows: a strided view and a tensor product.

A window at every pixel is an array of six dimensions, but none of its numbers is new: the step from one
window to the next is the step from one pixel to the next. So a *view* with other strides shows all windows,

    windows[n, c, p, q, i, j] = x_padded[n, c, p * s + i * d, q * s + j * d]     (N, C, H', W', kH, kW)

without a copy, and the definition can be written down as it is, each line one call of NumPy's `tensordot`:

    y[n, o, p, q]  = sum over c, i, j of  windows[n, c, p, q, i, j] * W[o, c, i, j]
    dW[o, c, i, j] = sum over n, p, q of  windows[n, c, p, q, i, j] * dy[n, o, p, q]

And the input's gradient is a convolution again: put s - 1 zeros between the pixels of dy and reach - 1 around
them, exchange the kernels' in and out, and turn them by 180 degrees (a *full*, or transposed, convolution).

Meant for: writing a convolution in a few lines. Cost: `tensordot` copies the windows that it is shown into a
matrix before it multiplies: im2col after all, of an eighth of the batch at a time, which no cache holds.
Source of the last: Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016), section 4.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from striate.engine.algorithms import blocks
from striate.engine.algorithms.geometry import Geometry
from striate.engine.algorithms.shifted import pad

Two = tuple[int, int]
"""Down and right."""

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
"""Largest difference from `loops`, relative to the largest value: the same products in another order."""


def refusal(geometry: Geometry) -> str | None:
    """Return why this algorithm does not serve `geometry`, or None: it serves all."""
    return None


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Convolve x (N, C, H, W) with weight (O, C / groups, kH, kW), add bias (O,): return (N, O, H', W')."""
    windows = _windows(pad(x, geometry), geometry.reach, geometry.stride, geometry.dilation)
    output = _correlate(windows, weight, geometry.groups)
    return output if bias is None else output + bias[:, None, None]


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    grad_x = _input_gradient(grad_output, weight, geometry) if "x" in needs else None
    grad_weight = _weight_gradient(grad_output, x, geometry) if "weight" in needs else None
    return grad_x, grad_weight, grad_output.sum(axis=(0, 2, 3)) if "bias" in needs else None


def _input_gradient(grad_output: np.ndarray, weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    reach_down, reach_right = geometry.reach
    N, out, (height, width) = geometry.batch, geometry.out_channels, geometry.padded
    spread = np.zeros((N, out, height + reach_down - 1, width + reach_right - 1), weight.dtype)
    rows, columns = (
        slice(reach - 1, reach + step * (count - 1), step)
        for reach, step, count in zip(geometry.reach, geometry.stride, geometry.out_size, strict=True)
    )
    spread[:, :, rows, columns] = grad_output
    turned = weight[:, :, ::-1, ::-1].reshape(geometry.groups, -1, *geometry.weight_shape[1:])
    exchanged = turned.swapaxes(1, 2).reshape(geometry.in_channels, -1, *geometry.kernel)
    windows = _windows(spread, geometry.reach, (1, 1), geometry.dilation)
    (top, _), (left, _), (H, W) = *geometry.padding, geometry.size
    return _correlate(windows[:, :, top : top + H, left : left + W], exchanged, geometry.groups)


def _weight_gradient(grad_output: np.ndarray, x: np.ndarray, geometry: Geometry) -> np.ndarray:
    windows = _windows(pad(x, geometry), geometry.reach, geometry.stride, geometry.dilation)
    lanes, groups = blocks.share(geometry.batch), geometry.groups
    sums = np.zeros(
        (len(lanes), groups, geometry.out_channels // groups, *geometry.weight_shape[1:]), x.dtype
    )

    def correlate(lane: slice) -> None:
        for g, seen, made in _channels(groups, geometry.in_channels, geometry.out_channels):
            pixels = [0, 2, 3]
            product = np.tensordot(grad_output[lane, made], windows[lane, seen], axes=(pixels, pixels))
            sums[lanes.index(lane), g] = product

    blocks.run(correlate, lanes)
    total: np.ndarray = sums.sum(axis=0)
    return total.reshape(geometry.weight_shape)


def _windows(padded: np.ndarray, reach: Two, stride: Two, dilation: Two) -> np.ndarray:
    """All windows of padded (N, C, H, W), as a view: (N, C, H', W', kH, kW)."""
    windows = sliding_window_view(padded, reach, axis=(2, 3))
    return windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def _correlate(windows: np.ndarray, kernels: np.ndarray, groups: int) -> np.ndarray:
    """The sum of products of windows (N, C, H', W', kH, kW) with kernels (O, C/G, kH, kW): (N, O, H', W')."""
    (N, C, height, width), out = windows.shape[:4], len(kernels)
    output = np.empty((N, out, height, width), kernels.dtype)

    def correlate(lane: slice) -> None:
        for _, seen, made in _channels(groups, C, out):
            product = np.tensordot(windows[lane, seen], kernels[made], axes=([1, 4, 5], [1, 2, 3]))
            output[lane, made] = np.moveaxis(product, 3, 1)

    blocks.run(correlate, blocks.share(N))
    return output


def _channels(groups: int, in_channels: int, out_channels: int) -> Iterator[tuple[int, slice, slice]]:
    """Yield each group with the input channels that it sees and the output channels that it makes."""
    seen, made = in_channels // groups, out_channels // groups
    for g in range(groups):
        yield g, slice(g * seen, (g + 1) * seen), slice(g * made, (g + 1) * made)
