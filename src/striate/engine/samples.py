"""Images in memory, in batches: the simplest thing that `fit` trains on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from striate.engine.backend import check_array, check_float, check_whole


class SampleBatch(NamedTuple):
    """Inputs (B, ...), targets and labels (B,)."""

    inputs: np.ndarray
    targets: np.ndarray
    labels: np.ndarray


class Samples:
    """Arrays cut into batches, in a new order each epoch.

    Args:
        inputs: (N, C, H, W) or (N, features), float32 or float64.
        labels: whole numbers (N,), from 0 on.
        batch_size: images in a batch; the last may be smaller. With `shuffle`, for training, a last batch of
            a single image joins the one before (batch normalisation cannot train on one image).
        shuffle: whether each epoch has an order of its own, drawn from (seed, epoch).
        seed: of the order.

    Raises:
        ValueError: not one label for each input, or a negative one.
        TypeError: inputs that are no floating numbers, or labels that are no whole ones.
    """

    def __init__(
        self,
        inputs: np.ndarray,
        labels: np.ndarray,
        batch_size: int = 64,
        *,
        shuffle: bool = True,
        seed: int = 0,
    ) -> None:
        check_float(inputs=inputs)
        check_array("labels", labels)
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"labels: expected whole numbers, got {labels.dtype}")
        if inputs.ndim < 2:
            raise ValueError(f"inputs: expected (N, C, H, W) or (N, features), got shape {inputs.shape}")
        if labels.shape != (len(inputs),) or not len(labels):
            raise ValueError(
                f"labels: expected one for each of {len(inputs)} inputs, got shape {labels.shape}"
            )
        if labels.min() < 0:
            raise ValueError(f"labels: expected numbers from 0 on, got {labels.min()}")
        self.inputs = inputs
        self.labels = labels
        self.batch_size = check_whole("batch_size", batch_size)
        self.shuffle = shuffle
        self.seed = check_whole("seed", seed, 0)

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return len(self._edges()) - 1

    def epoch(self, number: int) -> Iterator[SampleBatch]:
        """Yield the batches of an epoch, counted from 0."""
        order = np.arange(len(self.labels))
        if self.shuffle:
            np.random.default_rng([self.seed, number]).shuffle(order)
        for start, stop in itertools.pairwise(self._edges()):
            rows = order[start:stop]
            labels = self.labels[rows]
            yield SampleBatch(self.inputs[rows], labels, labels)

    def _edges(self) -> list[int]:
        """Return where batches begin and end."""
        edges = [*range(0, len(self.labels), self.batch_size), len(self.labels)]
        if self.shuffle and len(edges) > 2 and edges[-1] - edges[-2] == 1 and self.batch_size > 1:
            del edges[-2]
        return edges
