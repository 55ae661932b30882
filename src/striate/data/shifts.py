"""`shift` and `flip-crop`: which source pixel every pixel of an augmented image shows.

Shifts are by whole pixels, up to 4 per 32 pixels of side in both directions, and reflect at the border: the
augmentation usual for small photos (He et al. 2016, "Deep residual learning", section 4.2) with reflection
for the zero padding.
"""

from __future__ import annotations

import numpy as np

SHIFT_COLUMNS = 2  # draws for an image: vertical shift, horizontal shift
FLIP_COLUMNS = 3  # flip, vertical shift, horizontal shift


def shifted(uniform: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return source rows, int64 (B, H), and columns, (B, W), for draws float64 (B, 2) in [0, 1)."""
    return _sources(uniform[:, 0], height), _sources(uniform[:, 1], width)


def flipped_and_shifted(uniform: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return source rows and columns, every second image left to right, for draws float64 (B, 3)."""
    rows, columns = shifted(uniform[:, 1:], height, width)
    return rows, np.where(uniform[:, :1] < 0.5, width - 1 - columns, columns)


def _sources(uniform: np.ndarray, side: int) -> np.ndarray:
    """Return which source position each target position shows, int64 (B, side)."""
    limit = round(4 * side / 32)
    shifts = np.floor(uniform * (2 * limit + 1)).astype(np.int64) - limit
    positions = np.abs(np.arange(side) + shifts[:, None])
    reflected: np.ndarray = np.where(positions >= side, 2 * (side - 1) - positions, positions)
    return reflected
