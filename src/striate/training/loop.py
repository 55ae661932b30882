"""Training from batches to weights: the one function that the rest of Striate calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from striate.config import TrainConfig
from striate.training.checkpoints import Checkpoint
from striate.training.records import EpochRecord, Fitted, Progress

if TYPE_CHECKING:
    import torch

    from striate.backbones import Plan
    from striate.data.loaders import Batches


def fit(
    network: torch.nn.Module,
    train: Batches,
    val: Batches | None,
    config: TrainConfig,
    *,
    class_names: Sequence[str],
    checkpoints: Path,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    on_batch: Callable[[Progress], None] | None = None,
    resume_from: Checkpoint | None = None,
    tensorboard: Path | None = None,
    plan: Plan | None = None,
) -> Fitted:
    """Train `network` in place; it ends in evaluation mode on the CPU with the weights that are returned.

    On one machine's CPU the outcome depends on the arguments alone, to the bit, also if training was killed
    and resumed in between: the order of images, augmentation and dropout follow from (seed, epoch), the
    learning rate from the step. torch's global generators are left as they were.

    Ctrl-C and SIGTERM end training after the running step; the weights kept so far are returned.

    Args:
        network: a module with an attribute `output`, one of `schemas.OUTPUTS` ("logits" if it has none), that
            takes float32 (B, C, H, W).
        train: shuffled training batches.
        val: validation batches, or None; then the last epoch's weights are kept.
        config: the settings; `lr` must be a number here (see `find_lr`).
        class_names: (K,).
        checkpoints: folder for `last.safetensors`, replaced after every epoch; created if need be.
        on_epoch: called after each epoch, once its checkpoint is on disk.
        on_batch: called after each step.
        resume_from: go on from here, as `read_checkpoint` returned it; its epochs are not reported again.
        tensorboard: folder for TensorBoard events, or None.
        plan: which parameters learn, when, and at which share of the learning rate, as
            `striate.backbones.make_plan` returns it; None: all that require gradients.

    Raises:
        UserError: settings that exclude each other, a loss that does not fit, a device that is not there, or
            a checkpoint that cannot be written.
        RunError: `resume_from` is of another network, other settings or other data.
        TrainingError: the loss was not finite before an epoch was completed.
    """
    from striate.training.session import Session

    session = Session(network, train, val, config, list(class_names), checkpoints, resume_from, plan)
    return session.run(on_epoch, on_batch, tensorboard)
