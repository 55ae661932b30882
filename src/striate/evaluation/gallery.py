"""Which images a report shows, and all that its page has to know of them, as plain values.

Every mistake is of interest, few of the images named correctly are, and a page has room for some hundred
thumbnails. So images are taken in turns: the worst errors and the least certain ones first, then one image of
each cell of the confusion matrix, a second of each, and so on, until the room is used up.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from striate.evaluation.metrics import chunks
from striate.offline_page import script_json
from striate.schemas import Predictions

Thumbnails = Callable[[Sequence[str]], Sequence[bytes | None]]
"""Gives a JPEG or PNG for each path; None where the image cannot be read any more."""

HIGHLIGHTS = 48
"""So many worst errors are shown, and so many least certain images."""
MAPS = 12
"""So many of the worst errors are asked for a map: those that are shown without a click."""
RIGHT_IMAGES = 800
"""So many images named correctly are shown, shared among the classes."""
RIGHT_PER_CLASS = 24
TOP_CLASSES = 3
BUDGET_BYTES = 3_000_000
"""Room for the thumbnails, as they stand in the page (base64)."""
IMAGE_TEXT_BYTES = 600_000
"""Room for names and probabilities."""
TEXT_BYTES = 1_000_000
"""Where all text takes more than this (very many classes), the thumbnails have so much less room."""
LISTED_CELLS = 40_000
_BATCH = 256
_DIGITS = 4
_MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def choose(
    predictions: Predictions,
    thumbnails: Thumbnails | None = None,
    budget_bytes: int = BUDGET_BYTES,
    *,
    split: str = "",
    maps: Thumbnails | None = None,
) -> dict[str, Any]:
    """Return which images a report shows, ready for `offline_page.script_json`.

    `images` holds `[name, true class, predicted class, [[class, probability], ...], thumbnail]`, classes as
    positions in `classes` (true: -1 where unknown), the three most probable ones, thumbnail as a position in
    `thumbnails` or -1. `cells` maps `"true,predicted"` to the `count` of images, positions of the `images`
    shown (the most confident first) and whether these are all (`complete`). `worst` are the mistakes with the
    highest probability, `uncertain` the images whose two most probable classes lie closest together, both as
    positions in `images`. `maps` maps positions of the worst errors, as text, to pictures (data URIs).
    `missing` counts the images that could not be read any more.

    The same predictions always give the same choice. The worst errors and the least certain images come
    first; then the cells take turns, mistakes before images named correctly and full cells before small
    ones, so that no cell has a second thumbnail before each has one.

    Args:
        predictions: finite logits; images without a label belong to no cell.
        thumbnails: asked in batches, until the budget is used up; None: no thumbnails.
        budget_bytes: for all thumbnails, as data URIs.
        split: what the images are called.
        maps: asked for the worst errors: where the network looked; None where it has none.

    Raises:
        ValueError: a thumbnail is neither JPEG nor PNG.
    """
    scores = _Scores.of(predictions)
    order, worst, uncertain = _order(scores)
    order = order[: _fitting(predictions.images, order)]
    place = np.full(len(predictions.labels), -1)
    place[order] = np.arange(len(order))
    chosen: dict[str, Any] = {
        "classes": list(predictions.class_names),
        "split": split,
        "images": _images(predictions, scores, order),
        "thumbnails": [],
        "cells": _cells(scores, order),
        "worst": [position for position in place[worst].tolist() if position >= 0],
        "uncertain": [position for position in place[uncertain].tolist() if position >= 0],
        "maps": {},
        "missing": 0,
    }
    if maps is not None:
        budget_bytes -= _add_maps(chosen, maps)
    if thumbnails is not None:
        room = budget_bytes - max(0, len(script_json(chosen).encode()) - TEXT_BYTES)
        chosen["missing"] = _add_thumbnails(chosen, thumbnails, room)
    return chosen


@dataclass(frozen=True)
class _Scores:
    """What decides whether an image is shown.

    Attributes:
        true: int64 (N,), -1 where unknown.
        predicted: int64 (N,).
        confidence: float64 (N,), probability of the predicted class.
        margin: float64 (N,), how much more probable it is than the second class.
        classes: K.
    """

    true: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    margin: np.ndarray
    classes: int

    @classmethod
    def of(cls, predictions: Predictions) -> _Scores:
        count = len(predictions.labels)
        confidence, margin = np.empty(count), np.empty(count)
        start = 0
        for part in chunks(predictions):
            rows = slice(start, start + len(part.labels))
            confidence[rows], margin[rows] = _confidence_and_margin(part.logits)
            start = rows.stop
        true = predictions.labels.astype(np.int64)
        return cls(true, predictions.predicted, confidence, margin, len(predictions.class_names))

    @property
    def cell(self) -> np.ndarray:
        """int64 (N,): row-major position in the confusion matrix; -1 without a label."""
        cells: np.ndarray = np.where(self.true < 0, -1, self.true * self.classes + self.predicted)
        return cells


def _confidence_and_margin(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest probability, and what it is ahead of the second, both float64 (n,)."""
    top = np.partition(logits, -2, axis=1)[:, -2:].astype(np.float64)
    total = np.exp(logits - top[:, 1:]).sum(axis=1)
    confidence = 1 / total
    return confidence, confidence * -np.expm1(top[:, 0] - top[:, 1])


