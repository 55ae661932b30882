"""`shift`, `flip-crop`, `alternate`: small translations, without or with horizontal flips, by indexing."""

from __future__ import annotations

import numpy as np
import torch

from striate.data import shifts

CUTOUT_COLUMNS = shifts.FLIP_COLUMNS + 2  # and where the square lies
CUTOUT_SHARE = 3 / 8  # of a side: 12 of 32 pixels


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


def flip_and_shift_a_little(images: torch.Tensor, uniform: np.ndarray) -> torch.Tensor:
    """The same with shifts half as far."""
    return _gathered(images, *shifts.flipped_and_shifted_a_little(uniform, *images.shape[2:]))


def flip_shift_and_cut_out(images: torch.Tensor, uniform: np.ndarray) -> torch.Tensor:
    """Also replace a square of each image, `CUTOUT_SHARE` of its sides, by the image's mean colour.

    Source: DeVries and Taylor 2017, "Improved regularization of convolutional neural networks with cutout".

    Args:
        images: (B, C, H, W), any dtype.
        uniform: float64 (B, 5) in [0, 1).

    Returns:
        (B, C, H, W), the dtype of `images`.
    """
    moved = flip_and_shift_a_little(images, uniform[:, : shifts.FLIP_COLUMNS])
    rows, columns = (
        _covered(uniform[:, shifts.FLIP_COLUMNS + axis], side) for axis, side in enumerate(images.shape[2:])
    )
    square = torch.from_numpy(rows[:, None, :, None] & columns[:, None, None, :]).to(images.device)
    mean = moved.double().mean(dim=(2, 3), keepdim=True)
    colour = mean if images.is_floating_point() else mean.round()
    return torch.where(square, colour.to(images.dtype), moved)


def _covered(uniform: np.ndarray, side: int) -> np.ndarray:
    """Return which positions of a side the square covers, bool (B, side); it may lie partly outside."""
    length = max(1, round(CUTOUT_SHARE * side))
    first = np.floor(uniform * side).astype(np.int64)[:, None] - length // 2
    positions = np.arange(side)
    covered: np.ndarray = (positions >= first) & (positions < first + length)
    return covered


def _gathered(images: torch.Tensor, rows: np.ndarray, columns: np.ndarray) -> torch.Tensor:
    """Return `images` (B, C, H, W) made of their own source `rows`, int64 (B, H), and `columns`, (B, W)."""
    count, channels, height, width = images.shape
    positions = (rows[:, :, None] * width + columns[:, None, :]).reshape(count, 1, height * width)
    gathered = torch.from_numpy(positions).to(images.device).expand(count, channels, height * width)
    return images.reshape(count, channels, height * width).gather(2, gathered).view(images.shape)
