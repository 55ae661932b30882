"""What a step would cost, found out by doing a little of it."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from striate.workflows import on_features
from striate.workflows.listener import Listener

if TYPE_CHECKING:
    from striate.data import ImageSets
    from striate.workflows.on_features import FrozenNetwork
    from striate.workflows.train import Training

WARMING_IMAGES = 8
TIMED_IMAGES = 24
TRAINED_IMAGES = 16
"""Images of a step that is timed: so many of 224 pixels, and more of smaller ones, up to a batch."""
TRAINED_PIXELS = TRAINED_IMAGES * 224 * 224
HEAD_SECONDS_AN_IMAGE = 2.5e-3
"""To choose the penalty and fit the head: coffee leaves with 2,176 features and five classes."""
LONG = 0.1
"""Share of the time left beyond which nothing is timed a second time."""
CAUTION = 1.15
"""What was measured on a few images is taken for so much more."""


@dataclass(frozen=True)
class TrainingCost:
    """Seconds an image: of a training step, and of an evaluation."""

    training: float
    evaluation: float


@dataclass(frozen=True)
class FeaturesCost:
    """Seconds.

    Attributes:
        an_image: to compute the features of one; 0 where all are kept.
        here: to compute those of training and validation images that are missing, and the head.
        test: to compute those of the test images that are missing.
    """

    an_image: float
    here: float
    test: float


def time_training(training: Training, room: float) -> TrainingCost:
    """Make two steps on some images with a copy of the network, evaluate them twice, and measure.

    The first of each is for warming up: kernels for this size of batch are compiled, memory is taken. It must
    do where it alone took much of the time. torch's generators are left as they were.

    Args:
        training: what is to be timed.
        room: seconds that are left.
    """
    import torch

    from striate.training import freezing
    from striate.training.devices import choose_engine
    from striate.training.module import seed_epoch
    from striate.training.quiet import forked_generators
    from striate.training.session import build_stepper
    from striate.training.steps import Tally

    network = copy.deepcopy(training.network)
    shape = training.sets.preprocess.input_shape
    engine = choose_engine(training.config, network, shape)
    classes = len(training.sets.class_names)
    stepper = build_stepper(network, training.train, training.config, engine, classes, training.plan)
    if training.plan is None:
        network.train()
    else:
        freezing.apply(network, training.plan, training.config.epochs - 1)
    batch = next(iter(training.train))
    count = TRAINED_PIXELS // (shape[1] * shape[2])
    part = type(batch)(*(values[: max(TRAINED_IMAGES, count)] for values in batch))
    tally = Tally(stepper.device)
    with forked_generators():
        seed_epoch(training.config.seed, 0)
        step = _seconds(lambda: stepper.train(part, 0.0, tally), room)
        network.eval()
        with torch.no_grad():
            evaluated = _seconds(lambda: stepper.evaluate(part, tally), room)
    return TrainingCost(CAUTION * step / len(part.labels), CAUTION * evaluated / len(part.labels))


def _seconds(work: Callable[[], object], room: float) -> float:
    """What the work takes, the shorter of two times; of one where that took `LONG` of the room."""
    taken: list[float] = []
    while len(taken) < 2 and sum(taken) <= LONG * room:
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def time_decoding(sets: ImageSets) -> float:
    """Return the seconds that decoding training and validation images takes; 0 where they are in memory."""
    parts = [part for part in (sets.train, sets.val) if part is not None]
    if sets.train.pixels.in_memory:
        return 0.0
    chosen = np.linspace(0, len(sets.train) - 1, min(len(sets.train), WARMING_IMAGES)).astype(int)
    started = time.perf_counter()
    sets.train.pixels.take(chosen)
    an_image = (time.perf_counter() - started) / len(chosen)
    return CAUTION * an_image * sum(map(len, parts)) / min(8, os.cpu_count() or 1)


def time_features(network: FrozenNetwork, sets: ImageSets, listener: Listener) -> FeaturesCost:
    """Compute the features of some images that lack them, which keeps them, and measure that.

    They are of the split that lacks most; features tell nobody how well a network does on its images.
    """
    from striate.features import missing_features

    parts = {"train": sets.train, "val": sets.val, "test": sets.test}
    missing = {
        name: missing_features(sets.digests(part), sets.preprocess, network.frozen)
        for name, part in parts.items()
        if part is not None
    }
    head = HEAD_SECONDS_AN_IMAGE * len(sets.train)
    most = max(missing, key=lambda name: len(missing[name]))
    part, lacking = parts[most], missing[most]
    if part is None or len(lacking) <= WARMING_IMAGES:
        return FeaturesCost(0.0, head, 0.0)
    first, then = lacking[:WARMING_IMAGES], lacking[WARMING_IMAGES : WARMING_IMAGES + TIMED_IMAGES]
    on_features.features_of(network.frozen, sets, {"trial": part.select(first)}, Listener())
    started = time.perf_counter()
    on_features.features_of(network.frozen, sets, {"trial": part.select(then)}, Listener())
    an_image = CAUTION * (time.perf_counter() - started) / len(then)
    left = {name: len(rows) for name, rows in missing.items()}
    left[most] -= len(first) + len(then)
    return FeaturesCost(
        an_image, an_image * (left["train"] + left.get("val", 0)) + head, an_image * left["test"]
    )
