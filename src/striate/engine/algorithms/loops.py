"""Convolution as it is defined: seven nested loops.

    y[n, o, p, q] = bias[o] + sum over c, i, j of  weight[o, c, i, j] * x[n, c, u, v]
    u = p * stride + i * dilation - top,  v = q * stride + j * dilation - left

with x taken as zero outside the image. The kernel is not flipped: what networks call convolution is
*cross-correlation*. A group of output channels sees only its own group of input channels.

Backward, the same loops: y depends on weight[o, c, i, j] with factor x[...] and on x[...] with factor
weight[o, c, i, j], so each meeting of a weight and a pixel adds `dy * pixel` to the weight's gradient and
`dy * weight` to the pixel's. Every other algorithm is compared with this one.

Meant for: reading, and checking others. It refuses what would take more than a few seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from striate.engine.algorithms.geometry import Geometry

TOLERANCE = {"float32": 0.0, "float64": 0.0}
"""It is what the others are measured by."""

LARGEST = 2_000_000
"""Multiplications that Python loops do in a second or two."""


def refusal(geometry: Geometry) -> str | None:
    """Return why this algorithm does not serve `geometry`, or None."""
    if geometry.multiply_adds > LARGEST:
        return f"Python loops over {geometry.multiply_adds:,} products take too long (at most {LARGEST:,})"
    return None


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Convolve x (N, C, H, W) with weight (O, C / groups, kH, kW), add bias (O,): return (N, O, H', W')."""
    output: np.ndarray = np.zeros(geometry.out_shape, x.dtype)
    if bias is not None:
        output += bias[:, None, None]
    for out, pixel, tap in _meetings(geometry):
        output[out] += weight[tap] * x[pixel]
    return output


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    grad_x: Any = np.zeros(geometry.in_shape, x.dtype)
    grad_weight: Any = np.zeros(geometry.weight_shape, x.dtype)
    grad_bias: Any = np.zeros(geometry.out_channels, x.dtype)
    for out, pixel, tap in _meetings(geometry):
        grad_x[pixel] += grad_output[out] * weight[tap]
        grad_weight[tap] += grad_output[out] * x[pixel]
    for n, o, p, q in np.ndindex(geometry.out_shape):
        grad_bias[o] += grad_output[n, o, p, q]
    if "x" not in needs:
        grad_x = None
    if "weight" not in needs:
        grad_weight = None
    if "bias" not in needs:
        grad_bias = None
    return grad_x, grad_weight, grad_bias


Index = tuple[int, int, int, int]


def _meetings(geometry: Geometry) -> Iterator[tuple[Index, Index, Index]]:
    """Yield the indices (output pixel, input pixel, weight) of every product, but those with the padding."""
    (height, width), (out_height, out_width) = geometry.size, geometry.out_size
    (kernel_height, kernel_width), (top, left) = (
        geometry.kernel,
        (geometry.padding[0][0], geometry.padding[1][0]),
    )
    (down, right), (spread_down, spread_right) = geometry.stride, geometry.dilation
    in_group = geometry.in_channels // geometry.groups
    out_group = geometry.out_channels // geometry.groups
    for n in range(geometry.batch):
        for o in range(geometry.out_channels):
            first = o // out_group * in_group  # the first input channel that this output channel sees
            for p in range(out_height):
                for q in range(out_width):
                    for c in range(in_group):
                        for i in range(kernel_height):
                            y = p * down + i * spread_down - top
                            for j in range(kernel_width):
                                x = q * right + j * spread_right - left
                                if 0 <= y < height and 0 <= x < width:
                                    yield (n, o, p, q), (n, first + c, y, x), (o, c, i, j)
