"""The steps of a ladder, each with what may come in its place where time is short."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from striate import recipes
from striate.workflows.transfer import EMBEDDED, FROM_SCRATCH

FEATURES = "features"
UPPER = "above_block3.branch3.above_block5.branch3.above_block8.branch3.above_block11"
"""Where the second half of the embedded network begins: below, 11 of 16 blocks stay as they are."""
FINE_TUNING: dict[str, Any] = {
    "model": EMBEDDED,
    "first_head": "features",
    "keep_pixels": True,
    "optimizer": "adamw",
    "weight_decay": 0.01,
    "schedule": "one-cycle",
    "label_smoothing": 0.05,
    "batch_size": 32,
    "augment": "shift",
}
"""What all steps that change pretrained weights have in common: images are shifted, but not mirrored."""
FEWEST_UPDATES = 200
"""Where `full` is to have large images, so many updates of the weights must fit as well."""
ENOUGH_UPDATES = 1000
"""So many `full` may make, however many epochs that are: few images are seen more often."""


@dataclass(frozen=True)
class Step:
    """A way to train.

    Attributes:
        name: of the step.
        settings: fields of `striate.config.TrainConfig` beside the user's.
        share: of the time that is left, above 0 and up to 1, which it may take.
        least_epochs: with fewer it is not worth while; 0 where there are none, as for `features`.
        most_epochs: more than these bring nothing.
        least_updates: of the weights; where they are more than `least_epochs` make, they count.
        most_updates: likewise, where they are more than `most_epochs` make.
        least_work: a training image takes at least so many times what its features took; 0: not known.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    share: float = 1.0
    least_epochs: int = 0
    most_epochs: int = 0
    least_updates: int = 0
    most_updates: int = 0
    least_work: float = 0.0

    def epochs(self, images: int, batch_size: int) -> tuple[int, int]:
        """Return the fewest epochs that are worth while, and the most."""
        batches = math.ceil(images / batch_size)
        least = max(self.least_epochs, math.ceil(self.least_updates / batches))
        return least, max(self.most_epochs, math.ceil(self.most_updates / batches), least)


NETWORK_SIDE = 224
"""Pixels of the embedded network's input, where the user names no others."""
SMALLER_SIDES = (160, 128)
"""Of the input, for `full`, where larger images take too long."""
LEAST_SIDE = 9
"""Pixels that an image must have for the net of the recipe `fast`."""
LEFT_TO_THE_LADDER = {"val_fraction", "best_by", "audit", "test_views", "hard_share"}
"""Settings of a recipe that a ladder decides otherwise: its validation split is large, labels may be wrong,
and its epochs cost alike."""

Rung = tuple[Step, ...]
"""A step, and what is done instead where it does not fit into the time: the first that fits is done."""


def photo_steps(side: int = NETWORK_SIDE) -> tuple[Rung, ...]:
    """Return the steps for photos of `side` pixels: frozen features; part of the network; all of it.

    None mirrors the training images. Features hardly tell an image from its mirror image, since ImageNet was
    learned with mirrored photos; where that is the difference, a network that sees both could not learn it.
    """
    norm = FINE_TUNING | {"strategy": "norm", "lr": 2e-3}
    partial = FINE_TUNING | {"strategy": "partial", "freeze": UPPER, "lr": 1e-3}
    return (
        (Step(FEATURES, {"model": EMBEDDED, "strategy": "features"}),),
        (
            Step("norm", norm, share=0.4, least_epochs=4, most_epochs=10, least_work=2.5),
            Step("partial", partial, share=0.4, least_epochs=2, most_epochs=10, least_work=1.2),
        ),
        _full_steps(side),
    )


def _full_steps(largest: int) -> Rung:
    """Return training of all at `largest` pixels or smaller sides; at the smallest a few epochs will do."""
    full = FINE_TUNING | {"strategy": "full", "first_lr": 0.3, "lr": 1e-3}
    sides = (largest, *(side for side in SMALLER_SIDES if side < largest))
    return tuple(
        Step(
            "full",
            full | {"image_size": side},
            least_epochs=2 if side == sides[-1] else 6,
            most_epochs=20,
            least_updates=0 if side == sides[-1] else FEWEST_UPDATES,
            most_updates=ENOUGH_UPDATES,
            least_work=3 * (side / largest) ** 2,
        )
        for side in sides
    )


def small_image_steps(side: float, mirrored: bool) -> tuple[Rung, ...]:
    """Return the steps for small images: networks from scratch, each larger than the one before.

    Args:
        side: median shorter side of the images, in pixels; below `LEAST_SIDE` the net of the recipe `fast`
            does not fit, and `mynet` takes its place.
        mirrored: whether training images are mirrored as well as shifted.
    """
    steps = _fast_steps(mirrored) if side >= LEAST_SIDE else _mynet_steps(mirrored)
    sizes = (("small", 0.15, 1), ("medium", 0.35, 1), ("large", 1.0, 2))
    return tuple(
        (Step(f"{settings['model']}, {size}", settings, share, least_epochs=least, most_epochs=60),)
        for settings, (size, share, least) in zip(steps, sizes, strict=True)
    )


def _fast_steps(mirrored: bool) -> list[dict[str, Any]]:
    """Return what the recipe `fast` says for its smallest network and its two largest."""
    recipe = recipes.find("fast")
    found: dict[str, dict[str, Any]] = {}
    for level in recipe.levels:
        if level.measured(recipes.REFERENCE) is None:
            continue  # it is for one data set alone
        settings = dict(recipe.settings | level.settings)
        for part in (recipe, level):
            settings |= part.pictures if mirrored else part.characters
        network = str(settings["model_options"])
        found[network] = {name: settings[name] for name in settings if name not in LEFT_TO_THE_LADDER}
    smallest, *_, second, largest = found.values()
    return [smallest, second, largest]


def _mynet_steps(mirrored: bool) -> list[dict[str, Any]]:
    augment = "flip-crop" if mirrored else "shift"
    common = {"model": FROM_SCRATCH, "augment": augment, "label_smoothing": 0.05}
    return [common | {"model_options": {"width": width}} for width in (12, 24, 48)]
