"""The size and the number of channels that images get where the user names none."""

from __future__ import annotations

from typing import Literal

import numpy as np

from striate.config import DataConfig
from striate.data.inspection import SMALL_SIDE
from striate.errors import UserError
from striate.schemas import Preprocess

_NOTHING = 0.005
"""A smaller share that is cut off, which rounds to 0 %, is not worth a word."""


def choose_size(
    config: DataConfig, widths: np.ndarray, heights: np.ndarray, network: Preprocess | None = None
) -> tuple[int, int, str | None]:
    """Return (height, width) of the network's input, and a message where images change size unasked.

    A pretrained network's images have the size that it was trained with. Else small images of one size keep
    it; others become squares, as large as their median shorter side and no larger than `SMALL_SIDE`.

    Args:
        config: `image_size` counts.
        widths: int (N,), in pixels.
        heights: int (N,), in pixels.
        network: of a pretrained network.
    """
    if config.image_size is not None:
        return config.image_size, config.image_size, None
    if network is not None:
        return network.height, network.width, None
    same = len(np.unique(widths)) == 1 and len(np.unique(heights)) == 1
    if same and max(widths[0], heights[0]) <= SMALL_SIDE:
        return int(heights[0]), int(widths[0]), None
    side = int(min(SMALL_SIDE, np.median(np.minimum(widths, heights))))
    if same:
        sizes = f"{widths[0]} x {heights[0]}"
    else:
        sizes = f"{widths.min()} to {widths.max()} wide and {heights.min()} to {heights.max()} high"
    shrunk = f"from scratch they become {side} x {side}"
    return side, side, f"Images are {sizes} pixels; {shrunk}. Choose with --image-size."


def cut_away(widths: np.ndarray, heights: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """Return float64 (N,), the share of each image's area that `preprocess` leaves out: 0 unless it crops.

    Args:
        widths: int (N,), in pixels.
        heights: int (N,), in pixels.
        preprocess: size, fit and crop share count.
    """
    if preprocess.fit != "crop":
        return np.zeros(len(widths))
    scale = np.minimum(widths / preprocess.width, heights / preprocess.height) * preprocess.crop_share
    kept: np.ndarray = scale**2 * (preprocess.width * preprocess.height) / (widths * heights)
    return 1 - kept


def describe_cut(widths: np.ndarray, heights: np.ndarray, preprocess: Preprocess) -> str | None:
    """Return a message about what is left out of the images; None if nothing is. Arguments as `cut_away`."""
    cut = cut_away(widths, heights, preprocess)
    if not cut.size or cut.max() < _NOTHING:
        return None
    middle, least, most = (f"{100 * share:.0f}" for share in (np.median(cut), cut.min(), cut.max()))
    share = f"{middle} %" if least == most else f"{middle} % (median; {least} to {most} %)"
    return (
        f"--fit crop cuts off {share} of the area of the images, which the network never sees; --fit squash "
        "and --fit pad show all of it."
    )


def choose_channels(
    config: DataConfig, grey: np.ndarray, network: Preprocess | None = None
) -> tuple[Literal[1, 3], str | None]:
    """Return 1 or 3, and a message where grey images become coloured ones for a pretrained network.

    Args:
        config: `channels` counts.
        grey: bool (N,), which training images can hold no colour.
        network: of a pretrained network.

    Raises:
        UserError: other channels are asked for than the pretrained network takes.
    """
    if network is None:
        if config.channels == "auto":
            return (1 if grey.all() else 3), None
        return (1 if config.channels == "grey" else 3), None
    if config.channels not in ("auto", "rgb" if network.channels == 3 else "grey"):
        raise UserError(
            f"channels {config.channels!r} do not fit a pretrained network that takes {network.channels}; "
            "leave --channels out: images are converted."
        )
    if network.channels == 3 and grey.all():
        return 3, "The images are grey; the pretrained network takes colour, so all three channels are alike."
    return network.channels, None
