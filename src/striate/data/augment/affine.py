"""Rotation, scaling, shear and translation of a batch, a matrix an image, in one resampling."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn import functional


def inverse_matrices(
    *,
    angle: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    shear_x: ArrayLike = 0.0,
    shear_y: ArrayLike = 0.0,
    translate_x: ArrayLike = 0.0,
    translate_y: ArrayLike = 0.0,
    centre: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Return matrices that say, for each target position, where in the source image to look.

    Target = translation * rotation * scale * shear in y * shear in x of the source, as in torchvision's
    `affine`, whose signs these are: positive angles turn clockwise. Arguments are broadcast to (B,).

    Args:
        angle: degrees.
        scale: greater than 0.
        shear_x: degrees.
        shear_y: degrees.
        translate_x: pixels to the right.
        translate_y: pixels down.
        centre: (x, y) of the fixed point, in pixels from the image's centre.

    Returns:
        float64 (B, 2, 3), in pixels from the image's centre, x before y.
    """
    angle, shear_x, shear_y = (
        np.radians(np.asarray(value, np.float64)) for value in (angle, shear_x, shear_y)
    )
    a = np.cos(angle - shear_y) / np.cos(shear_y)
    b = -(a * np.tan(shear_x) + np.sin(angle))
    c = np.sin(angle - shear_y) / np.cos(shear_y)
    d = np.cos(angle) - c * np.tan(shear_x)
    x, y = centre
    right, down = x + np.asarray(translate_x), y + np.asarray(translate_y)
    rows = (
        (
            d / scale,
            -b / scale,
            x - (d * right - b * down) / scale,
        ),  # the determinant of [[a, b], [c, d]] is 1
        (-c / scale, a / scale, y - (a * down - c * right) / scale),
    )
    entries = np.broadcast_arrays(*np.atleast_1d(*rows[0], *rows[1]))
    return np.stack(entries, axis=-1).reshape(-1, 2, 3)


def warp(
    images: torch.Tensor,
    matrices: np.ndarray,
    *,
    mode: Literal["bilinear", "nearest"],
    outside: Literal["zeros", "reflection", "border"],
) -> torch.Tensor:
    """Resample each image through its matrix.

    Args:
        images: floating point (B, C, H, W).
        matrices: float64 (B, 2, 3) of `inverse_matrices`.
        mode: interpolation.
        outside: what lies beyond the image: zeros, its reflection at the outer edge of the border pixels, or
            the border pixels again.

    Returns:
        (B, C, H, W), the dtype of `images`.
    """
    height, width = images.shape[2:]
    to_grid = matrices / np.asarray([width / 2, height / 2]).reshape(1, 2, 1)  # to [-1, 1] across the image
    x = np.arange(width) - (width - 1) / 2
    y = np.arange(height) - (height - 1) / 2
    targets = np.stack([*np.broadcast_arrays(x[None, :], y[:, None]), np.ones((height, width))], axis=-1)
    positions = torch.from_numpy(targets.reshape(1, -1, 3)).to(images)
    grid = positions @ torch.from_numpy(to_grid).to(images).transpose(1, 2)
    grid = grid.view(-1, height, width, 2)
    return functional.grid_sample(images, grid, mode=mode, padding_mode=outside, align_corners=False)
