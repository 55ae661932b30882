"""What a network says of one image, where it finds it, and how far that can be trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from striate.data import open_image
from striate.explain.framing import on_picture
from striate.explain.overlay import heat, overlay
from striate.schemas import Preprocess

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from striate.explain.trust import Measures, Verdict


@dataclass(frozen=True)
class Explanation:
    """A class map of one image, with its trust card. In a notebook it shows itself.

    Attributes:
        image: the path, or "image <n>" where it has none.
        item: what was given: a path, a PIL image or an array.
        preprocess: how it became the network's input.
        label: the class that is explained.
        top: (class, probability), the most probable first.
        probability: of the explained class.
        values: float32 (h, w), the map: signed, unnormalised, of the layer's or the input's size.
        importance: float32 (h, w), the same as it counts for the class: without its sign where that says
            nothing.
        method: its name, "Grad-CAM".
        layer: name of the layer; `""`: the input.
        layer_shown: the same for people, shortened where it is long.
        true: name of the true class; `""` where unknown.
        measures: what the trust card is made from; None: no card was asked for.
        verdict: what it says.
        warnings: what else a reader must know.
    """

    image: str
    item: Any = field(repr=False)
    preprocess: Preprocess = field(repr=False)
    label: str
    top: tuple[tuple[str, float], ...]
    probability: float
    values: np.ndarray = field(repr=False)
    importance: np.ndarray = field(repr=False)
    method: str
    layer: str
    layer_shown: str
    true: str = ""
    measures: Measures | None = field(default=None, repr=False)
    verdict: Verdict | None = None
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePath(self.image).name or self.image

    def picture(self) -> Image.Image:
        """Return the image as it is, upright, at its full resolution; read anew each time."""
        return open_image(self.item)

    def drawn(self) -> tuple[Image.Image, np.ndarray]:
        """Return the image as it is and the map on it, read once: `picture` and `overlay`."""
        picture = self.picture()
        shares = heat(on_picture(self.importance, picture.size, self.preprocess))
        return picture, overlay(picture, shares)

    def overlay(self) -> np.ndarray:
        """Return the map on the image at its full resolution, uint8 (H, W, 3)."""
        return self.drawn()[1]

    def figure(self) -> Figure:
        """Return image, map, curves and verdict as a matplotlib figure."""
        from striate.explain.figures import explanation_figure

        return explanation_figure(self)

    def facts(self) -> dict[str, Any]:
        """Return all but the pixels as plain values."""
        from striate.explain.facts import facts_of

        return facts_of(self)

    @cached_property
    def shows(self) -> str:
        """What the picture shows, in one line."""
        where = f"layer {self.layer_shown}" if self.layer else "the input"
        return f"{self.method} of {self.label!r}, {where}"

    def _repr_html_(self) -> str:
        from striate.explain.page import fragment

        return fragment(self)
