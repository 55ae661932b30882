"""Convolution by shifting: one matrix product for each tap of the kernel.

    y[n, :, p, q] = sum over i, j of  W[:, :, i, j] @ x_padded[n, :, p * s + i * d, q * s + j * d]

For a fixed tap (i, j) this is the same matrix W[:, :, i, j] of shape (O, C) applied to every pixel of an
image that is only *shifted* by (i, j): a slice. So kH * kW products of an (O, C) matrix with a (C, pixels)
matrix, added up, are the convolution. No patch is ever copied, and nothing is needed but slices, products
and sums: it runs on every array library (NumPy, CuPy, torch tensors, array-api-strict).

Backward, each line is the transpose of one above: the gradient of the shifted slice is W[:, :, i, j]^T @ dy,
added where the slice was taken (which, over all taps, is a full convolution of dy with the flipped kernel);
the gradient of W[:, :, i, j] is dy @ slice^T, summed over images and pixels.

Meant for: small kernels, and any array that is not NumPy's. Cost: the output is read and written kH * kW
times.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from striate.engine import blas
from striate.engine.algorithms.geometry import Geometry
from striate.engine.backend import Array, is_numpy, namespace, zeros

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
"""Largest difference from `loops`, relative to the largest value: the same products in another order."""


def refusal(geometry: Geometry) -> str | None:
    """Return why this algorithm does not serve `geometry`, or None: it serves all."""
    return None


def forward(x: Array, weight: Array, bias: Array | None, geometry: Geometry) -> Array:
    """Convolve x (N, C, H, W) with weight (O, C / groups, kH, kW), add bias (O,): return (N, O, H', W')."""
    with _one_thread(x):
        output = _output(x, weight, geometry)
    return output if bias is None else output + namespace(x).reshape(bias, (1, -1, 1, 1))


def backward(
    grad_output: Array, x: Array, weight: Array, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[Array | None, Array | None, Array | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    with _one_thread(x):
        grad_x = _input_gradient(grad_output, weight, geometry) if "x" in needs else None
        grad_weight = _weight_gradient(grad_output, x, geometry) if "weight" in needs else None
    grad_bias = namespace(x).sum(grad_output, axis=(0, 2, 3)) if "bias" in needs else None
    return grad_x, grad_weight, grad_bias


def _one_thread(x: Array) -> AbstractContextManager[None]:
    """Hold NumPy's BLAS to one thread: how many it has would show in the last digits."""
    return blas.one_thread() if is_numpy(x) else nullcontext()


def _output(x: Array, weight: Array, geometry: Geometry) -> Array:
    xp = namespace(x)
    padded = pad(x, geometry)
    total: Any = None
    for i in range(geometry.kernel[0]):
        for j in range(geometry.kernel[1]):
            tap, pixels = _tap(weight, i, j, geometry), _pixels(padded, i, j, geometry)
            product = xp.matmul(tap, pixels)  # (N, G, O/G, H'W')
            total = product if total is None else total + product
    return xp.reshape(total, geometry.out_shape)


def _input_gradient(grad_output: Array, weight: Array, geometry: Geometry) -> Array:
    xp = namespace(grad_output)
    N, C, H, W = geometry.in_shape
    rows = _rows(grad_output, geometry)
    grad_padded = zeros((N, C, *geometry.padded), grad_output)
    for i in range(geometry.kernel[0]):
        for j in range(geometry.kernel[1]):
            down, right = geometry.taps(i, j)
            tap = xp.matrix_transpose(_tap(weight, i, j, geometry))  # (G, C/G, O/G)
            part = xp.reshape(xp.matmul(tap, rows), (N, C, *geometry.out_size))
            grad_padded[:, :, down, right] = grad_padded[:, :, down, right] + part
    (top, _), (left, _) = geometry.padding
    return grad_padded[:, :, top : top + H, left : left + W]


def _weight_gradient(grad_output: Array, x: Array, geometry: Geometry) -> Array:
    xp = namespace(grad_output)
    padded, rows = pad(x, geometry), _rows(grad_output, geometry)
    grad_weight = zeros(geometry.weight_shape, grad_output)
    for i in range(geometry.kernel[0]):
        for j in range(geometry.kernel[1]):
            pixels = xp.matrix_transpose(_pixels(padded, i, j, geometry))  # (N, G, H'W', C/G)
            products = xp.sum(xp.matmul(rows, pixels), axis=0)  # (G, O/G, C/G)
            grad_weight[:, :, i, j] = xp.reshape(products, geometry.weight_shape[:2])
    return grad_weight


def pad(x: Array, geometry: Geometry) -> Array:
    """Return x (N, C, H, W) with its padding of zeros; x itself where there is none."""
    if geometry.padded == geometry.size:
        return x
    N, C, H, W = geometry.in_shape
    (top, _), (left, _) = geometry.padding
    padded = zeros((N, C, *geometry.padded), x)
    padded[:, :, top : top + H, left : left + W] = x
    return padded


def _tap(weight: Array, i: int, j: int, geometry: Geometry) -> Array:
    """The kernel's tap (i, j) as one matrix for each group, (G, O/G, C/G)."""
    groups = geometry.groups
    shape = (groups, geometry.out_channels // groups, geometry.in_channels // groups)
    return namespace(weight).reshape(weight[:, :, i, j], shape)


def _pixels(padded: Array, i: int, j: int, geometry: Geometry) -> Array:
    """The pixels that the tap (i, j) meets, (N, G, C/G, H'W')."""
    down, right = geometry.taps(i, j)
    return _rows(padded[:, :, down, right], geometry)


def _rows(images: Array, geometry: Geometry) -> Array:
    """(N, channels, H', W') as (N, G, channels/G, H'W')."""
    N, channels, height, width = images.shape
    shape = (N, geometry.groups, channels // geometry.groups, height * width)
    return namespace(images).reshape(images, shape)
