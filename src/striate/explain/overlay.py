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
    colour = np.asarray(picture.convert("RGB"), np.float32)
    grey = np.asarray(picture.convert("L"), np.float32)[:, :, None]
    quiet = 0.75 * grey + 0.25 * colour
    unseen = ~np.isfinite(shares)
    known = np.where(unseen, 0, shares)
    alpha = (STRENGTH * np.sqrt(known))[:, :, None]
    tinted = (1 - alpha) * quiet + alpha * _palette()[(known * 255).astype(np.uint8)]
    tinted[unseen] = UNSEEN * quiet[unseen]
    mixed: np.ndarray = np.rint(tinted).astype(np.uint8)
    return mixed


def as_png(image: np.ndarray) -> bytes:
    """Return an image, uint8 (H, W, 3), as a PNG file, quickly packed."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@functools.cache
def _palette() -> np.ndarray:
    """float32 (256, 3), values 0..255."""
    import matplotlib as mpl

    colours = mpl.colormaps[COLOURS](np.linspace(0.1, 1, 256))[:, :3] * 255
    return np.asarray(colours, np.float32)
