"""The page of explanations, one HTML file closed in itself, and the piece of it that a notebook shows."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from striate.explain.chart import curves_svg
from striate.offline_page import policy, printable
from striate.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

    from striate.explain.explanation import Explanation

SIDE = 640
"""Longest side of a picture on the page, in pixels; of many pictures, `SMALL_SIDE`."""
SMALL_SIDE = 360
MANY = 24
TINY = 96
"""A picture no larger than this is enlarged pixel by pixel."""
QUALITY = 85


@dataclass(frozen=True)
class Shown:
    """An explanation with its pictures, ready for the page.

    Attributes:
        explanation: what is shown.
        picture: data URI of the image; likewise `overlay`.
        coarse: whether the image has so few pixels that they are shown as such.
        curves: SVG of deletion and insertion; empty without a trust card.
    """

    explanation: Explanation
    picture: str
    overlay: str
    coarse: bool
    curves: str


def show(
    explanation: Explanation, side: int = SIDE, drawn: tuple[Image.Image, np.ndarray] | None = None
) -> Shown:
    """Return an explanation with small pictures, the image and the map on it.

    Args:
        explanation: what is shown.
        side: longest side of the pictures in pixels.
        drawn: what `explanation.drawn()` returned; None: it is drawn here.
    """
    picture, laid = explanation.drawn() if drawn is None else drawn
    return Shown(
        explanation,
        _uri(picture, side),
        _uri(Image.fromarray(laid), side),
        max(picture.size) <= TINY,
        "" if explanation.measures is None else curves_svg(explanation.measures.curves),
    )


def render(
    shown: Sequence[Shown], *, title: str, model: str, problems: Sequence[tuple[str, str]] = ()
) -> str:
    """Return the page as HTML text.

    Args:
        shown: at least one.
        title: what was explained.
        model: name of the network.
        problems: name and reason of images that could not be read.
    """
    style = template_text("explain.css")
    template = environment().get_template("explain.html.j2")
    verdicts = [one.explanation.verdict for one in shown if one.explanation.verdict is not None]
    return template.render(
        shown=shown,
        title=title,
        model=model,
        problems=problems,
        verdicts={level: sum(one.level == level for one in verdicts) for level in ("good", "weak", "bad")},
        judged=len(verdicts),
        style=style,
        policy=policy(style, ""),
        version=__version__,
    )


def fragment(explanation: Explanation) -> str:
    """Return one explanation for a notebook, in a frame of its own."""
    page = render([show(explanation, SMALL_SIDE)], title=explanation.name, model="")
    return (
        '<iframe title="explanation" sandbox="" style="width: 100%; height: 560px; border: 1px solid #8886" '
        f'srcdoc="{html.escape(page, quote=True)}"></iframe>'
    )


def _uri(image: Image.Image, side: int) -> str:
    buffer = io.BytesIO()
    if max(image.size) <= TINY:
        image.save(buffer, "PNG")
        kind = "png"
    else:
        image = image.convert("RGB")
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        image.save(buffer, "JPEG", quality=QUALITY)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def environment() -> Environment:
    """Return what fills the templates of this room: everything is escaped, nothing may be missing."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("striate.explain"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters.update(percent="{:.1%}".format, whole_percent="{:.0%}".format, two="{:.2f}".format)
    return environment


def _printable(value: Any) -> Any:
    return printable(value)


def template_text(name: str) -> str:
    """Return a file of the folder of templates."""
    folder = resources.files("striate.explain") / "templates"
    return (folder / name).read_text(encoding="utf-8").strip()
