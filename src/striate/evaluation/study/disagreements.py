"""The images on which two entries disagree, with what each of all entries answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from striate.evaluation.gallery import Thumbnails, data_uri
from striate.evaluation.study.answers import Answers, majority, parts_of

SHOWN = 60
"""So many images of each kind of disagreement of a pair are listed, the surest mistakes first."""
BUDGET_BYTES = 3_000_000
"""Room for the thumbnails, as they stand in the page (base64)."""
_BATCH = 128


def choose(
    result: Mapping[str, Any],
    answers: Answers,
    thumbnails: Thumbnails | None,
    budget_bytes: int = BUDGET_BYTES,
) -> dict[str, Any]:
    """Return which images the page shows, ready for `offline_page.script_json`.

    `images` holds `[name, true class, [[class, runs] of each entry], thumbnail]`: the right class where more
    than half of the runs named it, else the commonest mistake, and how many runs answered so; the thumbnail
    as a position in `thumbnails`, or -1. `pairs` holds, for each comparison on this set, `only_first` and
    `only_second`: positions in `images`. The pairs and kinds
    take turns, so that each shows its surest mistakes before the room is used up.

    Args:
        result: of `compare_entries`.
        answers: of the set to show: the first.
        thumbnails: asked in batches, until the budget is used up; None: no pictures.
        budget_bytes: for all thumbnails, as data URIs.
    """
    parts = parts_of([len(entry["runs"]) for entry in result["entries"]])
    rows = [row for row in result["comparisons"] if row["set"] == result["sets"][0]["name"]]
    kinds = [
        kind for row in rows for kind in _disagreements(answers, parts[row["first"]], parts[row["second"]])
    ]
    order = list(dict.fromkeys(image for turn in zip_longest(*kinds) for image in turn if image is not None))
    place = {image: position for position, image in enumerate(order)}
    listed = [[place[image] for image in kind] for kind in kinds]
    chosen = {
        "classes": list(answers.class_names),
        "images": [_image(answers, image, parts) for image in order],
        "thumbnails": [],
        "pairs": [
            {"only_first": first, "only_second": second}
            for first, second in zip(listed[::2], listed[1::2], strict=True)
        ],
    }
    if thumbnails is not None:
        _add_thumbnails(chosen, thumbnails, budget_bytes)
    return chosen


def _disagreements(answers: Answers, first: slice, second: slice) -> list[list[int]]:
    """Images that most runs of the first alone name correctly, and of the second; surest mistakes first."""
    right = answers.correct
    ours, theirs = majority(right[first]), majority(right[second])
    found = []
    for images, wrong in ((ours & ~theirs, second), (theirs & ~ours, first)):
        places = np.flatnonzero(images)
        sure = np.where(right[wrong][:, places], 0.0, answers.confidence[wrong][:, places]).mean(axis=0)
        found.append(places[np.argsort(-sure, kind="stable")][:SHOWN].tolist())
    return found


def _image(answers: Answers, image: int, parts: Sequence[slice]) -> list[Any]:
    label = int(answers.labels[image])
    given = [list(_answer(answers.predicted[part, image], label)) for part in parts]
    return [answers.images[image], label, given, -1]


def _answer(predicted: np.ndarray, label: int) -> tuple[int, int]:
    """Return the right class if most runs named it, else the commonest mistake, and how many did.

    Args:
        predicted: int64 (R,), what the runs of an entry answered.
        label: the right class.
    """
    right = predicted == label
    if right.mean() > 0.5:
        return label, int(np.count_nonzero(right))
    classes, runs = np.unique(predicted[~right], return_counts=True)
    most = int(np.argmax(runs))
    return int(classes[most]), int(runs[most])


def _add_thumbnails(chosen: dict[str, Any], thumbnails: Thumbnails, room: int) -> None:
    """Give images thumbnails, in their order, while there is room."""
    images = chosen["images"]
    batches = (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))
    pictures = chain.from_iterable(
        zip(batch, thumbnails([row[0] for row in batch]), strict=True) for batch in batches
    )
    for row, content in pictures:
        if content is None:
            continue
        uri = data_uri(content)
        room -= len(uri) + 3  # with quotes and comma
        if room < 0:
            return
        row[3] = len(chosen["thumbnails"])
        chosen["thumbnails"].append(uri)
