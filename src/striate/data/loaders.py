"""Batches for training and evaluation: from memory, or decoded by other threads as they are needed.

Needs torch, which is why the room's `__init__` leaves this module out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from striate.data import augment as augmentation
from striate.data.augment import mixing
from striate.data.grouping import Grouping, check_targets
from striate.data.images import ImageSet
from striate.data.streaming import Decoder, ThreadedDecoder
from striate.schemas import Preprocess
from striate.stopwatch import UNTIMED, Clock


class Batch(NamedTuple):
    """Some images, ready for a network.

    Attributes:
        inputs: float32 (B, C, H, W), normalised.
        targets: what to train towards: int64 (B,) labels; under mixup or cutmix float32 (B, K) class shares.
        labels: int64 (B,), the images' own labels; -1 where unknown.
        indices: int64 (B,), positions in the image set.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor


class Batches:
    """The batches of one epoch of an image set, as often as they are iterated over.

    Order, augmentation and mixing are functions of (seed, epoch, index): they do not depend on the number of
    threads or on where the images lie, and an epoch can be repeated or resumed with no state.

    Attributes:
        clock: told the parts of the work on a batch, here and by what trains on it; may be replaced.
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
        num_workers: int = 0,
        sides: Sequence[int] = (),
    ) -> None:
        """Prepare batches; nothing is read yet.

        Args:
            images: one split.
            preprocess: gives mean and deviation of the normalisation.
            batch_size: images in a batch; the last may be smaller. With `shuffle`, a last batch of a single
                image joins the one before (batch normalisation cannot train on one image).
            shuffle: a new order each epoch, for training; False keeps the order of the image set.
            seed: of order, augmentation and mixing.
            augment: name of an augmentation preset.
            mixup: parameter a of mixup's Beta(a, a); 0 leaves mixup out.
            cutmix: likewise for cutmix; not both.
            num_classes: K, the width of mixed targets.
            sides: pixels to which images are brought down in each epoch, before anything else; empty: none.
            num_workers: decoding threads for images that are not in memory; 0 decodes in the calling thread.

        Raises:
            UserError: unknown preset, or, with `shuffle`, fewer images than `batch_size`.
            ValueError: numbers or labels out of range; both mixup and cutmix.
        """
        if num_workers < 0:
            raise ValueError(f"num_workers is {num_workers}; expected 0 or more.")
        self.grouping = Grouping(len(images.labels), batch_size, shuffle, seed)
        check_targets(images.labels, num_classes, mixup, cutmix)
        augmentation.preset_named(augment)
        self.images = images
        self.preprocess = preprocess
        self.seed = seed
        self.augment = augment
        self.mixup = mixup
        self.cutmix = cutmix
        self.num_classes = num_classes
        self.sides = tuple(sides)
        self.epoch = 0
        self._chosen: np.ndarray | None = None
        self.clock: Clock = UNTIMED
        self.num_workers = 0 if images.pixels.in_memory else num_workers
        self._decoder = ThreadedDecoder(images, self.num_workers) if self.num_workers else Decoder(images)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0, whose order and draws the next iteration follows."""
        self.epoch = epoch

    def choose(self, positions: np.ndarray | None) -> None:
        """Let the next iterations pass over some images alone.

        Args:
            positions: int64 (M,), rising, no fewer than a batch has; None: all images.
        """
        self.grouping = replace(self.grouping, n=len(self.images.labels if positions is None else positions))
        self._chosen = positions

    def __len__(self) -> int:
        """Return the number of batches of one epoch."""
        return len(self.grouping)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of the chosen epoch.

        Raises:
            DataError: an image could not be read any more; names the file.
        """
        epoch = self.epoch
        groups = self.grouping.groups(epoch)
        if self._chosen is not None:
            groups = [self._chosen[group] for group in groups]
        decoded = self.clock.each("decode", self._decoder.decode(groups))
        for indices, raw in zip(groups, decoded, strict=True):
            yield self._finish(raw, indices, epoch)

    def _finish(self, raw: torch.Tensor, indices: np.ndarray, epoch: int) -> Batch:
        """Augment, normalise and mix a decoded batch, uint8 (B, C, H, W)."""
        labels = torch.from_numpy(self.images.labels[indices])
        with self.clock.part("augment"):
            if self.sides:
                raw = shrink(raw, self.sides[min(epoch, len(self.sides) - 1)])
            varied = augmentation.augment(raw, self.augment, seed=self.seed, epoch=epoch, indices=indices)
        with self.clock.part("normalize"):
            inputs = normalize(varied, self.preprocess)
        targets = labels
        if self.mixup or self.cutmix:
            with self.clock.part("augment"):
                inputs, targets = self._mix(inputs, labels, indices, epoch)
        return Batch(inputs, targets, labels, torch.from_numpy(indices))

    def _mix(
        self, inputs: torch.Tensor, labels: torch.Tensor, indices: np.ndarray, epoch: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        method = mixing.mixup if self.mixup else mixing.cutmix
        return method(
            inputs,
            labels,
            num_classes=self.num_classes,
            a=self.mixup or self.cutmix,
            seed=self.seed,
            epoch=epoch,
            indices=indices,
        )


def shrink(images: torch.Tensor, side: int) -> torch.Tensor:
    """Return uint8 `images` (B, C, H, W) at `side` x `side` pixels, averaged over what falls into each."""
    if images.shape[2:] == (side, side):
        return images
    return torch.nn.functional.interpolate(images, (side, side), mode="bilinear", antialias=True)


def normalize(images: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """Return float32 network input for uint8 `images` (N, C, H, W).

    The operations of `Preprocess.normalize` in the same order: training and inference agree to the bit.
    """
    shape = (1, preprocess.channels, 1, 1)
    mean = torch.tensor(preprocess.mean, dtype=torch.float32, device=images.device).view(shape)
    std = torch.tensor(preprocess.std, dtype=torch.float32, device=images.device).view(shape)
    return images.to(torch.float32).div_(255).sub_(mean).div_(std)
