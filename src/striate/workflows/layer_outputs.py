"""What a layer of a model puts out for one image or two, as a picture or as numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from striate.errors import UserError
from striate.workflows.listener import Listener
from striate.workflows.subjects import find_subject

if TYPE_CHECKING:
    from striate.explain import Activations, Subject
    from striate.inference import Classifier

    PathLike = str | os.PathLike[str]

MOST_IMAGES = 2
NUMBERS = ".csv"
"""How the name of a file ends that takes every number instead of a picture."""


def show_activations(
    model: PathLike,
    images: PathLike | Sequence[PathLike],
    layer: str | int,
    *,
    channels: Sequence[int] | None = None,
    out: PathLike | None = None,
    device: str = "auto",
    engine: str = "torch",
    listener: Listener | None = None,
) -> Activations:
    """Return what a layer puts out for one image, or two to compare; in a notebook it shows itself.

    Args:
        model: folder of a bundle or run, or the name of a pretrained network.
        images: one image file, or two.
        layer: its name or number, also of one of its calls: "relu #2"; by default the last.
        channels: those to draw, or to write; by default the first 64, and all as numbers.
        out: PNG or SVG file to write; or CSV, with a row for each number (`Activations.table`).
        device: of torch: "auto", "cpu", "cuda" or "mps".
        engine: "torch", or "numpy", which never imports torch.
        listener: hears how many channels are dead, and which tell two images apart.

    Raises:
        UserError: the model, an image, the layer or a channel cannot be used.
    """
    from striate.data import read_images
    from striate.explain import activations
    from striate.workflows.drawings import FIGURES, check_target, write_drawing

    listener = listener or Listener()
    given = [images] if isinstance(images, str | os.PathLike) else list(images)
    if not 1 <= len(given) <= MOST_IMAGES:
        raise UserError(f"{len(given)} images are given; expected one, or two to compare.")
    if out is not None:
        check_target(Path(out), given, (*FIGURES, NUMBERS))
    classifier = _open(os.fspath(model), device, engine)
    pixels = read_images([os.fspath(one) for one in given], classifier.preprocess)
    (seen,) = activations(classifier, pixels, layer, [Path(one).name for one in given]).values()
    if seen.calls > 1 and " #" not in seen.layer:
        listener.message(
            f"{seen.layer} is called {seen.calls} times for an image; this is the last, '{seen.layer} "
            f"#{seen.calls}'. Name another as '{seen.layer} #1'."
        )
    listener.message(f"{seen.layer}: {len(seen.dead)} of {seen.values.shape[1]} channels are dead here.")
    if len(given) == MOST_IMAGES:
        best = ", ".join(map(str, seen.telling_apart().tolist()))
        listener.message(f"the channels that tell both images apart best: {best}")
    if out is not None and Path(out).suffix.lower() == NUMBERS:
        _write_numbers(seen, channels, Path(out))
    elif out is not None:
        write_drawing(seen.figure(channels), Path(out), *given)
    return seen


def _write_numbers(seen: Activations, channels: Sequence[int] | None, out: Path) -> None:
    from striate import schemas
    from striate.explain.naming import check_channel

    table = seen.table()
    if channels is not None:
        for channel in channels:
            check_channel(channel, seen.values.shape[1], seen.layer)
        table = table[table["channel"].isin(channels)]
    schemas.write_table(out, table.assign(image=table["image"].map(schemas.guard)))


def _open(model: str, device: str, engine: str) -> Classifier | Subject:
    """Return a bundle's classifier, by any engine, or a pretrained network, by torch."""
    from striate import backbones
    from striate.inference import load

    if model in backbones.names() and not Path(model).exists():
        if engine != "torch":
            raise UserError(f"{model} runs on torch alone until it is trained: leave the engine out.")
        return find_subject(model, device)
    return load(Path(model), device, engine)
