"""A map is laid on its picture as the formula says, and what the network does not see is dark."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from striate.explain.overlay import COLOUR_LEFT, COLOURS, STRENGTH, UNSEEN, overlay

LEVELS = 5
"""Of 256: each step rounds to whole levels, and the map has 256 colours."""


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_overlay_is_the_mixture_of_quiet_picture_and_colour(mode: str) -> None:
    generator = np.random.default_rng(0)
    picture = Image.fromarray(generator.integers(0, 256, (20, 30, 3), np.uint8)).convert(mode)
    shares = generator.random((20, 30)).astype(np.float32)
    shares[:, :7] = np.nan
    colour, grey = (np.asarray(picture.convert(kind), float).reshape(20, 30, -1) for kind in ("RGB", "L"))
    quiet = COLOUR_LEFT * colour + (1 - COLOUR_LEFT) * grey
    alpha = STRENGTH * np.sqrt(shares)[:, :, None]
    tint = mpl.colormaps[COLOURS](0.1 + 0.9 * shares)[:, :, :3] * 255
    expected = np.where(np.isnan(alpha), UNSEEN * quiet, (1 - alpha) * quiet + alpha * tint)
    assert np.abs(overlay(picture, shares) - expected).max() <= LEVELS
