"""What a training has come to so far: its history, and the weights worth keeping."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from striate.config import TrainConfig
from striate.errors import TrainingError, UserError
from striate.schedules import Plateau
from striate.training.checkpoints import Checkpoint, Circumstances, as_plain
from striate.training.devices import Engine
from striate.training.records import Ending, EpochRecord, Fitted


@dataclass
class Course:
    """The state of a training between two epochs, apart from the optimizer's.

    Attributes:
        epoch: epochs completed.
        history: a row an epoch.
        timing: a row an epoch.
        weights: state dict after the last epoch; empty before the first.
        averaged_weights: state dict of the moving average then; empty if there is none.
        best_epoch: the epoch that `kept_weights` come from; 0 before the first.
        kept_weights: state dict of that epoch.
        plateau: state of the plateau schedule.
        selection: state of the choice of images; empty if all are trained on.
    """

    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    timing: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    averaged_weights: dict[str, np.ndarray] = field(default_factory=dict)
    best_epoch: int = 0
    kept_weights: dict[str, np.ndarray] = field(default_factory=dict)
    plateau: Plateau = field(default_factory=Plateau)
    selection: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def resumed(cls, checkpoint: Checkpoint | None) -> Self:
        """Return the state at `checkpoint`; at the very beginning without one."""
        if checkpoint is None:
            return cls()
        best = checkpoint.plateau["best"]
        return cls(
            epoch=checkpoint.epoch,
            history=list(checkpoint.history),
            timing=list(checkpoint.timing),
            weights=checkpoint.weights,
            averaged_weights=checkpoint.averaged_weights,
            best_epoch=checkpoint.best_epoch,
            kept_weights=checkpoint.kept_weights,
            plateau=Plateau(**{**checkpoint.plateau, "best": math.inf if best is None else best}),
            selection=checkpoint.selection,
        )

    def checkpoint(
        self, circumstances: Circumstances, engine: Engine, optimizer: dict[str, np.ndarray]
    ) -> Checkpoint:
        """Return what has to be kept to go on from here; `optimizer` is the optimizer's state by name."""
        return Checkpoint(
            epoch=self.epoch,
            **asdict(circumstances),
            engine={
                "device": engine.device,
                "precision": engine.precision,
                "memory_format": engine.memory_format,
            },
            history=self.history,
            timing=self.timing,
            best_epoch=self.best_epoch,
            plateau=as_plain(self.plateau),
            weights=self.weights,
            averaged_weights=self.averaged_weights,
            kept_weights=self.kept_weights,
            optimizer=optimizer,
            selection=self.selection,
        )

    def stalled_message(self, config: TrainConfig) -> str:
        """Return why a training that `has_stalled` ends."""
        return f"no better {config.best_by} for {config.early_stopping} epochs."

    def interrupted_message(self, config: TrainConfig) -> str:
        """Return where a training stood that a signal ended."""
        return f"interrupted in epoch {self.epoch + 1} of {config.epochs}."

    def fitted(self, ending: Ending, message: str, engine: Engine, now: dict[str, np.ndarray]) -> Fitted:
        """Return what came of the training; `now` are the weights as they stand, kept if no epoch was whole.

        Raises:
            TrainingError: the loss was not finite before an epoch was completed.
        """
        if ending == "non-finite" and not self.epoch:
            raise TrainingError(message[0].upper() + message[1:])
        if ending != "finished":
            kept = f"of epoch {self.best_epoch}" if self.epoch else "as they stood then"
            message = f"{message} The weights kept are those {kept}."
        return Fitted(
            weights=self.kept_weights if self.epoch else now,
            history=self.history,
            timing=self.timing,
            best_epoch=self.best_epoch,
            epochs_run=self.epoch,
            stopped=ending,
            message=message[:1].upper() + message[1:],
            engine=engine,
        )

    def is_best(self, val_loss: float | None, val_accuracy: float | None, best_by: str) -> bool:
        """Whether an epoch with these values is better than all before; of equal ones the earliest is best.

        By `last`, and without a validation split, every epoch is, so that the last is kept.
        """
        if best_by == "last" or val_loss is None or val_accuracy is None or not self.best_epoch:
            return True
        best = self.history[self.best_epoch - 1]
        if best_by == "val_accuracy":
            return val_accuracy > float(best["val_accuracy"])
        return val_loss < float(best["val_loss"])

    def add(
        self,
        record: EpochRecord,
        weights: dict[str, np.ndarray],
        config: TrainConfig,
        averaged: dict[str, np.ndarray] | None = None,
        selection: dict[str, np.ndarray] | None = None,
    ) -> None:
        """Take in a finished epoch.

        Args:
            record: what was measured.
            weights: state dict after it.
            config: the settings.
            averaged: state dict of the average of the weights, if there is one.
            selection: state of the choice of images, if there is one.
        """
        self.epoch = record.epoch
        self.weights = weights
        self.averaged_weights = averaged or {}
        self.selection = selection or {}
        self.history.append(record.history_row())
        self.timing.append(record.timing_row())
        if record.best:
            self.best_epoch = record.epoch
            self.kept_weights = averaged or weights
        watched = record.train_loss if record.val_loss is None else record.val_loss
        self.plateau = self.plateau.after(watched, config.patience)

    def has_stalled(self, early_stopping: int | None) -> bool:
        """Whether early stopping ends the training now."""
        return early_stopping is not None and self.epoch - self.best_epoch >= early_stopping


def check_early_stopping(config: TrainConfig, *, has_val: bool) -> None:
    """Refuse to stop by what is not measured.

    Raises:
        UserError: early stopping without validation images.
    """
    if config.early_stopping is not None and not has_val:
        raise UserError("--early-stopping needs a validation split; leave it out, or set --val-fraction.")
