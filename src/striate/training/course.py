"""What a training has come to so far: its history, and the weights worth keeping."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from striate.config import TrainConfig
from striate.schedules import Plateau
from striate.training.records import EpochRecord


@dataclass
class Course:
    """The state of a training between two epochs, apart from the optimizer's.

    Attributes:
        epoch: epochs completed.
        history: a row an epoch.
        timing: a row an epoch.
        weights: state dict after the last epoch; empty before the first.
        best_epoch: the epoch that `kept_weights` come from; 0 before the first.
        kept_weights: state dict of that epoch.
        plateau: state of the plateau schedule.
    """

    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    timing: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    best_epoch: int = 0
    kept_weights: dict[str, np.ndarray] = field(default_factory=dict)
    plateau: Plateau = field(default_factory=Plateau)

    def is_best(self, val_loss: float | None, val_accuracy: float | None, best_by: str) -> bool:
        """Whether an epoch with these values is better than all before; of equal ones the earliest is best.

        Without a validation split every epoch is, so that the last is kept.
        """
        if val_loss is None or val_accuracy is None or not self.best_epoch:
            return True
        best = self.history[self.best_epoch - 1]
        if best_by == "val_accuracy":
            return val_accuracy > float(best["val_accuracy"])
        return val_loss < float(best["val_loss"])

    def add(self, record: EpochRecord, weights: dict[str, np.ndarray], config: TrainConfig) -> None:
        """Take in a finished epoch with the state dict after it."""
        self.epoch = record.epoch
        self.weights = weights
        self.history.append(record.history_row())
        self.timing.append(record.timing_row())
        if record.best:
            self.best_epoch = record.epoch
            self.kept_weights = weights
        watched = record.train_loss if record.val_loss is None else record.val_loss
        self.plateau = self.plateau.after(watched, config.patience)

    def has_stalled(self, early_stopping: int | None) -> bool:
        """Whether early stopping ends the training now."""
        return early_stopping is not None and self.epoch - self.best_epoch >= early_stopping
