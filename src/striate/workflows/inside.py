"""What the network computed, for the report: a small network and some test images, ready for its page."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import bundle
from striate.errors import BundleError, RunError, SpecError

if TYPE_CHECKING:
    from striate.architectures import Spec
    from striate.bundle import BundleRecord
    from striate.lesson.inside import Shown
    from striate.offline_page import Fragment
    from striate.runs import Run

MOST_PARAMETERS = 270_000
"""Of more nothing is looked into at all; `striate.lesson.inside` has the limits."""
WRONG, RIGHT = 12, 6
"""So many of the worst errors are shown: those that the report shows without a click; and so many others."""


def inside_section(run: Run, split: str, gallery: Mapping[str, Any] | None) -> Fragment | None:
    """Return the report's section of what the network computed.

    None where the network is large, of a library, not to be had any more, or measured as an average over
    views; and where the images are gone.

    Args:
        run: with predictions and facts.
        split: that the report is about.
        gallery: the images that it shows (`striate.evaluation.gallery.choose`).
    """
    parameters = run.facts().get("network", {}).get("parameters")
    if gallery is None or not isinstance(parameters, int) or parameters > MOST_PARAMETERS:
        return None
    model = Path(str(run.facts().get("model", run.model)))
    try:
        record = bundle.read_record(model)
        spec = _small_spec(record)
        if spec is None:
            return None
        images = _images(run, split, record, gallery)
        if not images:
            return None
        _, weights = bundle.read(model)
    except (BundleError, RunError):
        return None
    from striate.lesson.inside import render_inside

    return render_inside(spec, record, weights, images, shlex.quote(os.fspath(model)))


def _small_spec(record: BundleRecord) -> Spec | None:
    """The network's layers, where they are known, and small enough for a report."""
    from striate.architectures import Spec
    from striate.lesson.inside import fits_inside

    if record.spec is None or record.preprocess.views != "one":
        return None
    try:
        spec = Spec.from_dict(record.spec)
        return spec if fits_inside(spec, record) else None
    except SpecError:
        return None


def _images(run: Run, split: str, record: BundleRecord, gallery: Mapping[str, Any]) -> list[Shown]:
    """Some images of the report, as the network takes them, as many as there is room for."""
    from striate.data.thumbnails import input_reader
    from striate.lesson.inside import PICTURE_BYTES, Shown
    from striate.workflows.origins import images_of

    rows = [gallery["images"][position] for position in _chosen(gallery)]
    read = input_reader(*images_of(run, split), record.preprocess)
    found = zip(rows, read([row[0] for row in rows]), strict=True)
    shown = [
        Shown(path, pixels, true, [(index, share) for index, share in top])
        for (path, true, _, top, _), pixels in found
        if pixels is not None
    ]
    return shown[: max(1, PICTURE_BYTES // shown[0].pixels.size)] if shown else []


def _chosen(gallery: Mapping[str, Any]) -> list[int]:
    """Positions of the worst errors and of images named correctly, of another class each, taking turns.

    Without errors, as where no class is known: the least certain images.
    """
    wrong = list((gallery["worst"] or gallery["uncertain"])[:WRONG])
    right: dict[int, int] = {}
    for position, (_, true, named, _, _) in enumerate(gallery["images"]):
        if true == named and position not in wrong:
            right.setdefault(true, position)
    others = list(right.values())[:RIGHT]
    turns: list[int] = []
    while wrong or others:
        turns += wrong[:2] + others[:1]
        wrong, others = wrong[2:], others[1:]
    return turns
