"""The Lightning module: what happens in a training step, a validation step, and at an epoch's start.

Optimisation is manual, so that a step costs little more than in a bare loop.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

import lightning.pytorch as lightning
import numpy as np
import torch

from striate.schedules import Schedule
from striate.training import freezing
from striate.training.course import Course
from striate.training.steps import Stepper, Tally

if TYPE_CHECKING:
    from striate.backbones import Plan
    from striate.data.loaders import Batch, Batches

_STEPS_BETWEEN_CHECKS = 25  # on an accelerator, where looking at a loss means waiting for it


class Stop(Exception):  # noqa: N818 -- a way out of the loop, not an error
    """Ends the training before its last epoch."""

    def __init__(self, kind: Literal["interrupted", "non-finite"], message: str) -> None:
        super().__init__(message)
        self.kind = kind


class TrainingModule(lightning.LightningModule):
    """Trains a network; epochs are counted on from those that `course` has already.

    Args:
        stepper: makes the steps.
        schedule: gives the factor of the learning rate.
        course: state between epochs; not changed here.
        train: the training batches, to be told the epoch.
        lr: peak learning rate.
        seed: of dropout, together with the epoch.
        plan: what learns in which epoch; None: everything that requires gradients.
    """

    def __init__(
        self,
        stepper: Stepper,
        schedule: Schedule,
        course: Course,
        train: Batches,
        lr: float,
        seed: int,
        plan: Plan | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = stepper.network
        self.stepper = stepper
        self.schedule = schedule
        self.course = course
        self.train_batches = train
        self.peak_lr = lr
        self.seed = seed
        self.plan = plan
        self.lr = lr
        self.train_tally = Tally(stepper.device)
        self.val_tally = Tally(stepper.device)
        self.started = time.perf_counter()
        self.trained_seconds = 0.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer; Lightning only keeps it."""
        return self.stepper.optimizer

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave `batch` where it is: the stepper moves what it needs."""
        return batch

    def prepare_epoch(self) -> None:
        """Choose images and order of the epoch to come; Lightning asks for its length before it begins."""
        selection = self.stepper.selection
        self.train_batches.set_epoch(self.course.epoch)
        if selection is not None:
            self.train_batches.choose(selection.positions(self.course.epoch))

    def on_train_epoch_start(self) -> None:
        """Draw dropout from (seed, epoch) alone; freeze what the plan says."""
        if self.plan is not None:
            freezing.apply(self.network, self.plan, self.course.epoch)
        seed_epoch(self.seed, self.course.epoch)
        self.train_tally = Tally(self.stepper.device)
        self.started = time.perf_counter()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Make one optimizer step."""
        steps, full = len(self.train_batches), self.schedule.steps_per_epoch
        step = self.course.epoch * full + batch_idx * full / steps  # each epoch has its share of the schedule
        self.lr = self.peak_lr * self.schedule.factor(step, self.course.plateau.reductions)
        self.stepper.train(batch, self.lr, self.train_tally)
        every = 1 if self.stepper.device.type == "cpu" else _STEPS_BETWEEN_CHECKS
        last = batch_idx + 1 == steps
        with self.stepper.clock.part("logging"):
            if ((batch_idx + 1) % every == 0 or last) and not self.train_tally.is_finite():
                self.stop_as_not_finite("the training loss", batch_idx + 1)
        if last:
            self.trained_seconds = time.perf_counter() - self.started

    def on_validation_epoch_start(self) -> None:
        """Start counting anew."""
        self.val_tally = Tally(self.stepper.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure one batch."""
        self.stepper.evaluate(batch, self.val_tally)

    def stop_as_not_finite(self, what: str, step: int) -> None:
        """Raise `Stop`, saying where and what to try."""
        remedy = "a lower --lr" if self.stepper.clip_grad else "a lower --lr, or --clip-grad 1"
        raise Stop(
            "non-finite",
            f"{what} is not finite in epoch {self.course.epoch + 1}, step {step} "
            f"(learning rate {self.lr:.3g}); try {remedy}.",
        )


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed torch's global generators for one epoch; the caller has forked them."""
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1))