def _order(scores: _Scores) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the images to show, the weightiest first; the worst errors; the least certain images."""
    mistakes = np.flatnonzero((scores.true >= 0) & (scores.true != scores.predicted))
    right = np.flatnonzero(scores.true == scores.predicted)
    worst = mistakes[np.argsort(-scores.confidence[mistakes], kind="stable")][:HIGHLIGHTS]
    uncertain = np.argsort(scores.margin, kind="stable")[:HIGHLIGHTS]
    right = _spread(right, scores)
    turns = np.concatenate([mistakes, right])
    rank, size = np.empty(len(turns), np.int64), np.empty(len(turns), np.int64)
    for part, images in ((slice(0, len(mistakes)), mistakes), (slice(len(mistakes), None), right)):
        rank[part], size[part] = _rank(images, scores)
    correct = np.arange(len(turns)) >= len(mistakes)
    by_turns = turns[np.lexsort((turns, scores.cell[turns], -size, correct, rank))]
    order = np.concatenate([worst, uncertain, by_turns])
    _, first = np.unique(order, return_index=True)
    return order[np.sort(first)], worst, uncertain


def _rank(images: np.ndarray, scores: _Scores) -> tuple[np.ndarray, np.ndarray]:
    """Return each image's place in its cell, the most confident first, and the number of images there."""
    cell = scores.cell[images]
    by_cell = np.lexsort((images, -scores.confidence[images], cell))
    _, start, number, count = np.unique(
        cell[by_cell], return_index=True, return_inverse=True, return_counts=True
    )
    rank, size = np.empty(len(images), np.int64), np.empty(len(images), np.int64)
    rank[by_cell] = np.arange(len(images)) - start[number]
    size[by_cell] = count[number]
    return rank, size


