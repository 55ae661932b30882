"""A page of many small pictures, one HTML file closed in itself: of visualised features, of kernels."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from striate.explain.page import environment, template_text
from striate.offline_page import policy
from striate.version import __version__

LEAST_SIDE = 96
"""A picture with a smaller side is enlarged pixel by pixel."""


@dataclass(frozen=True)
class Tile:
    """One of the pictures.

    Attributes:
        name: what it is called.
        pictures: data URI and what it shows, of one picture or several beside each other.
        lines: what is said of it.
        doubtful: whether the last line is a warning.
    """

    name: str
    pictures: tuple[tuple[str, str], ...]
    lines: tuple[str, ...] = ()
    doubtful: bool = False


@dataclass(frozen=True)
class Gallery:
    """What the page shows.

    Attributes:
        kicker: a line above the title.
        title: of the page.
        lead: what a reader must know, a paragraph each.
        tiles: the pictures.
        notes: warnings.
        film: data URI of a picture in motion, `""` for none; and what it shows.
    """

    kicker: str
    title: str
    lead: tuple[str, ...]
    tiles: tuple[Tile, ...]
    notes: tuple[str, ...] = ()
    film: tuple[str, str] = ("", "")


def render(gallery: Gallery) -> str:
    """Return the page as HTML text."""
    style = "\n".join(template_text(name) for name in ("explain.css", "gallery.css"))
    template = environment().get_template("gallery.html.j2")
    return template.render(gallery=gallery, style=style, policy=policy(style, ""), version=__version__)


def png(image: np.ndarray, least_side: int = 1) -> bytes:
    """Return a PNG file of an image, uint8 (C, H, W) with 1 or 3 channels.

    Args:
        image: what it shows.
        least_side: it is enlarged by a whole number until no side is shorter.
    """
    times = -(-least_side // min(image.shape[1:]))
    large = image.repeat(times, axis=1).repeat(times, axis=2)
    buffer = io.BytesIO()
    shown = large[0] if len(large) == 1 else large.transpose(1, 2, 0)
    Image.fromarray(np.ascontiguousarray(shown)).save(buffer, "PNG")
    return buffer.getvalue()


def uri(content: bytes, kind: str = "png") -> str:
    """Return a picture's file as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def tile(name: str, images: Sequence[tuple[np.ndarray, str]], lines: Sequence[str], doubtful: bool) -> Tile:
    """Return a tile of images, uint8 (C, H, W), each with what it shows."""
    pictures = tuple((uri(png(image, LEAST_SIDE)), shows) for image, shows in images)
    return Tile(name, pictures, tuple(lines), doubtful)
