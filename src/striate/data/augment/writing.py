"""`writing`: the small changes of view that letters and digits stand."""

from __future__ import annotations

import numpy as np
import torch

from striate.data.augment import affine

ROTATION = 10.0  # degrees to either side
SCALE = (0.9, 1.1)
SHEAR = 10.0  # degrees to either side, horizontally: how far writing leans
SHIFT = 1 / 28  # of the side, in every direction
COLUMNS = 5  # angle, scale, shear, shift to the right, shift down


def change_hand(images: torch.Tensor, uniform: np.ndarray) -> torch.Tensor:
    """Rotate, scale, shear and shift each image a little, in one bilinear resampling; never mirror it.

    What comes into view from beyond the border has the colour of the pixel at the border, as paper goes on;
    its reflection would add strokes that nobody wrote.

    Args:
        images: (B, C, H, W), uint8 or float in [0, 1].
        uniform: float64 (B, 5) in [0, 1).

    Returns:
        (B, C, H, W), the dtype of `images`.
    """
    height, width = images.shape[2:]
    either_side = 2 * uniform - 1
    matrices = affine.inverse_matrices(
        angle=ROTATION * either_side[:, 0],
        scale=SCALE[0] + (SCALE[1] - SCALE[0]) * uniform[:, 1],
        shear_x=SHEAR * either_side[:, 2],
        translate_x=SHIFT * width * either_side[:, 3],
        translate_y=SHIFT * height * either_side[:, 4],
    )
    work = images.to(torch.float32).div_(255) if images.dtype == torch.uint8 else images
    work = affine.warp(work, matrices, mode="bilinear", outside="border")
    return work.mul_(255).round_().to(torch.uint8) if images.dtype == torch.uint8 else work
