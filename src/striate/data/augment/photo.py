"""`photo`: the changes of view and light that photographs of things stand."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from striate.data.augment import affine, colour

ROTATION = 40.0  # degrees to either side
SCALE = (0.8, 1.2)
SHEAR = 20.0  # degrees to either side, horizontally
LIGHT = 0.2  # brightness, contrast and saturation: factors 0.8 to 1.2
COLUMNS = 8  # angle, scale, shear, flip, brightness, contrast, saturation, order of these three

_ORDERS = np.asarray(list(itertools.permutations(range(3))))


def change_view_and_light(images: torch.Tensor, uniform: np.ndarray) -> torch.Tensor:
    """Rotate, scale, shear and flip each image in one bilinear resampling, then change its light.

    Hue stays as it is, since colour tells many things apart. What comes into view from beyond the border is
    the image's reflection, which has the image's own colours, unlike black corners.

    Args:
        images: (B, C, H, W) with C 1 or 3, uint8 or float in [0, 1].
        uniform: float64 (B, 8) in [0, 1).

    Returns:
        (B, C, H, W), the dtype of `images`.
    """
    work = images.to(torch.float32).div_(255) if images.dtype == torch.uint8 else images
    work = affine.warp(work, _matrices(uniform), mode="bilinear", outside="reflection")
    light = 1 + LIGHT * (2 * uniform[:, 4:7] - 1)
    orders = _ORDERS[np.floor(uniform[:, 7] * len(_ORDERS)).astype(np.int64)]
    work = colour.jitter(
        work, brightness=light[:, 0], contrast=light[:, 1], saturation=light[:, 2], orders=orders
    )
    return work.mul_(255).round_().to(torch.uint8) if images.dtype == torch.uint8 else work


def _matrices(uniform: np.ndarray) -> np.ndarray:
    matrices = affine.inverse_matrices(
        angle=ROTATION * (2 * uniform[:, 0] - 1),
        scale=SCALE[0] + (SCALE[1] - SCALE[0]) * uniform[:, 1],
        shear_x=SHEAR * (2 * uniform[:, 2] - 1),
    )
    flipped = uniform[:, 3] < 0.5
    matrices[flipped, 0] *= -1  # looking at the mirrored x is flipping first
    return matrices
