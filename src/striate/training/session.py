"""A training put together from its parts, run, and closed however it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import lightning.pytorch as lightning
import torch

from striate import files
from striate.config import TrainConfig
from striate.schedules import Schedule
from striate.schemas import Output
from striate.training.averaging import make_average, restore_average
from striate.training.callbacks import EpochEnd, StepEnd
from striate.training.checkpoints import (
    CHECKPOINT_NAME,
    Checkpoint,
    Circumstances,
    check_fits,
    write_checkpoint,
)
from striate.training.course import Course, check_early_stopping
from striate.training.devices import Engine, choose_engine
from striate.training.interrupts import Interrupts
from striate.training.loss_choice import balanced_weights, choose_loss
from striate.training.losses import Loss
from striate.training.module import Stop, TrainingModule
from striate.training.optimizers import build_optimizer, restore_state, state_arrays, weights_of
from striate.training.quiet import forked_generators, quiet_lightning
from striate.training.records import Ending, EpochRecord, Fitted, Progress
from striate.training.selection import Selection
from striate.training.steps import Stepper
from striate.training.tensorboard import TensorBoard

if TYPE_CHECKING:
    from striate.backbones import Plan
    from striate.data.loaders import Batches


class Session:
    """One call of `fit`; see there for the arguments."""

    def __init__(
        self,
        network: torch.nn.Module,
        train: Batches,
        val: Batches | None,
        config: TrainConfig,
        class_names: list[str],
        checkpoints: Path,
        resume_from: Checkpoint | None,
        plan: Plan | None = None,
    ) -> None:
        check_early_stopping(config, has_val=val is not None)
        self.network = network
        self.train = train
        self.val = val
        self.config = config
        self.plan = plan
        self.checkpoint_file = checkpoints / CHECKPOINT_NAME
        self.schedule = Schedule(config, len(train))
        shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        self.circumstances = Circumstances.of(
            config, class_names, len(train.images), len(train), shapes, getattr(network, "spec", None)
        )
        if resume_from is not None:
            check_fits(resume_from, self.circumstances)
        self.engine = _engine(network, train, config, resume_from)
        self.stepper = build_stepper(network, train, config, self.engine, len(class_names), plan)
        self.course = self._course(resume_from)

    def run(
        self,
        on_epoch: Callable[[EpochRecord], None] | None,
        on_batch: Callable[[Progress], None] | None,
        tensorboard: Path | None,
    ) -> Fitted:
        """Train to the end, or until something ends it."""
        files.make_folder(self.checkpoint_file.parent)
        board = TensorBoard(tensorboard) if tensorboard is not None else None
        listeners = [
            self._write_checkpoint,
            *([board.add] if board else []),
            *([on_epoch] if on_epoch else []),
        ]
        try:
            with Interrupts() as interrupts, forked_generators():
                ending, message = self._train(interrupts, listeners, on_batch)
        finally:
            if board:
                board.close()
        return self._close(ending, message)

    def _train(
        self,
        interrupts: Interrupts,
        listeners: list[Callable[[EpochRecord], None]],
        on_batch: Callable[[Progress], None] | None,
    ) -> tuple[Ending, str]:
        """Run Lightning's loop over the epochs that remain; return how it ended."""
        remaining = self.config.epochs - self.course.epoch
        if remaining > 0 and not self.course.has_stalled(self.config.early_stopping):
            callbacks = [
                StepEnd(self.config.epochs, interrupts, on_batch),
                EpochEnd(self.config, self.val is not None, listeners),
            ]
            try:
                self._fit(callbacks, remaining)
            except Stop as stop:
                return stop.kind, str(stop) or self.course.interrupted_message(self.config)
            except SystemExit as error:  # how Lightning ends on Ctrl-C and SIGTERM
                if not interrupts.requested and not isinstance(error.__context__, KeyboardInterrupt):
                    raise
                return "interrupted", self.course.interrupted_message(self.config)
        if self.course.epoch < self.config.epochs:
            return "early", self.course.stalled_message(self.config)
        return "finished", ""

    def _fit(self, callbacks: list[lightning.Callback], epochs: int) -> None:
        module = TrainingModule(
            self.stepper,
            self.schedule,
            self.course,
            self.train,
            peak_lr(self.config),
            self.config.seed,
            self.plan,
        )
        module.prepare_epoch()
        self.network.train()
        with quiet_lightning():
            trainer = lightning.Trainer(
                accelerator=self.engine.device,
                devices=1,
                max_epochs=epochs,
                callbacks=callbacks,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                use_distributed_sampler=False,
                reload_dataloaders_every_n_epochs=int(self.stepper.selection is not None),  # lengths differ
            )
            trainer.fit(module, self.train, self.val)

    def _close(self, ending: Ending, message: str) -> Fitted:
        """Load the weights to keep into the network and return what came of the training."""
        self.train.choose(None)
        network = self.network.to("cpu").to(memory_format=torch.contiguous_format)
        network.eval()
        now = weights_of(self.stepper.judged)
        fitted = self.course.fitted(ending, message, self.engine, now)
        network.load_state_dict(
            {name: torch.from_numpy(array.copy()) for name, array in fitted.weights.items()}
        )
        return fitted

    def _course(self, checkpoint: Checkpoint | None) -> Course:
        """Return the state to start from; loads weights and optimizer state of `checkpoint`."""
        if checkpoint is not None:
            values = {name: torch.from_numpy(array.copy()) for name, array in checkpoint.weights.items()}
            self.network.load_state_dict(values)
            restore_state(self.stepper.optimizer, self.network, checkpoint.optimizer)
            if self.stepper.average is not None:
                updates = sum(self._steps(epoch) for epoch in range(checkpoint.epoch))
                restore_average(self.stepper.average, checkpoint.averaged_weights, updates)
            if self.stepper.selection is not None:
                self.stepper.selection.restore(checkpoint.selection)
        return Course.resumed(checkpoint)

    def _steps(self, epoch: int) -> int:
        """Return the number of optimizer steps of an epoch, counted from 0."""
        selection = self.stepper.selection
        if selection is None:
            return len(self.train)
        return len(replace(self.train.grouping, n=selection.count(epoch)))

    def _write_checkpoint(self, record: EpochRecord) -> None:
        state = state_arrays(self.stepper.optimizer, self.network)
        checkpoint = self.course.checkpoint(self.circumstances, self.engine, state)
        write_checkpoint(self.checkpoint_file, checkpoint)


