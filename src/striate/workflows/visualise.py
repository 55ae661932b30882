"""A model and a layer or classes in; images that these respond to, and a page, out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import files
from striate.errors import UserError
from striate.report_file import ReportFile
from striate.workflows.explain_folder import choose_folder, name_of, picture_name
from striate.workflows.listener import Listener
from striate.workflows.subjects import find_subject

if TYPE_CHECKING:
    from striate.explain import Visualised

    PathLike = str | os.PathLike[str]

CLASSES = "classes"
"""In place of a layer's name: the scores of the classes."""
PAGE = "visualised.html"
GRID = "visualised.png"
FACTS = "visualised.json"


@dataclass(frozen=True)
class VisualisedFeatures:
    """What was made, and where it lies.

    Attributes:
        made: the images, and what they excite; in a notebook it shows itself.
        folder: holds the page, all images as one picture and each as a PNG, and `visualised.json`.
        page: one HTML file; in a notebook it shows itself.
    """

    made: Visualised
    folder: Path
    page: ReportFile

    def _repr_html_(self) -> str | None:
        return self.page._repr_html_()


def visualise(
    model: PathLike,
    what: str | int,
    *,
    channels: Sequence[int] | None = None,
    place: tuple[int, int] | None = None,
    class_name: str | int | None = None,
    ascent: str = "fourier",
    steps: int | None = None,
    size: int | None = None,
    out: PathLike | None = None,
    device: str = "auto",
    seed: int = 0,
    listener: Listener | None = None,
) -> VisualisedFeatures:
    """Make images that parts of a model respond to, by gradient ascent from noise.

    Args:
        model: folder of a bundle or run, or the name of a pretrained network.
        what: name or number of a layer, or "classes"; of one channel "LAYER,CHANNEL", of one number of its
            map "LAYER,CHANNEL,Y,X".
        channels: of the layer; by default the first 64, all in one optimisation.
        place: row and column of the one number of the map to raise, in place of its mean.
        class_name: with "classes": name or number of the only one; by default the first 64.
        ascent: one of `striate.explain.ASCENTS`: "fourier", "pixel" or "multi-scale".
        steps: of Adam, at each size; by default as the ascent says.
        size: side of the images in pixels; by default the input's of a class or of one number, else between
            64 and 128.
        out: folder to write; by default `runs/<name of the run, or of the model's folder>-visualised`, with a
            number where that is taken.
        device: of torch: "auto", "cpu", "cuda" or "mps".
        seed: of the noise and the moves.
        listener: hears how it goes.

    Raises:
        UserError: the model, the layer, a channel, a class or the folder cannot be used.
    """
    from striate.explain.ascent import named
    from striate.explain.maps import class_number
    from striate.explain.visualisation import visualise as make
    from striate.explain.visualisation import visualise_classes

    listener = listener or Listener()
    how = replace(named(ascent), seed=seed)
    if steps is not None:
        how = replace(how, steps=steps)
    subject = find_subject(os.fspath(model), device)
    common: dict[str, Any] = {
        "size": size,
        "on_step": lambda done, total: listener.stage("climbing", done, total),
    }
    if what == CLASSES:
        classes = None if class_name is None else [class_number(class_name, subject.class_names)]
        made = visualise_classes(subject, classes, how, **common)
    else:
        if class_name is not None:
            raise UserError(f"a class has no part in layer {what!r}: visualise {CLASSES!r}, or leave it out.")
        layer, channels, place = _parse(what, channels, place)
        made = make(subject, layer, channels, how, place=place, **common)
    return _write(made, choose_folder(f"{name_of(model, subject.name)}-visualised", out))


def _parse(
    what: str | int, channels: Sequence[int] | None, place: tuple[int, int] | None
) -> tuple[str | int, Sequence[int] | None, tuple[int, int] | None]:
    """Return layer, channels and place, for "LAYER", "LAYER,CHANNEL" or "LAYER,CHANNEL,Y,X"."""
    layer, *numbers = str(what).split(",")
    if not numbers:
        return what, channels, place
    try:
        found = [int(number) for number in numbers]
    except ValueError:
        found = []
    if len(found) not in (1, 3) or channels is not None:
        raise UserError(
            f"cannot visualise {what!r}: expected LAYER, LAYER,CHANNEL or LAYER,CHANNEL,Y,X, or {CLASSES}."
        )
    return layer, found[:1], (found[1], found[2]) if len(found) == 3 else place


def _write(made: Visualised, folder: Path) -> VisualisedFeatures:
    from striate.explain.gallery import png, render
    from striate.explain.visualisation_page import gallery_of
    from striate.figure_style import save

    facts = made.facts()
    for fact, image in zip(facts["images"], made.images, strict=True):
        stem = fact["name"] if not made.layer else made.layer
        fact["picture"] = picture_name(f"{fact['number']:04d}", stem)
        files.write_bytes(folder / fact["picture"], png(image))
    save(made.figure(), folder / GRID)
    files.write_json(folder / FACTS, facts)
    page = ReportFile(folder / PAGE)
    files.write_text(Path(page), render(gallery_of(made)))
    return VisualisedFeatures(made, folder, page)