def _spread(right: np.ndarray, scores: _Scores) -> np.ndarray:
    """Return some of the images named correctly: of each class, from the most confident to the least."""
    quota = max(1, min(RIGHT_PER_CLASS, RIGHT_IMAGES // scores.classes))
    rank, size = _rank(right, scores)
    wanted = np.minimum(quota, size)
    taken: np.ndarray = right[(rank + 1) * wanted // size > rank * wanted // size]
    return taken


def _fitting(names: Sequence[str], order: np.ndarray) -> int:
    """Return how many images of `order` there is room for."""
    sizes = [len(script_json(names[index]).encode()) + 20 + 14 * TOP_CLASSES for index in order]
    return int(np.searchsorted(np.cumsum(sizes), IMAGE_TEXT_BYTES, side="right"))


def _images(predictions: Predictions, scores: _Scores, order: np.ndarray) -> list[list[Any]]:
    rows: list[list[Any]] = []
    shown = Predictions(
        tuple(predictions.images[index] for index in order),
        scores.true[order],
        predictions.logits[order],
        predictions.class_names,
    )
    for part in chunks(shown):
        top = np.argsort(-part.logits, axis=1, kind="stable")[:, :TOP_CLASSES]
        shares = np.take_along_axis(part.probabilities, top, axis=1).round(_DIGITS)
        columns = (part.images, part.labels.tolist(), top.tolist(), shares.tolist())
        for name, true, classes, probabilities in zip(*columns, strict=True):
            pairs = [list(pair) for pair in zip(classes, probabilities, strict=True)]
            rows.append([name, true, classes[0], pairs, -1])
    return rows


def _cells(scores: _Scores, order: np.ndarray) -> dict[str, dict[str, Any]]:
    """Return every cell that holds images, with those that are shown."""
    labelled = scores.cell[scores.true >= 0]
    cells, counts = np.unique(labelled, return_counts=True)
    shown: dict[int, list[int]] = {}
    positions = np.lexsort((order, -scores.confidence[order]))
    for position, cell in zip(positions.tolist(), scores.cell[order[positions]].tolist(), strict=True):
        shown.setdefault(cell, []).append(position)
    if len(cells) > LISTED_CELLS:
        fullest = np.argsort(-counts, kind="stable")[:LISTED_CELLS]
        kept = np.isin(cells, [*shown, *cells[fullest]])
        cells, counts = cells[kept], counts[kept]
    return {
        f"{cell // scores.classes},{cell % scores.classes}": {
            "count": count,
            "images": shown.get(cell, []),
            "complete": len(shown.get(cell, [])) == count,
        }
        for cell, count in zip(cells.tolist(), counts.tolist(), strict=True)
    }


def _add_thumbnails(chosen: dict[str, Any], thumbnails: Thumbnails, room: int) -> int:
    """Give images thumbnails while there is room; return how many images could not be read."""
    missing, full = 0, room <= 0
    remaining = iter(chosen["images"])
    while not full and (batch := list(islice(remaining, _BATCH))):
        for row, content in zip(batch, thumbnails([row[0] for row in batch]), strict=True):
            if content is None:
                missing += 1
                continue
            uri = data_uri(content)
            if len(uri) + 3 > room:  # with quotes and comma
                full = True
                continue
            room -= len(uri) + 3
            row[4] = len(chosen["thumbnails"])
            chosen["thumbnails"].append(uri)
    return missing


def _add_maps(chosen: dict[str, Any], maps: Thumbnails) -> int:
    """Give the worst errors their maps; return how much room these take."""
    worst = chosen["worst"][:MAPS]
    for position, content in zip(worst, maps([chosen["images"][row][0] for row in worst]), strict=True):
        if content is not None:
            chosen["maps"][str(position)] = data_uri(content)
    return sum(len(uri) for uri in chosen["maps"].values())


def data_uri(content: bytes) -> str:
    """Return a JPEG or PNG file as a data URI.

    Raises:
        ValueError: it is neither.
    """
    for start, kind in _MEDIA_TYPES.items():
        if content.startswith(start):
            return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    raise ValueError(f"a thumbnail starts with {content[:8]!r}; expected a JPEG or PNG file")


def missing_note(gallery: Mapping[str, Any]) -> str:
    """Return what to say of images that could not be read any more; nothing where all could."""
    missing = gallery["missing"]
    if not missing:
        return ""
    images = "1 image" if missing == 1 else f"{missing:,} images"
    return f"{images} could not be read any more, so placeholders are shown: moved, deleted or damaged since?"
