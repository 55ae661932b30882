"""The lesson page, put together: `static/lesson.html.j2` is its form, `static/texts.json` holds its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from striate import filters
from striate.lesson.encoding import encode
from striate.lesson.forms import environment, read_texts, static
from striate.lesson.pictures import SIDE, built_in_pictures
from striate.offline_page import policy, printable, script_json
from striate.version import __version__

KERNELS = ("sobel-x", "sobel-y", "edge-detect", "diagonal-edge", "box-3", "sharpen", "emboss", "identity")
"""Offered for the step-by-step convolution, the first one at the start; named as in `striate.filters`."""
GALLERY = (*filters.KERNELS, "box-5", "gaussian-7")
"""Shown on the screen of filters."""
SCRIPTS = (
    "ops.js",
    "gradients.js",
    "basics.js",
    "levels.js",
    "opened.js",
    "page.js",
    "drawing.js",
    "pictures.js",
    "convolution.js",
    "convolution_drawing.js",
    "trace.js",
    "network.js",
    "network_picture.js",
    "network_maps.js",
    "network_answer.js",
    "network_why.js",
    "filters.js",
    "functions.js",
    "field.js",
    "strokes.js",
    "training.js",
    "live.js",
    "start.js",
)


def render_lesson(
    network: Mapping[str, Any] | None = None, pictures: Sequence[tuple[str, np.ndarray]] = ()
) -> str:
    """Return the page as HTML text.

    Args:
        network: what `striate.lesson.network.network_data` gives; None for a page without "Your network".
        pictures: name and uint8 (SIDE, SIDE) of pictures to choose from beside the built-in ones.
    """
    texts = read_texts()
    style, script = static("lesson.css"), "\n".join(map(static, SCRIPTS))
    return (
        environment(texts)
        .get_template("lesson.html.j2")
        .render(
            data=script_json(_page_data(texts, network, pictures)),
            network=network,
            style=style,
            script=script,
            policy=policy(style, script),
            version=__version__,
        )
    )


def _page_data(
    texts: Mapping[str, str], network: Mapping[str, Any] | None, pictures: Sequence[tuple[str, np.ndarray]]
) -> dict[str, Any]:
    shown = [
        {"id": f"own{number}", "name": printable(name), "pixels": encode(pixels)}
        for number, (name, pixels) in enumerate(pictures)
    ]
    for name, pixels in built_in_pictures().items():
        shown.append({"id": name, "name": texts[f"picture.{name}"], "pixels": encode(pixels)})
    return {
        "texts": texts,
        "pictures": shown,
        "pictureSide": SIDE,
        "kernels": {name: filters.named(name).weights.tolist() for name in KERNELS},
        "gallery": [_gallery_entry(filters.named(name)) for name in GALLERY],
        "network": network,
    }


def _gallery_entry(kernel: filters.Kernel) -> dict[str, Any]:
    return {
        "name": kernel.name,
        "about": kernel.about,
        "source": kernel.source,
        "rows": kernel.weights.tolist(),
    }
