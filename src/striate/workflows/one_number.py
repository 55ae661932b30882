"""One number of a model on an image, fully: every product that it is made of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from striate import files
from striate.workflows.subjects import find_subject

if TYPE_CHECKING:
    from striate.explain.number import OneNumber

    PathLike = str | os.PathLike[str]


def explain_number(
    model: PathLike,
    image: PathLike,
    pixel: str,
    *,
    gradient: bool = False,
    class_name: str | int | None = None,
    out: PathLike | None = None,
    device: str = "auto",
) -> OneNumber:
    """Take one number of a model apart; `print` shows it, and in a notebook it shows itself.

    Args:
        model: folder of a bundle or run, or the name of a pretrained network.
        image: its file.
        pixel: "LAYER,CHANNEL,Y,X", the place in the layer's output.
        gradient: take apart the gradient of a class's score for that place in the layer's input.
        class_name: of the gradient: name or number of the class; by default the predicted one.
        out: JSON file to write, with every product.
        device: of torch: "auto", "cpu", "cuda" or "mps".

    Raises:
        UserError: the model, the image or the class cannot be used, or there is no such place.
    """
    from striate.data import read_images
    from striate.explain.maps import class_number
    from striate.explain.one_number import Place, forward_number, gradient_number

    place = Place.parse(pixel)
    subject = find_subject(os.fspath(model), device)
    (pixels,) = read_images([os.fspath(image)], subject.preprocess)
    if not gradient:
        number = forward_number(subject, pixels, place)
    else:
        predicted = int(subject.predict(subject.tensor(pixels[None])).argmax())
        label = predicted if class_name is None else class_number(class_name, subject.class_names)
        number = gradient_number(subject, pixels, place, label)
    if out is not None:
        files.write_json(Path(out), number.facts())
    return number
