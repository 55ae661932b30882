"""Curves for TensorBoard, on request."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from striate.training.records import EpochRecord

_log = logging.getLogger(__name__)

_FAILURES = (ImportError, OSError, RuntimeError)  # not installed; disk full; its writing thread died


class TensorBoard:
    """Writes each epoch's values as scalars; a failure is logged and ends the writing, not the training.

    Args:
        folder: where the event file goes; created if need be.
    """

    def __init__(self, folder: Path) -> None:
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder))
        except _FAILURES as error:
            self._give_up(error)

    def add(self, record: EpochRecord) -> None:
        """Write the values of `record` at its epoch."""
        if self._writer is None:
            return
        values = {
            "loss/train": record.train_loss,
            "loss/val": record.val_loss,
            "accuracy/train": record.train_accuracy,
            "accuracy/val": record.val_accuracy,
            "lr": record.lr,
            "images_per_second": record.images_per_second,
        }
        try:
            for name, value in values.items():
                if value is not None:
                    self._writer.add_scalar(name, value, record.epoch)
            self._writer.flush()
        except _FAILURES as error:
            self._give_up(error)

    def close(self) -> None:
        """Finish the event file."""
        if self._writer is None:
            return
        try:
            self._writer.close()
        except _FAILURES as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._writer = None
        _log.warning("no more TensorBoard events are written: %s", error)
