"""What happens around the steps: progress, interruption, and the end of an epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as lightning
import torch

from striate.config import TrainConfig
from striate.training.interrupts import Interrupts
from striate.training.module import Stop, TrainingModule
from striate.training.optimizers import weights_of
from striate.training.records import EpochRecord, Progress


class StepEnd(lightning.Callback):
    """After each step: stops if a signal asked for it, and tells `on_batch` how far training is."""

    def __init__(
        self, epochs: int, interrupts: Interrupts, on_batch: Callable[[Progress], None] | None
    ) -> None:
        self.epochs = epochs
        self.interrupts = interrupts
        self.on_batch = on_batch

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Called by Lightning."""
        assert isinstance(pl_module, TrainingModule)
        clock = pl_module.stepper.clock
        with clock.part("logging"):
            self._stop_if_asked()
            self._tell(pl_module, batch_idx)
        clock.end_step(pl_module.course.epoch, len(batch.labels))

    def _tell(self, module: TrainingModule, batch_idx: int) -> None:
        """Tell `on_batch` how far training is."""
        if self.on_batch is None:
            return
        seconds = max(time.perf_counter() - module.started, 1e-9)
        steps = len(module.train_batches)
        rate = module.train_tally.images / seconds
        self.on_batch(Progress(module.course.epoch + 1, self.epochs, batch_idx + 1, steps, rate))

    def on_validation_batch_end(self, *_: Any) -> None:
        """Called by Lightning."""
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.interrupts.requested:
            raise Stop("interrupted", "")


class EpochEnd(lightning.Callback):
    """After each epoch: measures it, keeps the weights if they are the best, and hands the record on.

    Args:
        config: `best_by`, `patience` and `early_stopping` count.
        has_val: whether there is a validation split.
        listeners: called with the record in turn, after `course` took it in.
    """

    def __init__(
        self, config: TrainConfig, has_val: bool, listeners: list[Callable[[EpochRecord], None]]
    ) -> None:
        self.config = config
        self.has_val = has_val
        self.listeners = listeners

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Called by Lightning, after validation."""
        assert isinstance(pl_module, TrainingModule)
        record = self._record(pl_module)
        stepper = pl_module.stepper
        averaged = None if stepper.average is None else weights_of(stepper.average.module)
        selection = None if stepper.selection is None else stepper.selection.state()
        pl_module.course.add(record, weights_of(stepper.network), self.config, averaged, selection)
        for listener in self.listeners:
            listener(record)
        if pl_module.course.has_stalled(self.config.early_stopping):
            trainer.should_stop = True
        pl_module.prepare_epoch()

    def _record(self, module: TrainingModule) -> EpochRecord:
        """Return the record of the epoch that just ended; raises `Stop` if anything in it is not finite."""
        steps = len(module.train_batches)
        if not _weights_are_finite(module.network):
            module.stop_as_not_finite("a weight", steps)
        if self.has_val and not module.val_tally.is_finite():
            module.stop_as_not_finite("the validation loss", steps)
        train_loss, train_accuracy = module.train_tally.means()
        val_loss, val_accuracy = module.val_tally.means() if self.has_val else (None, None)
        return EpochRecord(
            epoch=module.course.epoch + 1,
            lr=module.lr,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            best=module.course.is_best(val_loss, val_accuracy, self.config.best_by),
            seconds=time.perf_counter() - module.started,
            images_per_second=module.train_tally.images / max(module.trained_seconds, 1e-9),
        )


def _weights_are_finite(network: torch.nn.Module) -> bool:
    """Whether all parameters and running statistics are finite."""
    values = [value for value in network.state_dict().values() if value.is_floating_point()]
    return all(bool(torch.isfinite(value).all()) for value in values)
