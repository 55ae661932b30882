"""A class map laid over its picture, at the picture's own resolution; imports matplotlib for its colours."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image

COLOURS = "inferno"
"""Grows evenly brighter, so that it survives grey print and every kind of colour blindness."""
STRENGTH = 0.72
"""Share of the colour where a map is highest; the picture shines through."""
COLOUR_LEFT = 0.25
"""So much of its colour a picture keeps."""
UNSEEN = 0.35
"""What the network does not see is this bright."""
TOP_SHARE = 0.995
"""The value that only one pixel in two hundred exceeds gets the full colour: one speck outshines no map."""


def heat(values: np.ndarray) -> np.ndarray:
    """Return a map as shares of its top, float32 in 0..1; what speaks against the class is 0.

    Args:
        values: float (h, w); NaN stays NaN.
    """
    known = values[np.isfinite(values)]
    positive = known[known > 0]
    if not positive.size:
        return np.where(np.isfinite(values), np.float32(0), np.float32(np.nan))
    top = np.quantile(known, TOP_SHARE)
    top = top if top > 0 else positive.max()
    shares: np.ndarray = np.clip(values / top, 0, 1).astype(np.float32)
    return shares


def overlay(picture: Image.Image, shares: np.ndarray) -> np.ndarray:
    """Return the picture with a map on it, uint8 (H, W, 3).

    The picture loses most of its colour, so that the map's can be read; what the network does not see of it
    is darkened.

    Args:
        picture: mode L or RGB.
        shares: float32 (H, W) in 0..1, as `heat` gives them; NaN where the network does not see.
    """
    quiet = Image.blend(picture.convert("L").convert("RGB"), picture.convert("RGB"), COLOUR_LEFT)
    unseen = ~np.isfinite(shares)
    known = np.where(unseen, np.float32(0), shares)
    tint = Image.fromarray((known * 255).astype(np.uint8))
    tint.putpalette(_palette())
    alpha = Image.fromarray(np.rint(255 * STRENGTH * np.sqrt(known)).astype(np.uint8))
    mixed = Image.composite(tint.convert("RGB"), quiet, alpha)
    if unseen.any():
        mixed.paste(quiet.point(lambda value: round(UNSEEN * value)), mask=Image.fromarray(unseen))
    return np.asarray(mixed)


def as_png(image: np.ndarray) -> bytes:
    """Return an image, uint8 (H, W, 3), as a PNG file, quickly packed."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@functools.cache
def _palette() -> bytes:
    """Red, green and blue of 256 colours."""
    import matplotlib as mpl

    colours = mpl.colormaps[COLOURS](np.linspace(0.1, 1, 256))[:, :3] * 255
    return bytes(np.rint(colours).astype(np.uint8))
