"""The learning-rate range test: how the loss falls as the learning rate rises exponentially."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from striate.config import TrainConfig
from striate.errors import TrainingError
from striate.training.devices import choose_engine
from striate.training.records import LrFinding

if TYPE_CHECKING:
    import torch

    from striate.backbones import Plan
    from striate.data.loaders import Batch, Batches

_SMOOTHING = 0.9  # weight of the past in the running mean of the loss
_DIVERGED = 4.0  # times the lowest smoothed loss
_SETTLING_STEPS = 10  # at the start, while the running mean still follows single batches
_FEWEST_STEPS = 30
_SLOPE_STEPS = 9  # window over which slopes are averaged; shorter where there are fewer
_SMALLEST_FALL = 0.02  # of the loss, for a suggestion


def find_lr(
    network: torch.nn.Module,
    train: Batches,
    config: TrainConfig,
    *,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    plan: Plan | None = None,
) -> LrFinding:
    """Return the loss along an exponential rise of the learning rate, and a rate to train with.

    A copy of `network` is trained for up to `steps` steps with the optimizer, loss and augmentation of
    `config`, from `lowest` to `highest`, until the smoothed loss is four times its lowest value. Rates that
    `config` gives apart (`bias_lr`, `muon_sgd_lr`) stay as they are. The suggestion is the rate at which the
    smoothed loss falls fastest against the logarithm of the rate. Small data is passed over repeatedly.
    `network` and torch's generators are left as they were.

    Source: Smith 2017, Cyclical learning rates for training neural networks, sec. 3.3.

    Args:
        network: as for `fit`.
        train: as for `fit`; its epoch is 0 afterwards.
        config: as for `fit`; `lr` and `schedule` do not count.
        lowest: first learning rate.
        highest: last learning rate.
        steps: steps in all, at least 30.
        plan: as for `fit`; as it is in the last epoch.

    Raises:
        TrainingError: the loss did not fall, or was not finite from the start.
    """
    from striate.training.quiet import forked_generators

    if not 0 < lowest < highest or steps < _FEWEST_STEPS:
        raise ValueError(
            f"lowest {lowest}, highest {highest}, steps {steps}: expected 0 < lowest < highest and "
            f"at least {_FEWEST_STEPS} steps."
        )
    lrs = np.geomspace(lowest, highest, steps)
    with forked_generators():
        losses = _losses(copy.deepcopy(network), train, config, lrs, plan)
    train.set_epoch(0)
    smoothed = _smooth(losses)
    return LrFinding(_steepest(lrs[: len(smoothed)], smoothed), lrs[: len(smoothed)], smoothed)


def _losses(
    network: torch.nn.Module, train: Batches, config: TrainConfig, lrs: np.ndarray, plan: Plan | None
) -> list[float]:
    """Return the loss of each step, up to divergence."""
    from striate.training import freezing
    from striate.training.module import seed_epoch
    from striate.training.optimizers import keep_own_rates
    from striate.training.session import build_stepper
    from striate.training.steps import Tally

    settings = config.model_copy(update={"lr": float(lrs[0])})
    engine = choose_engine(settings, network, train.preprocess.input_shape)
    stepper = build_stepper(network, train, settings, engine, train.num_classes, plan)
    network.train()
    if plan is not None:
        freezing.apply(network, plan, config.epochs - 1)
    seed_epoch(config.seed, 0)
    losses: list[float] = []
    before = float(lrs[0])
    for lr, batch in zip(lrs, _repeat(train), strict=False):
        keep_own_rates(stepper.optimizer, float(lr), before)
        before = float(lr)
        loss = float(stepper.train(batch, float(lr), Tally(stepper.device)))
        if not math.isfinite(loss):
            break
        losses.append(loss)
        smoothed = _smooth(losses)
        if len(losses) > _SETTLING_STEPS and smoothed[-1] > _DIVERGED * smoothed.min():
            break
    return losses


def _repeat(train: Batches) -> Iterator[Batch]:
    """Yield batches of epoch 0, 1, 2, ..."""
    epoch = 0
    while True:
        train.set_epoch(epoch)
        yield from train
        epoch += 1


def _smooth(losses: list[float]) -> np.ndarray:
    """Return the running mean with exponential weights, corrected for its start, float64 (S,)."""
    smoothed = np.zeros(len(losses))
    mean = 0.0
    for step, loss in enumerate(losses):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        smoothed[step] = mean / (1 - _SMOOTHING ** (step + 1))
    return smoothed


def _steepest(lrs: np.ndarray, smoothed: np.ndarray) -> float:
    """Return the learning rate of the steepest fall before the minimum."""
    advice = "set --lr to a number, 1e-3 for instance"
    if len(smoothed) <= _SETTLING_STEPS:
        raise TrainingError(
            f"the learning-rate finder met a loss that is not finite at step {len(smoothed) + 1}; {advice}."
        )
    settled = smoothed[_SETTLING_STEPS:]
    lowest = int(settled.argmin())
    if settled[lowest] > (1 - _SMALLEST_FALL) * settled[0]:
        raise TrainingError(f"the learning-rate finder found no rate at which the loss falls; {advice}.")
    slopes = np.gradient(settled, np.log(lrs[_SETTLING_STEPS:]))
    count = len(slopes)
    window = _SLOPE_STEPS if count >= _SLOPE_STEPS else 1 + 2 * (count // 4)  # odd: it has a middle
    slopes = np.convolve(slopes, np.full(window, 1 / window), mode="same")
    return float(lrs[_SETTLING_STEPS + int(slopes[: lowest + 1].argmin())])
