"""The size and the number of channels that images get where the user names none."""

from __future__ import annotations

from typing import Literal

import numpy as np

from striate.config import DataConfig
from striate.data.inspection import SMALL_SIDE


def choose_size(config: DataConfig, widths: np.ndarray, heights: np.ndarray) -> tuple[int, int, str | None]:
    """Return (height, width) of the network's input, and a message where images change size unasked.

    Small images of one size keep it; others become squares, as large as their median shorter side and no
    larger than `SMALL_SIDE`.

    Args:
        config: `image_size` counts.
        widths: int (N,), in pixels.
        heights: int (N,), in pixels.
    """
    if config.image_size is not None:
        return config.image_size, config.image_size, None
    same = len(np.unique(widths)) == 1 and len(np.unique(heights)) == 1
    if same and max(widths[0], heights[0]) <= SMALL_SIDE:
        return int(heights[0]), int(widths[0]), None
    side = int(min(SMALL_SIDE, np.median(np.minimum(widths, heights))))
    if same:
        sizes = f"{widths[0]} x {heights[0]}"
    else:
        sizes = f"{widths.min()} to {widths.max()} wide and {heights.min()} to {heights.max()} high"
    return side, side, f"Images are {sizes} pixels; they become {side} x {side}. Choose with --image-size."


def choose_channels(config: DataConfig, grey: np.ndarray) -> Literal[1, 3]:
    """Return 1 or 3; `grey`, bool (N,), says which training images can hold no colour."""
    if config.channels == "auto":
        return 1 if grey.all() else 3
    return 1 if config.channels == "grey" else 3
