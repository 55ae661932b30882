"""The images that the page shows without a click: worst errors, least certain ones, samples of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

CARDS = 12
"""So many images of a gallery are shown at once; the others unfold."""
SAMPLE_CLASSES = 30
SAMPLES = 6
"""Sample images of a class."""


@dataclass(frozen=True)
class Card:
    """One image with what the network made of it.

    Attributes:
        path: of the image.
        file: its last part.
        true: name of the true class; None where unknown.
        right: whether it was named correctly; None where unknown.
        top: (class name, probability) of the most probable classes.
        thumbnail: data URI; empty where there is none.
        map: data URI of where the network looked; empty where that is not known.
    """

    path: str
    file: str
    true: str | None
    right: bool | None
    top: Sequence[tuple[str, float]]
    thumbnail: str
    map: str = ""


def cards(gallery: Mapping[str, Any] | None, which: str) -> list[Card]:
    """Return the images that `gallery[which]` names ("worst" or "uncertain"); none without a gallery."""
    return [] if gallery is None else [card(gallery, position) for position in gallery.get(which, ())]


def card(gallery: Mapping[str, Any], position: int) -> Card:
    """Return one image of a gallery (see `striate.evaluation.gallery.choose`)."""
    path, true, predicted, top, thumbnail = gallery["images"][position]
    names = gallery["classes"]
    return Card(
        path=path,
        file=PurePath(path).name or path,
        true=None if true < 0 else names[true],
        right=None if true < 0 else true == predicted,
        top=[(names[index], share) for index, share in top],
        thumbnail=gallery["thumbnails"][thumbnail] if thumbnail >= 0 else "",
        map=gallery.get("maps", {}).get(str(position), ""),
    )


def samples(gallery: Mapping[str, Any] | None) -> list[tuple[str, list[Card]]]:
    """Return some images of each true class that have a thumbnail, whatever they were taken for.

    Nothing for more than `SAMPLE_CLASSES` classes, or where no image could be read.
    """
    if gallery is None or len(gallery["classes"]) > SAMPLE_CLASSES:
        return []
    found: dict[int, list[Card]] = {index: [] for index in range(len(gallery["classes"]))}
    for position, (_, true, predicted, _, thumbnail) in enumerate(gallery["images"]):
        if true == predicted and thumbnail >= 0 and len(found[true]) < SAMPLES:
            found[true].append(card(gallery, position))
    rows = [(gallery["classes"][index], row) for index, row in found.items()]
    return rows if any(row for _, row in rows) else []
