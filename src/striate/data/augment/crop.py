"""`shift` and `flip-crop`: small translations, without or with horizontal flips, by indexing alone."""

from __future__ import annotations

import numpy as np
import torch

SHIFT_COLUMNS = 2  # vertical shift, horizontal shift
COLUMNS = 3  # flip, vertical shift, horizontal shift


def shift(images: torch.Tensor, uniform: np.ndarray) -> torch.Tensor:
    """Shift each image by whole pixels, reflecting at the border: for what a mirror would change, as digits.

    Args:
        images: (B, C, H, W), any dtype.
        uniform: float64 (B, 2) in [0, 1).

    Returns:
        (B, C, H, W), the dtype of `images`; every value is one of the image's own.
    """
    height, width = images.shape[2:]
    return _gathered(images, _shifted(uniform[:, 0], height), _shifted(uniform[:, 1], width))


def flip_and_shift(images: torch.Tensor, uniform: np.ndarray) -> torch.Tensor:
    """Flip every second image left to right and shift each by whole pixels, reflecting at the border.

    The augmentation usual for small photos (He et al. 2016, "Deep residual learning", section 4.2), with
    reflection for the zero padding: up to 4 pixels per 32 pixels of side, in both directions.

    Args:
        images: (B, C, H, W), any dtype.
        uniform: float64 (B, 3) in [0, 1).

    Returns:
        (B, C, H, W), the dtype of `images`; every value is one of the image's own.
    """
    height, width = images.shape[2:]
    rows = _shifted(uniform[:, 1], height)
    columns = _shifted(uniform[:, 2], width)
    return _gathered(images, rows, np.where(uniform[:, :1] < 0.5, width - 1 - columns, columns))


def _gathered(images: torch.Tensor, rows: np.ndarray, columns: np.ndarray) -> torch.Tensor:
    """Return `images` (B, C, H, W) made of their own source `rows`, int64 (B, H), and `columns`, (B, W)."""
    count, channels, height, width = images.shape
    positions = (rows[:, :, None] * width + columns[:, None, :]).reshape(count, 1, height * width)
    gathered = torch.from_numpy(positions).to(images.device).expand(count, channels, height * width)
    return images.reshape(count, channels, height * width).gather(2, gathered).view(images.shape)


def _shifted(uniform: np.ndarray, side: int) -> np.ndarray:
    """Return which source position each target position shows, int64 (B, side)."""
    limit = round(4 * side / 32)
    shifts = np.floor(uniform * (2 * limit + 1)).astype(np.int64) - limit
    positions = np.abs(np.arange(side) + shifts[:, None])
    reflected: np.ndarray = np.where(positions >= side, 2 * (side - 1) - positions, positions)
    return reflected
