"""`shift`, `flip-crop` and `alternate`: which source pixel every pixel of an augmented image shows.

Shifts are by whole pixels, up to 4 (`alternate`: 2) per 32 pixels of side in both directions, and reflect at
the border: the augmentation usual for small photos (He et al. 2016, "Deep residual learning", section 4.2)
with reflection for the zero padding.
"""

from __future__ import annotations

import numpy as np

SHIFT_COLUMNS = 2  # draws for an image: vertical shift, horizontal shift
FLIP_COLUMNS = 3  # flip, vertical shift, horizontal shift
_REACH = 4  # pixels of a shift per 32 of the side
_SMALL_REACH = 2


def shifted(
    uniform: np.ndarray, height: int, width: int, reach: int = _REACH
) -> tuple[np.ndarray, np.ndarray]:
    """Return source rows, int64 (B, H), and columns, (B, W), for draws float64 (B, 2) in [0, 1)."""
    return _sources(uniform[:, 0], height, reach), _sources(uniform[:, 1], width, reach)


def flipped_and_shifted(
    uniform: np.ndarray, height: int, width: int, reach: int = _REACH
) -> tuple[np.ndarray, np.ndarray]:
    """Return source rows and columns, every second image left to right, for draws float64 (B, 3)."""
    rows, columns = shifted(uniform[:, 1:], height, width, reach)
    return rows, np.where(uniform[:, :1] < 0.5, width - 1 - columns, columns)


def flipped_and_shifted_a_little(
    uniform: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same with shifts half as far."""
    return flipped_and_shifted(uniform, height, width, _SMALL_REACH)


def _sources(uniform: np.ndarray, side: int, reach: int) -> np.ndarray:
    """Return which source position each target position shows, int64 (B, side)."""
    limit = round(reach * side / 32)
    shifts = np.floor(uniform * (2 * limit + 1)).astype(np.int64) - limit
    positions = np.abs(np.arange(side) + shifts[:, None])
    reflected: np.ndarray = np.where(positions >= side, 2 * (side - 1) - positions, positions)
    return reflected
