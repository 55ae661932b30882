"""Augmentation of a batch of images, each image with its own draw.

A preset is a pure function of the images and of uniform draws, one row an image. It needs torch, which is why
the room's `__init__` leaves this package out: `from striate.data import augment`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from striate.data import shifts
from striate.data.augment import crop, photo, trivial, writing
from striate.data.draws import alternating, draws
from striate.errors import UserError, unknown_name

__all__ = ["PRESETS", "Preset", "augment", "preset_named", "preview"]


@dataclass(frozen=True)
class Preset:
    """A named augmentation.

    Attributes:
        columns: how many uniform draws it takes for one image.
        apply: from images (B, C, H, W), uint8 or float in [0, 1], and draws float64 (B, columns) to images of
            the same shape and dtype.
        draws: where the numbers come from: seed, epoch, indices, columns and stream to (B, columns).
    """

    columns: int
    apply: Callable[[torch.Tensor, np.ndarray], torch.Tensor]
    draws: Callable[[int, int, np.ndarray, int, str], np.ndarray] = draws


def _unchanged(images: torch.Tensor, uniform: np.ndarray) -> torch.Tensor:
    return images


PRESETS: dict[str, Preset] = {
    "none": Preset(0, _unchanged),
    "shift": Preset(shifts.SHIFT_COLUMNS, crop.shift),
    "flip-crop": Preset(shifts.FLIP_COLUMNS, crop.flip_and_shift),
    "alternate": Preset(shifts.FLIP_COLUMNS, crop.flip_and_shift_a_little, alternating),
    "alternate-cutout": Preset(crop.CUTOUT_COLUMNS, crop.flip_shift_and_cut_out, alternating),
    "writing": Preset(writing.COLUMNS, writing.change_hand),
    "photo": Preset(photo.COLUMNS, photo.change_view_and_light),
    "trivial": Preset(trivial.COLUMNS, trivial.trivial_augment),
}


def preset_named(name: str) -> Preset:
    """Return the preset called `name`.

    Raises:
        UserError: there is none of that name; says which is nearest.
    """
    if name not in PRESETS:
        raise UserError(unknown_name("augmentation preset", name, PRESETS))
    return PRESETS[name]


def augment(images: torch.Tensor, preset: str, *, seed: int, epoch: int, indices: np.ndarray) -> torch.Tensor:
    """Augment a batch, every image by a draw of its own.

    Args:
        images: (B, C, H, W) with C 1 or 3, uint8 or float in [0, 1].
        preset: one of `PRESETS`.
        seed: of the run.
        epoch: counted from 0.
        indices: integers (B,), the images' positions in the data set.

    Returns:
        (B, C, H, W), the dtype of `images`, which stay as they are.

    Raises:
        UserError: unknown preset.
    """
    chosen = preset_named(preset)
    return chosen.apply(images, chosen.draws(seed, epoch, indices, chosen.columns, f"augment/{preset}"))


def preview(image: np.ndarray, preset: str, seed: int, count: int) -> np.ndarray:
    """Return variants of one image, as training may see it.

    Args:
        image: uint8 (C, H, W).
        preset: one of `PRESETS`.
        seed: of the draws.
        count: how many variants.

    Returns:
        uint8 (count, C, H, W).

    Raises:
        UserError: unknown preset.
    """
    images = torch.from_numpy(np.repeat(image[None], count, axis=0))
    return augment(images, preset, seed=seed, epoch=0, indices=np.arange(count)).numpy()