def build_stepper(
    network: torch.nn.Module,
    train: Batches,
    config: TrainConfig,
    engine: Engine,
    num_classes: int,
    plan: Plan | None = None,
) -> Stepper:
    """Return what trains `network` on `train` as `config` says; moves the network to the engine's device.

    Only what `plan` lets learn at any time is optimised.

    Raises:
        UserError: the loss does not fit the network.
    """
    output: Output = cast("Output", getattr(network, "output", "logits"))
    name = choose_loss(output, config.loss)
    weights = None
    if config.class_weights == "balanced":
        weights = torch.from_numpy(balanced_weights(train.images.labels, num_classes)).to(engine.device)
    loss = Loss(output, name, label_smoothing=config.label_smoothing, class_weights=weights)
    channels_last = engine.memory_format == "channels-last"
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network.to(engine.device).to(memory_format=layout)
    optimizer = build_optimizer(network, config, peak_lr(config), plan)
    average = make_average(network, config.ema_decay) if config.ema_decay else None
    selection = None
    if config.hard_share < 1:
        selection = Selection(len(train.images), config.batch_size, config.epochs, config.hard_share)
    return Stepper(
        network, output, loss, optimizer, engine, config.clip_grad, average, train.clock, selection
    )


def peak_lr(config: TrainConfig) -> float:
    """Return the learning rate as a number."""
    if isinstance(config.lr, str):
        raise ValueError("config.lr is 'auto'; expected a number, such as the suggestion of find_lr.")
    return config.lr


def _engine(
    network: torch.nn.Module, train: Batches, config: TrainConfig, checkpoint: Checkpoint | None
) -> Engine:
    """Return the engine to use: on the same kind of device, the one that `checkpoint` was trained with."""
    engine = choose_engine(config, network, train.preprocess.input_shape)
    if checkpoint is None or checkpoint.engine["device"] != engine.device:
        return engine
    before = checkpoint.engine
    return Engine(
        engine.device,
        cast("Literal['32', 'bf16']", before["precision"]),
        cast("Literal['contiguous', 'channels-last']", before["memory_format"]),
        "as before the resumption",
    )
