"""`shift` and `flip-crop`: small translations, without or with horizontal flips, by indexing alone."""

from __future__ import annotations

import numpy as np
import torch

from striate.data import shifts


def shift(images: torch.Tensor, uniform: np.ndarray) -> torch.Tensor:
    """Shift each image by whole pixels, reflecting at the border: for what a mirror would change, as digits.

    Args:
        images: (B, C, H, W), any dtype.
        uniform: float64 (B, 2) in [0, 1).

    Returns:
        (B, C, H, W), the dtype of `images`; every value is one of the image's own.
    """
    return _gathered(images, *shifts.shifted(uniform, *images.shape[2:]))


def flip_and_shift(images: torch.Tensor, uniform: np.ndarray) -> torch.Tensor:
    """Flip every second image left to right and shift each by whole pixels, reflecting at the border.

    Args:
        images: (B, C, H, W), any dtype.
        uniform: float64 (B, 3) in [0, 1).

    Returns:
        (B, C, H, W), the dtype of `images`; every value is one of the image's own.
    """
    return _gathered(images, *shifts.flipped_and_shifted(uniform, *images.shape[2:]))


def _gathered(images: torch.Tensor, rows: np.ndarray, columns: np.ndarray) -> torch.Tensor:
    """Return `images` (B, C, H, W) made of their own source `rows`, int64 (B, H), and `columns`, (B, W)."""
    count, channels, height, width = images.shape
    positions = (rows[:, :, None] * width + columns[:, None, :]).reshape(count, 1, height * width)
    gathered = torch.from_numpy(positions).to(images.device).expand(count, channels, height * width)
    return images.reshape(count, channels, height * width).gather(2, gathered).view(images.shape)
