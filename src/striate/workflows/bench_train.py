"""Where the time of a training step goes, measured on the training itself."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from striate import config as config_file
from striate.config import TrainConfig
from striate.errors import UserError
from striate.stopwatch import PARTS, Step
from striate.workflows import environment, transfer
from striate.workflows.listener import Listener
from striate.workflows.train import Training, absolute, check_sizes, fitted_to, surveyed, with_recipe

if TYPE_CHECKING:
    from striate.training import Engine
    from striate.training.waste import Waste

    PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class TrainingBench:
    """What the steps of a training came to.

    Attributes:
        model: name of the network.
        engine: device, precision and memory format in words.
        conditions: images, threads, processor and libraries in words.
        batch_size: images of each step that was measured.
        steps: so many were measured; what follows are means over the middle half by duration.
        parts: seconds of a step by part, in the order of a step; "rest" is what none of them holds. They add
            up to `seconds`.
        seconds: of a step.
        images_per_second: trained on.
        operations: floating-point operations of convolutions and matrix products in a step.
        peak: operations a second of a product of square matrices on this machine, in the same precision.
        peak_share: share of the peak that a whole step reaches.
        computing_share: the same of its forward and backward pass.
        peak_bytes: largest resident set of this process so far; None where that is not told.
        device_bytes: most memory in use on the accelerator; None without one.
        waste: the largest.
    """

    model: str
    engine: str
    conditions: str
    batch_size: int
    steps: int
    parts: dict[str, float]
    seconds: float
    images_per_second: float
    operations: int
    peak: float
    peak_share: float
    computing_share: float
    peak_bytes: int | None
    device_bytes: int | None
    waste: Waste


def bench_train(
    data: PathLike,
    *,
    steps: int = 50,
    limit: float = 30.0,
    listener: Listener | None = None,
    allocator_tuned: bool = False,
    **settings: Any,
) -> TrainingBench:
    """Train for some steps and say where their time goes; the verb is `striate bench train`.

    Nothing is evaluated and nothing written; images are prepared and cached as for any training.

    Args:
        data: folder, .zip, .csv, or the name of a data set.
        steps: how many to measure, after a few to settle; fewer if training ends before.
        limit: seconds of training after which no further step is measured.
        listener: hears how it goes.
        allocator_tuned: whether `striate.allocator.tune` was called.
        **settings: fields of `striate.config.TrainConfig`: `model="custom-cnn"`, `batch_size=256`, ...

    Raises:
        UserError: the data or a setting cannot be used, or an epoch has too few steps.
    """
    if steps < 1:
        raise UserError(f"steps is {steps}: expected at least 1.")
    if not limit > 0:
        raise UserError(f"limit is {limit:g}: expected more than 0 seconds.")
    listener = listener or Listener()
    training = _prepare({"data": os.fspath(data), **settings}, listener)
    return _measure(training, steps, limit, allocator_tuned, listener)


def _prepare(settings: dict[str, Any], listener: Listener) -> Training:
    """Return what `striate train` would begin with."""
    given = settings.keys()
    config = absolute(config_file.make(TrainConfig, with_recipe(settings, listener)))
    if config.engine != "torch":
        raise UserError(
            f"bench train measures training on PyTorch, not --engine {config.engine}; leave it out."
        )
    check_sizes(config, given)
    config, found = surveyed(config, given, listener)
    choice = transfer.choose_network(config, listener)
    if choice.strategy == "features":
        raise UserError(
            f"{choice.model.name} with --strategy features is not trained by steps; choose another "
            "--strategy, such as head, or another --model."
        )
    sets = transfer.prepare_images(config, choice, found, listener)
    config = fitted_to(config, given, sets)
    config = _leave_two_steps(config, len(sets.train), listener)
    return Training.prepare(config, choice, sets, listener).with_found_lr(listener)


def _leave_two_steps(config: TrainConfig, images: int, listener: Listener) -> TrainConfig:
    """Make the default batch size fit a small data set; one that was asked for is left alone."""
    most = max(1, images // 2)
    if "batch_size" in config.model_fields_set or config.batch_size <= most:
        return config
    listener.message(f"batch size {most}: an epoch needs two steps, of which the first is not measured.")
    return config.model_copy(update={"batch_size": most})


def _measure(
    training: Training, steps: int, limit: float, allocator_tuned: bool, listener: Listener
) -> TrainingBench:
    from striate.training import choose_engine, speed
    from striate.training.waste import COMPUTING, Terms, largest_waste

    network, train, config = training.network, training.train, training.config
    if len(train) < 2:
        raise UserError(
            f"an epoch has one step of {len(train.images)} images, and the first of each is not measured; "
            "choose a smaller --batch-size."
        )
    engine = choose_engine(config, network, train.preprocess.input_shape)
    listener.stage("measuring the machine", 0, 1)
    peak = speed.matrix_peak(engine)
    operations = speed.count_operations(network, train, config, engine, training.plan)
    measured = speed.measure_steps(
        network,
        train,
        config,
        training.sets.class_names,
        engine,
        steps=steps,
        limit=limit,
        on_batch=listener.batch,
        plan=training.plan,
    )
    if not measured:
        raise UserError("training ended before a step was measured; choose more --epochs.")
    counted = middle_half(measured)
    parts = mean_parts(counted)
    seconds = sum(parts.values())
    images = counted[0].images  # of each
    operations = operations * images // config.batch_size
    ideal = operations / peak
    if images < config.batch_size:
        listener.message(
            f"steps of {images} images were measured: an epoch has one whole batch of {config.batch_size}, "
            "and the first of each is not measured. Choose a smaller --batch-size."
        )
    terms = Terms(
        config,
        engine,
        in_memory=train.images.pixels.in_memory,
        workers=train.num_workers,
        allocator_tuned=allocator_tuned,
        operations=operations / images,
        batch_size=config.batch_size,
        images=len(train.images),
    )
    return TrainingBench(
        model=training.choice.model.name,
        engine=str(engine),
        conditions=_conditions(training),
        batch_size=images,
        steps=len(measured),
        parts=parts,
        seconds=seconds,
        images_per_second=images / seconds,
        operations=operations,
        peak=peak,
        peak_share=ideal / seconds,
        computing_share=ideal / sum(parts[name] for name in COMPUTING),
        peak_bytes=_peak_bytes(),
        device_bytes=_device_bytes(engine),
        waste=largest_waste(parts, ideal, terms),
    )


def middle_half(steps: list[Step]) -> list[Step]:
    """Return the steps of middling duration, without the quickest and the slowest quarter.

    What else the machine does makes a few steps long, which says nothing of the training.
    """
    quarter = len(steps) // 4
    return sorted(steps, key=lambda step: step.seconds)[quarter : len(steps) - quarter]


def mean_parts(steps: list[Step]) -> dict[str, float]:
    """Return the mean seconds of each of `PARTS`, and as "rest" what is in none of them."""
    parts = {name: sum(step.parts.get(name, 0.0) for step in steps) / len(steps) for name in PARTS}
    return parts | {"rest": sum(step.seconds for step in steps) / len(steps) - sum(parts.values())}


def _conditions(training: Training) -> str:
    import torch

    described = environment.describe()
    shape = "x".join(map(str, training.train.preprocess.input_shape))
    threads = torch.get_num_threads()
    return (
        f"{len(training.train.images):,} images of {shape}, {threads} thread{'s' * (threads > 1)}; "
        f"{described['processor']}, torch {described['libraries']['torch']}"
    )


def _peak_bytes() -> int | None:
    """Return the largest resident set that this process had."""
    if platform.system() == "Windows":
        return None
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _device_bytes(engine: Engine) -> int | None:
    import torch

    return torch.cuda.max_memory_allocated() if engine.device == "cuda" else None
