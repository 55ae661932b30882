"""Small grey pictures that every lesson brings along: drawn here, or a photo of scikit-image."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

SIDE = 56
"""Pixels a side in the page, which brings them to the size that is asked for."""
_DRAWN = 448


def built_in_pictures() -> dict[str, np.ndarray]:
    """Return uint8 (SIDE, SIDE) by name."""
    return {name: grey_square(image) for name, image in built_in_images().items()}


def built_in_images() -> dict[str, Image.Image]:
    """Return square images by name. The cat is Chelsea, by Stefan van der Walt (CC0)."""
    return {"house": _house(), "seven": _seven(), "waves": _waves(), "cat": _cat()}


def grey_square(image: Image.Image) -> np.ndarray:
    """Return the largest square from the middle of an image, uint8 (SIDE, SIDE)."""
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    box = (left, top, left + side, top + side)
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX, box=box))


def _house() -> Image.Image:
    image = Image.new("L", (_DRAWN, _DRAWN), 0)
    draw = ImageDraw.Draw(image)
    draw.polygon([(224, 37), (411, 187), (37, 187)], fill=166)
    draw.rectangle((75, 187, 373, 410), fill=255)
    draw.rectangle((187, 262, 261, 410), fill=0)
    return image


def _seven() -> Image.Image:
    image = Image.new("L", (_DRAWN, _DRAWN), 0)
    draw = ImageDraw.Draw(image)
    draw.line([(112, 93), (336, 93), (205, 373)], fill=255, width=52, joint="curve")
    return image


def _waves() -> Image.Image:
    """Stripes that turn and grow finer: a quarter circle of rings."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    waves = np.cos(2 * np.pi * 2.6 * np.hypot(x, y) ** 1.3)
    return Image.fromarray(np.round(255 * (0.5 + 0.5 * waves)).astype(np.uint8))


def _cat() -> Image.Image:
    from skimage import data

    chelsea: Any = data.chelsea
    return Image.fromarray(chelsea()).crop((90, 0, 390, 300))
