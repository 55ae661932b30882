"""Which network is looked into, and which images a run names most wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from striate.errors import DataError, UserError

if TYPE_CHECKING:
    from PIL import Image

    from striate.explain import Subject


def find_subject(model: str, device: str = "auto") -> Subject:
    """Return the network of a bundle or run, or a pretrained one by its name.

    Raises:
        UserError: there is none of either.
    """
    from striate import backbones
    from striate.explain import Subject
    from striate.inference import load

    if model in backbones.names() and not Path(model).exists():
        return Subject.of_backbone(backbones.load(model))
    return Subject.of(load(Path(model), device))


def worst_errors(
    model: Path, count: int, problems: list[tuple[str, str]]
) -> tuple[list[str], list[str], list[Image.Image]]:
    """Return the images that a run named most confidently wrong: their paths, true classes and pictures.

    Args:
        model: folder of a run, or of the bundle in it.
        count: how many, at least 1.
        problems: gathers path and reason of images that are gone.

    Raises:
        UserError: there is no run, no mistake, or no picture of one.
    """
    from striate import bundle
    from striate.data.thumbnails import opener
    from striate.runs import Run
    from striate.workflows.error_maps import most_wrong
    from striate.workflows.origins import images_of

    if count < 1:
        raise UserError(f"errors is {count}; expected a number of at least 1.")
    run = Run(bundle.find(model).parent)
    split = next((name for name in ("test", *run.splits()) if name in run.splits()), None)
    if split is None:
        raise UserError(f"{model} is not in a run with predictions. Name images in place of --errors.")
    predictions = run.predictions(split)
    worst = most_wrong(predictions, count)
    if not len(worst):
        raise UserError(f"{run.folder} named all {split} images rightly: there is no error to explain.")
    open_one = opener(*images_of(run, split))
    names, true, pictures = [], [], []
    for place in worst:
        try:
            pictures.append(open_one(predictions.images[place]))
        except DataError as error:
            problems.append((predictions.images[place], str(error)))
            continue
        names.append(predictions.images[place])
        true.append(predictions.class_names[predictions.labels[place]])
    if not pictures:
        raise DataError(f"none of the {len(worst)} images can be read any more; the first: {problems[0][1]}")
    return names, true, pictures
