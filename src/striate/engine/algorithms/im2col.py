"""Convolution as one matrix product: image to columns (im2col).

Write the patch under each output pixel as a column of C * kH * kW numbers; the columns of an image form a
matrix, and with the kernels as rows of another

    Y (O, H'W') = W (O, C kH kW) @ columns (C kH kW, H'W')

One large product runs at the machine's full speed, which pays for copying each input pixel up to kH * kW
times. Backward:

    dW = dY @ columns^T      summed over images
    d columns = W^T @ dY     and each column's numbers are added where they came from (col2im)

Where patches overlap, a pixel's gradient is the *sum* over all columns it was copied to.

Source: Chellapilla, Puri and Simard, High performance convolutional neural networks for document processing
(2006).
"""

from __future__ import annotations

import numpy as np

from striate.engine.algorithms.geometry import Geometry
from striate.engine.algorithms.shifted import pad

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
"""Largest difference from `loops`, relative to the largest value: the same products in another order."""


def refusal(geometry: Geometry) -> str | None:
    """Return why this algorithm does not serve `geometry`, or None: it serves all."""
    return None


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Convolve x (N, C, H, W) with weight (O, C / groups, kH, kW), add bias (O,): return (N, O, H', W')."""
    kernels = weight.reshape(geometry.groups, geometry.out_channels // geometry.groups, -1)
    padded = pad(x, geometry)
    output = np.empty(geometry.out_shape, x.dtype)
    for n in range(geometry.batch):
        columns = image_to_columns(padded[n], geometry)
        product = kernels @ columns  # (G, O/G, H'W')
        output[n] = product.reshape(output[n].shape)
        if bias is not None:
            output[n] += bias[:, None, None]
    return output


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    G, per_group = geometry.groups, geometry.out_channels // geometry.groups
    kernels = weight.reshape(G, per_group, -1)
    padded = pad(x, geometry)
    grad_x = np.empty_like(x) if "x" in needs else None
    grad_kernels = np.zeros_like(kernels) if "weight" in needs else None
    for n in range(geometry.batch):
        rows = grad_output[n].reshape(G, per_group, -1)
        if grad_kernels is not None:
            grad_kernels += rows @ image_to_columns(padded[n], geometry).swapaxes(1, 2)
        if grad_x is not None:
            columns_to_image(kernels.swapaxes(1, 2) @ rows, grad_x[n], geometry)
    grad_weight = None if grad_kernels is None else grad_kernels.reshape(weight.shape)
    return grad_x, grad_weight, grad_output.sum((0, 2, 3)) if "bias" in needs else None


def image_to_columns(padded: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return the patches of one padded image (C, H, W) as columns (G, C/G * kH * kW, H'W')."""
    C, (kernel_height, kernel_width) = geometry.in_channels, geometry.kernel
    columns = np.empty((C, kernel_height, kernel_width, *geometry.out_size), padded.dtype)
    for i in range(kernel_height):
        for j in range(kernel_width):
            down, right = geometry.taps(i, j)
            columns[:, i, j] = padded[:, down, right]
    return columns.reshape(geometry.groups, C // geometry.groups * kernel_height * kernel_width, -1)


def columns_to_image(grad_columns: np.ndarray, grad_image: np.ndarray, geometry: Geometry) -> None:
    """Add up the gradients of all columns where their numbers came from; write grad_image (C, H, W)."""
    C, (kernel_height, kernel_width) = geometry.in_channels, geometry.kernel
    taps = grad_columns.reshape(C, kernel_height, kernel_width, *geometry.out_size)
    grad_padded = np.zeros((C, *geometry.padded), grad_columns.dtype)
    for i in range(kernel_height):
        for j in range(kernel_width):
            down, right = geometry.taps(i, j)
            grad_padded[:, down, right] += taps[:, i, j]
    (top, _), (left, _) = geometry.padding
    height, width = geometry.size
    grad_image[:] = grad_padded[:, top : top + height, left : left + width]
