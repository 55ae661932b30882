"""A trained network and pictures in, one page to touch it out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import bundle, files
from striate.errors import BundleError, SpecError, UserError
from striate.workflows.listener import Listener

if TYPE_CHECKING:
    from striate.architectures.graph import Node
    from striate.backbones.models import Description
    from striate.bundle import BundleRecord
    from striate.schemas import Preprocess

    PathLike = str | os.PathLike[str]
    Named = list[tuple[str, np.ndarray]]

OUT = "lesson.html"
MAX_PICTURES = 12
"""More are left out: the page should stay light."""


def lesson(
    model: PathLike | None = None,
    images: PathLike | Sequence[PathLike] = (),
    *,
    out: PathLike = OUT,
    listener: Listener | None = None,
) -> Path:
    """Write a page that teaches how a convolutional network works, on a network of one's own.

    Args:
        model: folder of a bundle or of a run; without it the page has no screen "Your network".
        images: files and folders of images to play with; some simple ones are always there.
        out: HTML file to write.
        listener: hears of images that cannot be read or are too many.

    Returns:
        The file.

    Raises:
        UserError: the bundle, an image path or `out` cannot be used.
    """
    from striate.lesson import render_lesson

    listener = listener or Listener()
    if Path(out).is_dir():
        raise UserError(f"cannot write {out}: it is a folder. Name a file, such as {Path(out) / OUT}.")
    target = files.named_file(out)
    paths = _chosen([images] if isinstance(images, str | os.PathLike) else list(images), listener)
    pictures, problems = _grey_pictures(paths)
    for path, reason in problems:
        listener.message(f"{path}: {reason}")
    network = None if model is None else _network(model, paths, problems)
    files.write_text(target, render_lesson(network, pictures))
    return Path(out)


def _chosen(images: Sequence[PathLike], listener: Listener) -> list[Path]:
    from striate.data import list_images

    if not images:
        return []
    paths, problems = list_images([Path(path) for path in images])
    for path, reason in problems:
        listener.message(f"{path}: {reason}")
    if len(paths) > MAX_PICTURES:
        listener.message(f"of {len(paths):,} images the first {MAX_PICTURES} are on the page")
    return paths[:MAX_PICTURES]


def _grey_pictures(paths: Sequence[Path]) -> tuple[Named, list[tuple[str, str]]]:
    """Names and uint8 (side, side) of the images, and path and reason of those that cannot be read."""
    from striate.lesson.pictures import SIDE
    from striate.schemas import Preprocess

    grey = Preprocess(channels=1, height=SIDE, width=SIDE, fit="crop", mean=(0.0,), std=(1.0,))
    decoded, problems = _decode(paths, grey)
    return [(name, pixels[0]) for name, pixels in decoded], problems


def _decode(paths: Sequence[Path], preprocess: Preprocess) -> tuple[Named, list[tuple[str, str]]]:
    from striate.data import decode_images

    decoded = decode_images(paths, preprocess)
    named = [(paths[row].stem, pixels) for row, pixels in zip(decoded.kept, decoded.images, strict=True)]
    return named, [(paths[row].name, reason) for row, reason in sorted(decoded.reasons.items())]


def _network(model: PathLike, paths: Sequence[Path], problems: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What the page holds of the bundle, with the images as it takes them."""
    from striate.backbones.models import description_of
    from striate.data import decode_images
    from striate.lesson import network_data
    from striate.lesson.pictures import built_in_images

    record, weights = bundle.read(Path(model))
    try:
        description = description_of(record.spec, record.backbone)
        nodes = _operations(description, record, weights)
        pictures, _ = _decode(paths, record.preprocess)
        built_in = built_in_images()
        drawn = decode_images(list(built_in.values()), record.preprocess).images
        named = [*pictures, *zip(built_in, drawn, strict=True)]
        return network_data(nodes, description.output, record, weights, named, problems)
    except SpecError as error:
        raise BundleError(f"the bundle {model} does not fit together: {error}") from error


def _operations(
    description: Description, record: BundleRecord, weights: Mapping[str, np.ndarray]
) -> list[Node]:
    """The network, operation by operation; of one that cannot be followed, one that the page does not know.

    Raises:
        SpecError: the weights are not those of the network.
        UserError: the network's library is not installed.
    """
    from striate.architectures import Spec, check_weights, infer_shapes, weight_shapes
    from striate.architectures.graph import CLOSED, INPUT, Node, build_graph

    shape, classes = record.preprocess.input_shape, len(record.class_names)
    if isinstance(description, Spec):
        check_weights(weights, weight_shapes(description, shape, classes))
        return build_graph(infer_shapes(description, shape, classes), shape)
    from striate.backbones import building
    from striate.backbones.tracing import trace

    network = building.on_meta(description, shape, classes)
    check_weights(weights, {name: tuple(value.shape) for name, value in network.state_dict().items()})
    closed = [Node(INPUT, INPUT, {}, (), shape), Node(description.name, CLOSED, {}, (0,), ())]
    return trace(network, shape) or closed
