"""A model and images in; class maps, trust cards and a page out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import files
from striate.errors import DataError, UserError
from striate.report_file import ReportFile
from striate.workflows.explain_folder import made_folder, name_of, picture_name
from striate.workflows.listener import Listener
from striate.workflows.subjects import find_subject, worst_errors

if TYPE_CHECKING:
    import numpy as np

    from striate.explain import Explanation, Request, Subject
    from striate.explain.page import Shown

    PathLike = str | os.PathLike[str]

PAGE = "explain.html"
FACTS = "explain.json"
MAPS = "maps.safetensors"
ON_PAGE = 200
"""So many explanations stand on the page; the files hold all."""


@dataclass(frozen=True)
class Explained:
    """What was explained, and where it lies.

    Attributes:
        explanations: one for each image; in a notebook each shows itself.
        folder: holds the page, a PNG for each image, `explain.json`, and `maps.safetensors`: the maps, signed
            and unnormalised, by the numbers of the images.
        page: one HTML file; in a notebook it shows itself.
        problems: path and reason of each image that could not be read.
    """

    explanations: tuple[Explanation, ...]
    folder: Path
    page: ReportFile
    problems: tuple[tuple[str, str], ...]

    def _repr_html_(self) -> str | None:
        return self.page._repr_html_()


@dataclass(frozen=True)
class _Images:
    """What is to be explained: items, what they are called, and their true classes where they are known."""

    items: Sequence[Any]
    names: Sequence[str] | None = None
    true: Sequence[str] | None = None


def explain(
    model: PathLike,
    images: PathLike | Sequence[PathLike] | None = None,
    *,
    errors: int | None = None,
    class_name: str | int | None = None,
    method: str = "grad-cam",
    layer: str | int | None = None,
    trust: bool = True,
    out: PathLike | None = None,
    device: str = "auto",
    seed: int = 0,
    listener: Listener | None = None,
) -> Explained:
    """Show where in images a model finds a class, and how far that can be trusted.

    Args:
        model: folder of a bundle or run, or the name of a pretrained network.
        images: files and folders; folders are searched for images.
        errors: in place of images, so many of the run's mistakes, the most confident first.
        class_name: name or number of the class to explain; by default the predicted one of each image.
        method: one of `striate.explain.METHODS`.
        layer: name or number of the layer to look at, also of one of its calls, "relu #2"; by default the
            last convolution, or of a transformer the last tokens.
        trust: whether each map gets a trust card.
        out: folder to write; by default `runs/<name of the run, or of the model's folder>-explain`, with a
            number where that is taken.
        device: of torch: "auto", "cpu", "cuda" or "mps".
        seed: of the trust cards' draws.
        listener: hears how it goes.

    Raises:
        UserError: the model, a class, a layer or the folder cannot be used, or no image can be read.
    """
    from striate.explain import Request
    from striate.explain.maps import class_number, layer_for

    listener = listener or Listener()
    subject = find_subject(os.fspath(model), device)
    label = None if class_name is None else class_number(class_name, subject.class_names)
    request = Request(method, layer, label, trust, seed)
    layer_for(subject, method, layer)
    problems: list[tuple[str, str]] = []
    found = _find_images(model, images, errors, problems)
    with made_folder(f"{name_of(model, subject.name)}-explain", out, images) as folder:
        for text in (*subject.warnings, *_costs(subject, method, layer)):
            listener.message(text)
        explanations = _explain_all(subject, request, found, problems, listener)
        return _write(folder, subject, explanations, problems, listener)


def _find_images(
    model: PathLike,
    images: PathLike | Sequence[PathLike] | None,
    errors: int | None,
    problems: list[tuple[str, str]],
) -> _Images:
    from striate.data import list_images

    if images is None and errors is None:
        raise UserError("expected images or folders of images, or --errors N: the N worst errors of the run.")
    if images is not None and errors is not None:
        raise UserError("expected images or --errors, not both.")
    if images is None:
        names, true, items = worst_errors(Path(model), errors or 0, problems)
        return _Images(items, names, true)
    given = [images] if isinstance(images, str | os.PathLike) else list(images)
    paths, unnamed = list_images([Path(path) for path in given])
    problems += unnamed
    return _Images(paths)


def _costs(subject: Subject, method: str, layer: str | int | None) -> Iterator[str]:
    if method != "score-cam":
        return
    from striate.explain.layers import channels_of
    from striate.explain.maps import layer_for

    name = layer_for(subject, method, layer)
    channels = channels_of(subject.network, subject.preprocess.input_shape, name)
    yield (
        f"Score-CAM computes the network once for each of {channels:,} channels, for every image and, with a "
        "trust card, twelve times more: minutes an image with a large network."
    )


def _explain_all(
    subject: Subject,
    request: Request,
    images: _Images,
    problems: list[tuple[str, str]],
    listener: Listener,
) -> list[Explanation]:
    from striate.explain import explain_images

    total = len(images.items)
    explanations: list[Explanation] = []
    listener.stage("explaining", 0, total)
    found = explain_images(
        subject,
        images.items,
        request,
        names=images.names,
        true=images.true,
        on_problem=lambda path, reason: problems.append((path, reason)),
    )
    for explanation in found:
        explanations.append(explanation)
        listener.stage("explaining", len(explanations), total)
    for path, reason in problems:
        listener.message(f"{path}: {reason}")
    if not explanations:
        raise DataError(
            f"none of the {len(problems)} images could be read; the first: {': '.join(problems[0])}."
        )
    return explanations


def _write(
    folder: Path,
    subject: Subject,
    explanations: Sequence[Explanation],
    problems: Sequence[tuple[str, str]],
    listener: Listener,
) -> Explained:
    from striate.data.parallel import each
    from striate.explain.page import MANY, SIDE, SMALL_SIDE, render

    side = SMALL_SIDE if len(explanations) > MANY else SIDE
    numbered = [(f"{number:04d}", one) for number, one in enumerate(explanations, start=1)]
    work = each(lambda one: _draw(folder, side, *one), numbered, "writing pictures", listener.stage)
    drawn = list(work)
    facts = [
        {"number": number, "picture": picture} | one.facts()
        for (number, one), (picture, _) in zip(numbered, drawn, strict=True)
    ]
    files.write_json(folder / FACTS, {"model": subject.name, "images": facts, "problems": list(problems)})
    files.write_bytes(folder / MAPS, _maps({number: one.values for number, one in numbered}, facts))
    page = ReportFile(folder / PAGE)
    title = explanations[0].name if len(explanations) == 1 else folder.resolve().name
    shown = [one for _, one in drawn if one is not None]
    files.write_text(Path(page), render(shown, title=title, model=subject.name, problems=problems))
    return Explained(tuple(explanations), folder, page, tuple(problems))


def _draw(folder: Path, side: int, number: str, explanation: Explanation) -> tuple[str, Shown | None]:
    """Write the map on its image; return the file's name and, of the first ones, what the page shows."""
    from striate.explain.overlay import as_png
    from striate.explain.page import show

    drawn = explanation.drawn()  # the image is read and overlaid once
    name = picture_name(number, Path(explanation.name).stem)
    files.write_bytes(folder / name, as_png(drawn[1]))
    return name, show(explanation, side, drawn) if int(number) <= ON_PAGE else None


def _maps(values: dict[str, np.ndarray], facts: Sequence[Any]) -> bytes:
    import numpy as np
    import safetensors.numpy

    metadata = {one["number"]: json.dumps({key: one[key] for key in _MAP_FACTS}) for one in facts}
    arrays = {number: np.ascontiguousarray(array, np.float32) for number, array in values.items()}
    return safetensors.numpy.save(arrays, metadata)


_MAP_FACTS = ("image", "class", "method", "layer")
