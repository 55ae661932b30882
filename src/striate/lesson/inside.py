"""A small network within the report of its training: what it makes of some test images, computed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate.architectures import Spec
from striate.architectures.graph import build_graph
from striate.architectures.shapes import infer_shapes
from striate.bundle import BundleRecord
from striate.lesson.forms import environment, read_texts, static
from striate.lesson.graph import cut_graph
from striate.lesson.network import network_data
from striate.offline_page import Fragment, printable, script_json

MAX_VALUES = 270_000
"""Numbers of weights and buffers that a report holds: 1.4 MB of text, enough for `mynet`."""
MAX_WORK = 60_000_000
"""Multiply-adds that its page computes for one image."""
MAX_SIDE = 64
"""Pixels a side of the images."""
PICTURE_BYTES = 60_000
"""Room for the images, as bytes: 60 of 28 x 28 pixels, 19 of 32 x 32 in colour, 4 of 64 x 64."""
SCRIPTS = ("ops.js", "basics.js", "levels.js", "opened.js", "inside.js")


@dataclass(frozen=True)
class Shown:
    """An image with what the report says of it.

    Attributes:
        path: of the image.
        pixels: uint8 (C, H, W), as the network takes it before it is normalised.
        true: position of the true class; -1 where unknown.
        top: (position, probability) of the most probable classes, the first one named.
    """

    path: str
    pixels: np.ndarray
    true: int
    top: Sequence[tuple[int, float]]


def fits_inside(spec: Spec, record: BundleRecord) -> bool:
    """Whether a report can hold the network: small, of small images, with operations that `ops.js` knows."""
    shape = record.preprocess.input_shape
    if max(shape[1:]) > MAX_SIDE:
        return False
    nodes = build_graph(infer_shapes(spec, shape, len(record.class_names)), shape)
    return cut_graph(nodes, MAX_VALUES, MAX_WORK)[1] is None


def render_inside(
    spec: Spec,
    record: BundleRecord,
    weights: Mapping[str, np.ndarray],
    images: Sequence[Shown],
    model: str,
) -> Fragment:
    """Return the section "Inside the network".

    Args:
        spec: of a network that fits (`fits_inside`).
        record: of its bundle.
        weights: float32 by name; those of the spec.
        images: to choose from, at least one.
        model: how the bundle is named on the command line.
    """
    texts = read_texts()
    shape = record.preprocess.input_shape
    nodes = build_graph(infer_shapes(spec, shape, len(record.class_names)), shape)
    pictures = [(image.path, image.pixels) for image in images]
    network = network_data(nodes, spec.output, record, weights, pictures)
    kinds = {f"net.{node['kind']}" for node in network["nodes"]}
    data = {
        "texts": {key: text for key, text in texts.items() if key.startswith("inside.") or key in kinds},
        "network": network,
        "answers": [_answer(image) for image in images],
    }
    form = environment(texts).get_template("inside.html.j2")
    return Fragment(
        title=texts["inside.tab"],
        anchor="inside",
        html=form.render(data=script_json(data), permuted=network["permuted"], model=printable(model)),
        style=static("inside.css"),
        script="(() => {\n" + "\n".join(map(static, SCRIPTS)) + "})();",
    )


def _answer(image: Shown) -> dict[str, Any]:
    """What the page knows of an image beside its pixels; its path is that of the report's own list."""
    return {"path": printable(image.path), "true": image.true, "top": [list(pair) for pair in image.top]}
