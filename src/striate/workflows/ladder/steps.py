"""The steps of a ladder, each with what may come in its place where time is short."""

from __future__ import annotations

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
}
"""What all steps that change pretrained weights have in common."""


@dataclass(frozen=True)
class Step:
    """A way to train.

    Attributes:
        name: of the step.
        settings: fields of `striate.config.TrainConfig` beside the user's.
        share: of the time that is left, above 0 and up to 1, which it may take.
        least_epochs: with fewer it is not worth while; 0 where there are none, as for `features`.
        most_epochs: more than these bring nothing.
        least_work: a training image takes at least so many times what its features took; 0: not known.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    share: float = 1.0
    least_epochs: int = 0
    most_epochs: int = 0
    least_work: float = 0.0


LEAST_SIDE = 9
"""Pixels that an image must have for the net of the recipe `fast`."""
LEFT_TO_THE_LADDER = {"val_fraction", "audit", "test_views"}
"""Settings of a recipe that a ladder decides otherwise."""

Rung = tuple[Step, ...]
"""A step, and what is done instead where it does not fit into the time: the first that fits is done."""


def photo_steps() -> tuple[Rung, ...]:
    """Return the steps for photos: frozen features; part of the network; all of it.

    Features hardly tell an image from its mirror image, since ImageNet was learned with mirrored photos.
    Where that is the difference, mirroring would keep a network from learning it: step 2 does without.
    """
    norm = FINE_TUNING | {"strategy": "norm", "lr": 2e-3, "augment": "shift"}
    partial = FINE_TUNING | {"strategy": "partial", "freeze": UPPER, "lr": 1e-3, "augment": "shift"}
    full = FINE_TUNING | {"strategy": "full", "first_lr": 0.3, "lr": 1e-3, "augment": "flip-crop"}
    return (
        (Step(FEATURES, {"model": EMBEDDED, "strategy": "features"}),),
        (
            Step("norm", norm, share=0.4, least_epochs=4, most_epochs=10, least_work=2.5),
            Step("partial", partial, share=0.4, least_epochs=2, most_epochs=10, least_work=1.2),
        ),
        tuple(
            Step(
                "full",
                full | {"image_size": side},
                least_epochs=least,
                most_epochs=20,
                least_work=3 * (side / 224) ** 2,
            )
            for side, least in ((224, 6), (160, 6), (128, 2))
        ),
    )


def small_image_steps(side: float, characters: bool) -> tuple[Rung, ...]:
    """Return the steps for small images: networks from scratch, each larger than the one before.

    Args:
        side: median shorter side of the images, in pixels; below `LEAST_SIDE` the net of the recipe `fast`
            does not fit, and `mynet` takes its place.
        characters: whether every class is named by one character, whose mirror image is none.
    """
    steps = _fast_steps(characters) if side >= LEAST_SIDE else _mynet_steps(characters)
    sizes = (("small", 0.15, 1), ("medium", 0.35, 1), ("large", 1.0, 2))
    return tuple(
        (Step(f"{settings['model']}, {size}", settings, share, least_epochs=least, most_epochs=60),)
        for settings, (size, share, least) in zip(steps, sizes, strict=True)
    )


def _fast_steps(characters: bool) -> list[dict[str, Any]]:
    """Return what the recipe `fast` says for its quickest level and its two largest."""
    recipe = recipes.find("fast")
    found = []
    for level in (recipe.levels[0], *recipe.levels[-2:]):
        settings = dict(recipe.settings | level.settings)
        for part in (recipe, level):
            settings |= part.characters if characters else part.pictures
        found.append({name: settings[name] for name in settings if name not in LEFT_TO_THE_LADDER})
    return found


def _mynet_steps(characters: bool) -> list[dict[str, Any]]:
    augment = "shift" if characters else "flip-crop"
    common = {"model": FROM_SCRATCH, "augment": augment, "label_smoothing": 0.05}
    return [common | {"model_options": {"width": width}} for width in (12, 24, 48)]
