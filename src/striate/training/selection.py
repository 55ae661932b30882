"""Which training images an epoch passes over: in the end those that are still hard.

An image that the network gets right with confidence moves the weights little; leaving it out saves its time
(Jiang et al. 2019, "Accelerating deep learning by focusing on the biggest losers").
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


class Selection:
    """The images with the largest loss when they were last trained on.

    The first epoch passes over all; the share falls evenly from epoch to epoch, to `last_share` in the last.
    Images left out keep the loss that they had, and come back once those of the others are smaller.

    Attributes:
        losses: float32 (N,), of each image when it was last trained on; infinite before.
    """

    def __init__(self, images: int, least: int, epochs: int, last_share: float) -> None:
        """Begin with nothing known.

        Args:
            images: N, of the training set.
            least: images that an epoch has at least.
            epochs: of the whole training.
            last_share: of the images in the last epoch, above 0.
        """
        self.losses = np.full(images, np.inf, np.float32)
        self._least = least
        self._epochs = epochs
        self._last_share = last_share

    def add(self, indices: np.ndarray, losses: np.ndarray) -> None:
        """Take note of the `losses` (B,) of the images at `indices` (B,)."""
        self.losses[indices] = losses

    def count(self, epoch: int) -> int:
        """Return how many images an epoch, counted from 0, passes over."""
        passed = min(epoch, self._epochs - 1) / max(self._epochs - 1, 1)
        share = 1 - (1 - self._last_share) * passed
        return max(self._least, round(share * len(self.losses)))

    def positions(self, epoch: int) -> np.ndarray:
        """Return the images of an epoch, int64 (M,), rising; of equal losses the first images are taken."""
        hardest_first = np.argsort(-self.losses, kind="stable")
        return np.sort(hardest_first[: self.count(epoch)])

    def state(self) -> dict[str, np.ndarray]:
        """Return what `restore` needs."""
        return {"losses": self.losses.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` returned."""
        self.losses[:] = state["losses"]
