"""Convolution pixel by pixel: one matrix product for each output pixel.

Under the output pixel (p, q) lies the same window in every image of the batch. Write each image's window as a
row of K = C * kH * kW numbers, and the kernels as rows too; then

    Y[:, :, p, q] (N, O) = windows (N, K) @ W^T (K, O)

Of seven loops two are left, over p and q; the other five are inside the product. Backward, at each pixel,
with dy = dY[:, :, p, q] of shape (N, O):

    dW         += dy^T @ windows
    dx[window] += dy @ W

Every pixel has its say in every weight, and where windows overlap, a pixel's gradient is a *sum* over them.

Meant for: reading, as the step between the definition and im2col, which does all pixels in one product. It
is how a convolution is often written when it is first written in NumPy. Cost: H' * W' small products, and as
many strided copies, which take most of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from striate.engine import blas
from striate.engine.algorithms.geometry import Geometry
from striate.engine.algorithms.shifted import pad

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
"""Largest difference from `loops`, relative to the largest value: the same products in another order."""


def refusal(geometry: Geometry) -> str | None:
    """Return why this algorithm does not serve `geometry`, or None: it serves all."""
    return None


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Convolve x (N, C, H, W) with weight (O, C / groups, kH, kW), add bias (O,): return (N, O, H', W')."""
    padded, kernels = pad(x, geometry), _kernels(weight, geometry)
    output = np.empty(geometry.out_shape, x.dtype)
    with blas.one_thread():
        for p, q, window in _windows(geometry):
            products = _rows(padded[window], geometry) @ kernels.swapaxes(1, 2)  # (G, N, O/G)
            output[:, :, p, q] = products.swapaxes(0, 1).reshape(geometry.batch, geometry.out_channels)
    return output if bias is None else output + bias[:, None, None]


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    padded, kernels = pad(x, geometry), _kernels(weight, geometry)
    grad_padded = np.zeros(padded.shape, x.dtype)
    grad_kernels = np.zeros_like(kernels)
    with blas.one_thread():
        for p, q, window in _windows(geometry):
            dy = _rows(grad_output[:, :, p, q], geometry)  # (G, N, O/G)
            if "weight" in needs:
                grad_kernels += dy.swapaxes(1, 2) @ _rows(padded[window], geometry)
            if "x" in needs:
                part = (dy @ kernels).swapaxes(0, 1)  # (N, G, K)
                grad_padded[window] += part.reshape(grad_padded[window].shape)
    (top, _), (left, _), (H, W) = *geometry.padding, geometry.size
    grad_x = grad_padded[:, :, top : top + H, left : left + W] if "x" in needs else None
    grad_weight = grad_kernels.reshape(weight.shape) if "weight" in needs else None
    return grad_x, grad_weight, grad_output.sum(axis=(0, 2, 3)) if "bias" in needs else None


def _windows(geometry: Geometry) -> Iterator[tuple[int, int, tuple[slice, slice, slice, slice]]]:
    """Yield each output pixel (p, q), and where its window lies in the padded images."""
    everything, (reach_down, reach_right) = slice(None), geometry.reach
    for p, q in np.ndindex(geometry.out_size):
        top, left = p * geometry.stride[0], q * geometry.stride[1]
        down = slice(top, top + reach_down, geometry.dilation[0])
        yield p, q, (everything, everything, down, slice(left, left + reach_right, geometry.dilation[1]))


def _kernels(weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The kernels of each group as rows, (G, O/G, K)."""
    return weight.reshape(geometry.groups, geometry.out_channels // geometry.groups, -1)


def _rows(pixels: np.ndarray, geometry: Geometry) -> np.ndarray:
    """What (N, channels, ...) holds of each image and group as a row: (G, N, numbers)."""
    numbers = prod(pixels.shape[1:]) // geometry.groups
    return pixels.reshape(geometry.batch, geometry.groups, numbers).swapaxes(0, 1)
