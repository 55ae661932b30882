"""From images to explanations, a batch at a time. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from striate.data import decode_images
from striate.data.existing import Item
from striate.data.parallel import ahead
from striate.errors import DataError, UserError
from striate.explain import trust
from striate.explain.explanation import Explanation
from striate.explain.maps import Maps, class_maps, importance, layer_for, method_of
from striate.explain.subject import Subject

BATCH = 16
TOP = 5


@dataclass(frozen=True)
class Request:
    """What to make of each image.

    Attributes:
        method: one of `striate.explain.METHODS`.
        layer: name or number of the layer to look at; None: the last convolution.
        label: number of the class to explain; None: the predicted one.
        trust: whether each map gets a trust card.
        seed: of its draws.
    """

    method: str = "grad-cam"
    layer: str | int | None = None
    label: int | None = None
    trust: bool = True
    seed: int = 0


def explain_images(
    subject: Subject,
    items: Sequence[Item],
    request: Request | None = None,
    *,
    names: Sequence[str] | None = None,
    true: Sequence[str] | None = None,
    on_problem: Callable[[str, str], None] | None = None,
) -> Iterator[Explanation]:
    """Yield an explanation of each image, in their order; the next images are decoded meanwhile.

    Args:
        subject: the network.
        items: paths, PIL images or arrays.
        request: what to make of them.
        names: (N,), what the images are called; None: their paths.
        true: (N,), names of their true classes; None: unknown.
        on_problem: called with name and reason for each image that cannot be read; without it that is an
            error.

    Raises:
        UserError: the request does not fit the network.
        DataError: an image cannot be read.
    """
    request = request or Request()
    if subject.preprocess.permute_pixels is not None:
        raise UserError("the network sees its images with their pixels permuted: a map would show nothing.")
    layer = layer_for(subject, request.method, request.layer)
    for places, pixels in ahead(_decoded(subject, items, names, on_problem)):
        if not len(places):
            continue
        classes = None if request.label is None else [request.label] * len(places)
        maps = class_maps(subject, pixels, classes, request.method, layer or None)
        for row, place in enumerate(places):
            card = _card(subject, request, maps, pixels, row)
            given = {
                "image": _name(items, names, place),
                "item": items[place],
                "true": "" if true is None else true[place],
            }
            yield _explanation(subject, maps, row, {**given, **card})


def _decoded(
    subject: Subject,
    items: Sequence[Item],
    names: Sequence[str] | None,
    on_problem: Callable[[str, str], None] | None,
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield the places of some images that could be read, and their pixels."""
    for start in range(0, len(items), BATCH):
        decoded = decode_images(items[start : start + BATCH], subject.preprocess)
        for row, reason in sorted(decoded.reasons.items()):
            name = _name(items, names, start + row)
            if on_problem is None:
                raise DataError(f"{name} cannot be used: {reason}.")
            on_problem(name, reason)
        yield [start + row for row in decoded.kept.tolist()], decoded.images


def _card(subject: Subject, request: Request, maps: Maps, pixels: np.ndarray, row: int) -> dict[str, Any]:
    if not request.trust:
        return {}

    def again(changed: Subject, image: np.ndarray, label: int) -> np.ndarray:
        found = class_maps(changed, image[None], [label], maps.method, maps.layer or None)
        return importance(found.values[0], maps.method)

    values = importance(maps.values[row], maps.method)
    measures = trust.measure(subject, pixels[row], int(maps.classes[row]), values, again, request.seed)
    return {"measures": measures, "verdict": trust.judge(measures)}


def _explanation(subject: Subject, maps: Maps, row: int, given: dict[str, Any]) -> Explanation:
    shares = maps.probabilities[row]
    label = int(maps.classes[row])
    order = np.argsort(-shares, kind="stable")[:TOP]
    return Explanation(
        preprocess=subject.preprocess,
        label=subject.class_names[label],
        top=tuple((subject.class_names[k], float(shares[k])) for k in order),
        probability=float(shares[label]),
        values=maps.values[row],
        importance=importance(maps.values[row], maps.method),
        method=method_of(maps.method).name,
        layer=maps.layer,
        layer_shown=subject.layer_for_people(maps.layer),
        warnings=(*subject.warnings, *_remarks(maps, row)),
        **given,
    )


def _remarks(maps: Maps, row: int) -> list[str]:
    if (importance(maps.values[row], maps.method) > 0).any():
        return []
    return ["Nothing in this map speaks for the class: it is shown empty."]


def _name(items: Sequence[Item], names: Sequence[str] | None, place: int) -> str:
    if names is not None:
        return names[place]
    item = items[place]
    return str(item) if isinstance(item, str | Path) else f"image {place}"
