"""Views of an image whose answers are averaged: as it is, mirrored, and its corners enlarged.

Averaging over crops and mirror images makes a network's answer steadier, for as many times the work (Simonyan
and Zisserman 2015, section 3.2).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from striate.schemas import Views

KEPT = 0.875
"""Share of either side that a corner shows: 224 of 256 pixels, as is usual with ImageNet."""
_CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


class View(NamedTuple):
    """One way to look at an image.

    Attributes:
        corner: the corner that is shown, (down, across), each 0 or 1; None: the whole image.
        mirrored: whether left and right change places.
    """

    corner: tuple[int, int] | None = None
    mirrored: bool = False


WHOLE = View()
VIEWS: dict[Views, tuple[View, ...]] = {
    "one": (WHOLE,),
    "flip": (WHOLE, View(mirrored=True)),
    "crops": (WHOLE, *(View(corner) for corner in _CORNERS)),
    "flip-crops": tuple(View(corner, mirrored) for mirrored in (False, True) for corner in (None, *_CORNERS)),
}
"""What each setting averages over; the image as it is comes first."""


def show(images: np.ndarray, view: View) -> np.ndarray:
    """Return uint8 (N, C, H, W): one view of `images`, which have the same type and shape."""
    shown = images if view.corner is None else _enlarge(images, view.corner)
    return np.ascontiguousarray(shown[..., ::-1]) if view.mirrored else shown


def _enlarge(images: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """Return one corner of each of `images`, brought back to their size."""
    height, width = images.shape[2:]
    top, left = ((1 - KEPT) * side * place for side, place in zip((height, width), corner, strict=True))
    box = (left, top, left + KEPT * width, top + KEPT * height)
    enlarged = np.empty_like(images)
    for image, planes in zip(images, enlarged, strict=True):
        for channel, plane in zip(image, planes, strict=True):
            plane[...] = Image.fromarray(channel).resize((width, height), Image.Resampling.BICUBIC, box=box)
    return enlarged
