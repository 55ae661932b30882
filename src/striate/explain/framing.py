"""Which part of a picture a network's input shows, and a map brought to the picture's own pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from striate.schemas import Preprocess


class Frame(NamedTuple):
    """A rectangle in a picture's pixels, which may reach beyond the picture (`fit="pad"`)."""

    left: float
    top: float
    right: float
    bottom: float


def frame_of(size: tuple[int, int], preprocess: Preprocess) -> Frame:
    """Return what the network's input shows of an upright picture.

    Args:
        size: (width, height) of the picture.
        preprocess: how it becomes the input.
    """
    width, height = size
    if preprocess.fit == "squash":
        return Frame(0, 0, width, height)
    choose = min if preprocess.fit == "crop" else max
    scale = choose(width / preprocess.width, height / preprocess.height)
    share = preprocess.crop_share if preprocess.fit == "crop" else 1.0
    across, down = preprocess.width * scale * share, preprocess.height * scale * share
    left, top = (width - across) / 2, (height - down) / 2
    return Frame(left, top, left + across, top + down)


def enlarge(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return float32 (height, width): a map, (h, w), interpolated bilinearly (bicubic overshoots).

    Args:
        values: float (h, w).
        size: (height, width).
    """
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def on_picture(values: np.ndarray, size: tuple[int, int], preprocess: Preprocess) -> np.ndarray:
    """Return a map of the input on the picture's own pixels, float32 (height, width); NaN where unseen.

    Args:
        values: float (h, w), over the whole input.
        size: (width, height) of the upright picture.
        preprocess: how the picture becomes the input.
    """
    frame = frame_of(size, preprocess)
    left, top = max(0, round(frame.left)), max(0, round(frame.top))
    right, bottom = min(size[0], round(frame.right)), min(size[1], round(frame.bottom))
    seen = np.full((size[1], size[0]), np.nan, np.float32)
    if right <= left or bottom <= top:
        return seen
    across = values.shape[1] / (frame.right - frame.left)
    down = values.shape[0] / (frame.bottom - frame.top)
    box = ((left - frame.left) * across, (top - frame.top) * down)
    ends = ((right - frame.left) * across, (bottom - frame.top) * down)
    ends = (min(ends[0], values.shape[1]), min(ends[1], values.shape[0]))
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    filled = image.resize(
        (right - left, bottom - top),
        Image.Resampling.BILINEAR,
        box=(max(0.0, box[0]), max(0.0, box[1]), *ends),
    )
    seen[top:bottom, left:right] = np.asarray(filled)
    return seen
