"""Which images form which batch: a function of (seed, epoch), the same for every engine."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from striate.data.draws import order
from striate.errors import UserError


@dataclass(frozen=True)
class Grouping:
    """How the images of a set are cut into batches.

    Attributes:
        n: images.
        batch_size: images in a batch; the last may be smaller. With `shuffle`, a last batch of a single image
            joins the one before (batch normalisation cannot train on one image).
        shuffle: a new order each epoch, for training; False keeps the order of the image set.
        seed: of the order.
    """

    n: int
    batch_size: int
    shuffle: bool
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; expected at least 1.")
        if self.shuffle and self.n < self.batch_size:
            raise UserError(
                f"batch size {self.batch_size} is larger than the {self.n} training images; "
                f"choose at most {self.n}."
            )

    def __len__(self) -> int:
        """Return the number of batches of one epoch."""
        return len(self._edges()) - 1

    def groups(self, epoch: int) -> list[np.ndarray]:
        """Return the positions of each batch's images, int64 (B,), in an epoch counted from 0."""
        sequence = order(self.seed, epoch, self.n) if self.shuffle else np.arange(self.n)
        return [sequence[start:stop] for start, stop in itertools.pairwise(self._edges())]

    def _edges(self) -> list[int]:
        """Return where batches begin and end."""
        edges = [*range(0, self.n, self.batch_size), self.n]
        if self.shuffle and len(edges) > 2 and edges[-1] - edges[-2] == 1 and self.batch_size > 1:
            del edges[-2]
        return edges


def check_targets(labels: np.ndarray, num_classes: int, mixup: float, cutmix: float) -> None:
    """Refuse labels that are no class, and mixing that cannot be.

    Raises:
        ValueError: numbers or labels out of range; both mixup and cutmix.
    """
    if len(labels) and labels.max() >= num_classes:
        raise ValueError(f"labels reach {labels.max()}; expected below num_classes = {num_classes}.")
    if not (math.isfinite(mixup) and math.isfinite(cutmix)) or mixup < 0 or cutmix < 0:
        raise ValueError(f"mixup is {mixup} and cutmix {cutmix}; expected finite numbers, 0 or greater.")
    if mixup and cutmix:
        raise ValueError("mixup and cutmix exclude each other; choose one.")
    if (mixup or cutmix) and len(labels) and labels.min() < 0:
        raise ValueError("mixup and cutmix need a label for every image; some are unknown (-1).")
