"""Training on the glass-box engine, without torch: the same settings, history, checkpoints and endings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from striate import files
from striate.config import TrainConfig
from striate.data.array_batches import ArrayBatches
from striate.engine import SGD, Adam, AdamW, Loss, Network, NotFiniteError, blas
from striate.engine.backend import from_numpy
from striate.engine.fit import Totals, evaluate, train_epoch
from striate.engine.optim import Optimizer
from striate.errors import UserError
from striate.schedules import Schedule
from striate.schemas import Output
from striate.training.checkpoints import (
    CHECKPOINT_NAME,
    Checkpoint,
    Circumstances,
    check_fits,
    write_checkpoint,
)
from striate.training.course import Course, check_early_stopping
from striate.training.devices import NOTHING_TO_TRAIN, Engine
from striate.training.interrupts import Interrupts
from striate.training.loss_choice import balanced_weights, choose_loss
from striate.training.records import Ending, EpochRecord, Fitted, Progress


def fit_arrays(
    network: Network,
    train: ArrayBatches,
    val: ArrayBatches | None,
    config: TrainConfig,
    *,
    class_names: Sequence[str],
    checkpoints: Path,
    spec: object = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    on_batch: Callable[[Progress], None] | None = None,
    resume_from: Checkpoint | None = None,
) -> Fitted:
    """Train a network of the engine in place, as `fit` trains one of torch.

    It ends in evaluation mode with the weights that are returned.

    On one machine's CPU the outcome depends on the arguments alone, to the bit, also if training was killed
    and resumed in between. Initial weights, the order of images, augmentation, mixing and learning rates are
    those of `fit`; dropout draws its masks from (seed, epoch, layer).

    Args:
        network: built by `striate.architectures.build(..., engine="numpy")` (or `"cupy"`).
        train: shuffled training batches.
        val: validation batches, or None; then the last epoch's weights are kept.
        config: the settings; those that only torch has are refused.
        class_names: (K,).
        checkpoints: folder for `last.safetensors`, replaced after every epoch; created if need be.
        spec: the network's description; a checkpoint fits only the same.
        on_epoch: called after each epoch, once its checkpoint is on disk.
        on_batch: called after each step.
        resume_from: go on from here.

    Raises:
        UserError: settings that exclude each other or need torch.
        RunError: `resume_from` is of another network, other settings or other data.
        TrainingError: the loss was not finite before an epoch was completed.
    """
    check_settings(config)
    if not network.parameters():
        raise UserError(NOTHING_TO_TRAIN)
    session = _ArraySession(network, train, val, config, list(class_names), checkpoints, spec, resume_from)
    return session.run(on_epoch, on_batch)


def check_settings(config: TrainConfig) -> None:
    """Refuse settings that the engine does not have.

    Raises:
        UserError: names the setting and the way out.
    """
    refused = {
        "--lr auto": config.lr == "auto",
        f"--precision {config.precision}": config.precision == "bf16",
        f"--device {config.device}": config.device not in ("auto", "cpu") and config.engine == "numpy",
        f"--memory-format {config.memory_format}": config.memory_format == "channels-last",
        "--tensorboard": config.tensorboard,
        "--optimizer muon": config.optimizer == "muon",
        "--first-layer whitening": config.first_layer == "whitening",
        "--bias-lr": config.bias_lr is not None,
        "--ema-decay": config.ema_decay > 0,
        "--hard-share": config.hard_share < 1,
    }
    for setting, given in refused.items():
        if given:
            source = f", which the recipe {config.recipe} may set," if config.recipe else ""
            raise UserError(f"{setting}{source} needs PyTorch; leave it out, or choose --engine torch.")


class _Interrupted(Exception):  # noqa: N818 -- a way out of the loop, not an error
    """A signal asked to stop."""


class _ArraySession:
    """One call of `fit_arrays`; see there for the arguments."""

    def __init__(
        self,
        network: Network,
        train: ArrayBatches,
        val: ArrayBatches | None,
        config: TrainConfig,
        class_names: list[str],
        checkpoints: Path,
        spec: object,
        resume_from: Checkpoint | None,
    ) -> None:
        check_early_stopping(config, has_val=val is not None)
        self.network = network
        self.train = train
        self.val = val
        self.config = config
        self.checkpoint_file = checkpoints / CHECKPOINT_NAME
        self.schedule = Schedule(config, len(train))
        self.loss = _loss(network, train, config, len(class_names))
        self.optimizer = build_optimizer(network, config)
        self.engine = _engine(config)
        shapes = {name: array.shape for name, array in network.state_dict().items()}
        self.circumstances = Circumstances.of(
            config, class_names, len(train.images), len(train), shapes, spec
        )
        if resume_from is not None:
            check_fits(resume_from, self.circumstances)
            network.load_state_dict(resume_from.weights)
            self.optimizer.restore_state(resume_from.optimizer)
        self.course = Course.resumed(resume_from)

    def run(
        self, on_epoch: Callable[[EpochRecord], None] | None, on_batch: Callable[[Progress], None] | None
    ) -> Fitted:
        """Train to the end, or until something ends it."""
        files.make_folder(self.checkpoint_file.parent)
        with Interrupts() as interrupts:
            try:
                ending, message = self._train(interrupts, on_epoch, on_batch)
            except NotFiniteError as error:
                remedy = "a lower --lr" if self.config.clip_grad else "a lower --lr, or --clip-grad 1"
                ending, message = "non-finite", f"{error}; try {remedy}."
            except _Interrupted:
                ending, message = "interrupted", self.course.interrupted_message(self.config)
        fitted = self.course.fitted(ending, message, self.engine, self.network.state_dict())
        self.network.load_state_dict(fitted.weights)
        self.network.eval()
        return fitted

    def _train(
        self,
        interrupts: Interrupts,
        on_epoch: Callable[[EpochRecord], None] | None,
        on_batch: Callable[[Progress], None] | None,
    ) -> tuple[Ending, str]:
        """Make the epochs that remain; return how that ended."""
        while self.course.epoch < self.config.epochs:
            if self.course.has_stalled(self.config.early_stopping):
                return "early", self.course.stalled_message(self.config)
            record = self._epoch(interrupts, on_batch)
            self.course.add(record, self.network.state_dict(), self.config)
            state = self.optimizer.state_arrays()
            write_checkpoint(
                self.checkpoint_file, self.course.checkpoint(self.circumstances, self.engine, state)
            )
            if on_epoch is not None:
                on_epoch(record)
        return "finished", ""

    def _epoch(self, interrupts: Interrupts, on_batch: Callable[[Progress], None] | None) -> EpochRecord:
        """Train and measure one epoch."""
        number, started = self.course.epoch, time.perf_counter()

        def on_step(step: int, totals: Totals) -> None:
            if interrupts.requested:
                raise _Interrupted
            if on_batch is not None:
                speed = totals.images / max(time.perf_counter() - started, 1e-9)
                on_batch(Progress(number + 1, self.config.epochs, step + 1, len(self.train), speed))

        def while_measuring(step: int, totals: Totals) -> None:
            if interrupts.requested:
                raise _Interrupted

        self.network.seed(self.config.seed, number)
        trained = train_epoch(
            self.network,
            self.train,
            number,
            self.loss,
            self.optimizer,
            self._rate,
            self.config.clip_grad,
            on_step,
        )
        seconds = time.perf_counter() - started
        val_loss, val_accuracy = None, None
        if self.val is not None:
            val_loss, val_accuracy = evaluate(self.network, self.val, self.loss, while_measuring).means()
        self._check_finite(number)
        train_loss, train_accuracy = trained.means()
        return EpochRecord(
            epoch=number + 1,
            lr=self.optimizer.lr,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            best=self.course.is_best(val_loss, val_accuracy, self.config.best_by),
            seconds=time.perf_counter() - started,
            images_per_second=trained.images / max(seconds, 1e-9),
        )

    def _rate(self, step: int) -> float:
        """Return the learning rate of a step of the running epoch."""
        done = self.course.epoch * len(self.train)
        return float(self.config.lr) * self.schedule.factor(done + step, self.course.plateau.reductions)

    def _check_finite(self, number: int) -> None:
        state = self.network.state_dict()
        broken = [name for name, array in state.items() if not np.isfinite(array).all()]
        if broken:
            raise NotFiniteError(f"{broken[0]} is not finite after epoch {number + 1}")


def build_optimizer(network: Network, config: TrainConfig) -> Optimizer:
    """Return the optimizer of `config`; what decays is as in `optimizers.build_optimizer`, for torch."""
    parameters = network.parameters()
    lr, decay = float(config.lr), config.weight_decay
    if config.optimizer == "adam":
        return Adam(parameters, lr, weight_decay=decay)
    undecayed = [name for name, parameter in parameters.items() if parameter.value.ndim <= 1]
    if config.optimizer == "adamw":
        return AdamW(parameters, lr, weight_decay=decay, undecayed=undecayed)
    return SGD(
        parameters,
        lr,
        config.momentum,
        nesterov=config.nesterov,
        weight_decay=decay,
        undecayed=undecayed,
    )


def _loss(network: Network, train: ArrayBatches, config: TrainConfig, num_classes: int) -> Loss:
    name = choose_loss(cast("Output", network.output), config.loss)
    weights = None
    if config.class_weights == "balanced":
        like = next(iter(network.parameters().values())).value
        weights = from_numpy(balanced_weights(train.images.labels, num_classes), like)
    return Loss(network.output, name, config.label_smoothing, weights)


def _engine(config: TrainConfig) -> Engine:
    if config.engine == "numpy":
        return Engine("cpu", "32", "contiguous", f"NumPy with {blas.kernel()}")
    return Engine("cuda", "32", "contiguous", "CuPy")
