"""What training tells while it runs, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from striate.training.devices import Engine

Ending = Literal["finished", "early", "interrupted", "non-finite"]
"""Why a training ended."""


@dataclass(frozen=True)
class Progress:
    """Where training stands after a step.

    Attributes:
        epoch: the running epoch, counted from 1.
        epochs: epochs in all.
        step: steps done in this epoch.
        steps: steps of an epoch.
        images_per_second: mean over this epoch so far.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    images_per_second: float


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch.

    Attributes:
        epoch: counted from 1.
        lr: learning rate at the epoch's last step.
        train_loss: mean over the epoch's images of the loss that was minimised: augmented, with dropout,
            smoothing, mixing and class weights.
        train_accuracy: share of the epoch's images, as trained, that were classified correctly; a mixed image
            counts as the class with the largest share in it.
        val_loss: mean plain loss over the validation split, without smoothing and class weights; None without
            such a split.
        val_accuracy: share of the validation split that was classified correctly, or None.
        best: whether the weights after this epoch are the ones to keep so far.
        seconds: duration of the epoch with its validation.
        images_per_second: training images over the duration without validation.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    best: bool
    seconds: float
    images_per_second: float

    def history_row(self) -> dict[str, Any]:
        """The row of `history.csv`, keyed by `schemas.HISTORY_COLUMNS`."""
        return {
            "epoch": self.epoch,
            "lr": self.lr,
            "train_loss": self.train_loss,
            "train_accuracy": self.train_accuracy,
            "val_loss": self.val_loss,
            "val_accuracy": self.val_accuracy,
            "best": int(self.best),
        }

    def timing_row(self) -> dict[str, Any]:
        """The row of `timing.csv`, keyed by `schemas.TIMING_COLUMNS`."""
        return {
            "epoch": self.epoch,
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
        }


@dataclass(frozen=True)
class Fitted:
    """What came of training.

    Attributes:
        weights: the state dict to keep, C-contiguous: of the best epoch, of the last whole epoch without a
            validation split, or as they stood if training was interrupted in its first epoch.
        history: a row an epoch, keyed by `schemas.HISTORY_COLUMNS`; None where there is no validation split.
        timing: a row an epoch, keyed by `schemas.TIMING_COLUMNS`.
        best_epoch: the epoch that `weights` come from, counted from 1; 0 if no epoch was completed.
        epochs_run: whole epochs trained, those before a resumption included.
        stopped: why training ended.
        message: the same in a sentence; empty if every epoch was trained.
        engine: device, precision and memory format that were used.
    """

    weights: dict[str, np.ndarray]
    history: list[dict[str, Any]]
    timing: list[dict[str, Any]]
    best_epoch: int
    epochs_run: int
    stopped: Ending
    message: str
    engine: Engine


@dataclass(frozen=True)
class LrFinding:
    """The curve of a learning-rate range test.

    Attributes:
        suggestion: the learning rate where the smoothed loss falls fastest.
        lrs: float64 (S,), increasing.
        losses: float64 (S,), the smoothed loss at each of them.
    """

    suggestion: float
    lrs: np.ndarray
    losses: np.ndarray
