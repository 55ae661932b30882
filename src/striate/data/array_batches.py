"""Batches as NumPy arrays, to train without torch: the same order and the same draws as in `loaders`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from striate.data import shifts
from striate.data.draws import alternating, draws
from striate.data.grouping import Grouping, check_targets
from striate.data.images import ImageSet, take
from striate.data.mixing_shares import cutmix_boxes, mixup_shares
from striate.data.parallel import ahead
from striate.errors import UserError
from striate.schemas import Preprocess


class ArrayBatch(NamedTuple):
    """Some images, ready for a network.

    Attributes:
        inputs: float32 (B, C, H, W), normalised.
        targets: what to train towards: int64 (B,) labels; under mixup or cutmix float32 (B, K) class shares.
        labels: int64 (B,), the images' own labels; -1 where unknown.
        indices: int64 (B,), positions in the image set.
    """

    inputs: np.ndarray
    targets: np.ndarray
    labels: np.ndarray
    indices: np.ndarray


@dataclass(frozen=True)
class _Preset:
    """An augmentation by indexing: how many draws an image takes, and the source places they give."""

    columns: int
    sources: Callable[[np.ndarray, int, int], tuple[np.ndarray, np.ndarray]]
    draws: Callable[[int, int, np.ndarray, int, str], np.ndarray] = draws


PRESETS = {
    "shift": _Preset(shifts.SHIFT_COLUMNS, shifts.shifted),
    "flip-crop": _Preset(shifts.FLIP_COLUMNS, shifts.flipped_and_shifted),
    "alternate": _Preset(shifts.FLIP_COLUMNS, shifts.flipped_and_shifted_a_little, alternating),
}
"""The augmentations that need no torch, besides `none`."""


class ArrayBatches:
    """The batches of one epoch of an image set, as often as they are asked for.

    Order, augmentation and mixing are functions of (seed, epoch, index), the same as in `loaders.Batches`.
    The next batch is made in another thread while one is used.
    """

    def __init__(
        self,
        images: ImageSet,
        preprocess: Preprocess,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        augment: str = "none",
        mixup: float = 0.0,
        cutmix: float = 0.0,
        num_classes: int,
    ) -> None:
        """Prepare batches; nothing is read yet.

        Args:
            images: one split.
            preprocess: gives mean and deviation of the normalisation.
            batch_size: images in a batch; see `Grouping`.
            shuffle: a new order each epoch, for training; False keeps the order of the image set.
            seed: of order, augmentation and mixing.
            augment: `none` or one of `PRESETS`.
            mixup: parameter a of mixup's Beta(a, a); 0 leaves mixup out.
            cutmix: likewise for cutmix; not both.
            num_classes: K, the width of mixed targets.

        Raises:
            UserError: an augmentation that needs torch or does not exist; fewer images than `batch_size`
                with `shuffle`.
            ValueError: numbers or labels out of range; both mixup and cutmix.
        """
        if augment != "none" and augment not in PRESETS:
            raise UserError(
                f"augmentation {augment!r} needs PyTorch; without it there are none, {', '.join(PRESETS)}. "
                "Choose one of them, or --engine torch."
            )
        self.grouping = Grouping(len(images.labels), batch_size, shuffle, seed)
        check_targets(images.labels, num_classes, mixup, cutmix)
        self.images = images
        self.preprocess = preprocess
        self.seed = seed
        self.augment = augment
        self.mixup = mixup
        self.cutmix = cutmix
        self.num_classes = num_classes

    def __len__(self) -> int:
        """Return the number of batches of one epoch."""
        return len(self.grouping)

    def epoch(self, number: int) -> Iterator[ArrayBatch]:
        """Yield the batches of an epoch, counted from 0.

        Raises:
            DataError: an image could not be read any more; names the file.
        """
        yield from ahead(self._finish(indices, number) for indices in self.grouping.groups(number))

    def _finish(self, indices: np.ndarray, epoch: int) -> ArrayBatch:
        """Decode, augment, normalise and mix the images at `indices`."""
        labels = self.images.labels[indices]
        pixels = self._augmented(take(self.images.pixels, indices), indices, epoch)
        inputs = self.preprocess.normalize(pixels)
        if not self.mixup and not self.cutmix:
            return ArrayBatch(inputs, labels, labels, indices)
        mixed, share = (self._mixup if self.mixup else self._cutmix)(inputs, indices, epoch)
        own = np.eye(self.num_classes, dtype=np.float32)[labels]
        targets = share[:, None] * own + (1 - share[:, None]) * _partner(own)
        return ArrayBatch(mixed, targets, labels, indices)

    def _augmented(self, pixels: np.ndarray, indices: np.ndarray, epoch: int) -> np.ndarray:
        """uint8 (B, C, H, W), every image by a draw of its own."""
        if self.augment == "none":
            return pixels
        preset = PRESETS[self.augment]
        uniform = preset.draws(self.seed, epoch, indices, preset.columns, f"augment/{self.augment}")
        rows, columns = preset.sources(uniform, *pixels.shape[2:])
        count, channels = pixels.shape[:2]
        image, channel = np.arange(count)[:, None, None, None], np.arange(channels)[None, :, None, None]
        gathered: np.ndarray = pixels[image, channel, rows[:, None, :, None], columns[:, None, None, :]]
        return gathered

    def _mixup(self, inputs: np.ndarray, indices: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        share = mixup_shares(self.seed, epoch, indices, self.mixup)
        own = share[:, None, None, None]
        return own * inputs + (1 - own) * _partner(inputs), share

    def _cutmix(self, inputs: np.ndarray, indices: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        size = inputs.shape[2], inputs.shape[3]
        box, share = cutmix_boxes(self.seed, epoch, indices, self.cutmix, size)
        return np.where(box[:, None], _partner(inputs), inputs), share


def _partner(batch: np.ndarray) -> np.ndarray:
    """Return the next of the batch for each, the first for the last."""
    return np.roll(batch, -1, axis=0)
