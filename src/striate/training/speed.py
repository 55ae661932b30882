"""How fast a training computes, and how fast it could: steps measured, operations counted, the peak."""

from __future__ import annotations

import copy
import functools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from striate.config import TrainConfig
from striate.stopwatch import UNTIMED, Step, Stopwatch
from striate.training import freezing
from striate.training.devices import Engine
from striate.training.loop import fit
from striate.training.module import seed_epoch
from striate.training.quiet import forked_generators
from striate.training.records import Progress
from striate.training.session import build_stepper, peak_lr
from striate.training.steps import Tally

if TYPE_CHECKING:
    from striate.backbones import Plan
    from striate.data.loaders import Batches

SETTLING_STEPS = 5
"""Steps that are measured but not counted: the first ones allocate memory and choose kernels."""
_SIDES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192), "mps": (2048, 4096)}  # of the matrices multiplied
_PEAK_SECONDS = 0.4  # for each of them
_WAIT: dict[str, Callable[[], None]] = {
    "cpu": lambda: None,
    "cuda": torch.cuda.synchronize,
    "mps": torch.mps.synchronize,
}


class _EnoughError(Exception):
    """As many steps were measured as were asked for."""


def measure_steps(
    network: torch.nn.Module,
    train: Batches,
    config: TrainConfig,
    class_names: Sequence[str],
    engine: Engine,
    *,
    steps: int,
    limit: float,
    on_batch: Callable[[Progress], None],
    plan: Plan | None = None,
) -> list[Step]:
    """Train `network` by `fit` for some steps, and return what each took.

    Args:
        network: trained in place.
        train: shuffled training batches.
        config: the settings; `lr` is a number.
        class_names: (K,).
        engine: what `choose_engine` returns for them.
        steps: how many to measure, after `SETTLING_STEPS`; fewer if training ends before.
        limit: seconds after which it is enough, whatever the number.
        on_batch: called after each step, as in any training.
        plan: which parameters learn.

    Returns:
        The steps, but the first of each epoch and those before the training had settled; of these, the ones
        with most images: a shorter last batch counts only where an epoch has no other step to count.
    """
    stopwatch, started = Stopwatch(_WAIT[engine.device]), time.perf_counter()

    def after_step(progress: Progress) -> None:
        on_batch(progress)
        measured = len(_largest(stopwatch.steps[SETTLING_STEPS:]))
        if measured >= steps or (measured > 0 and time.perf_counter() - started > limit):
            raise _EnoughError

    train.clock = stopwatch
    settings = config.model_copy(update={"early_stopping": None})  # it would need validation
    try:
        with tempfile.TemporaryDirectory(prefix="striate-bench-") as folder:
            fit(
                network,
                train,
                None,
                settings,
                class_names=class_names,
                checkpoints=Path(folder),
                on_batch=after_step,
                plan=plan,
            )
    except _EnoughError:
        pass
    finally:
        train.clock = UNTIMED
    return _largest(stopwatch.steps[SETTLING_STEPS:])


def _largest(steps: list[Step]) -> list[Step]:
    """Return the steps with as many images as the largest of them."""
    most = max((step.images for step in steps), default=0)
    return [step for step in steps if step.images == most]


def count_operations(
    network: torch.nn.Module, train: Batches, config: TrainConfig, engine: Engine, plan: Plan | None
) -> int:
    """Return the floating-point operations of convolutions and matrix products in one step, as torch counts.

    A multiplication and an addition are two. A copy of the network makes the step.
    """
    stepper = build_stepper(copy.deepcopy(network), train, config, engine, train.num_classes, plan)
    stepper.network.train()
    if plan is not None:
        freezing.apply(stepper.network, plan, 0)
    train.set_epoch(0)
    batch = next(iter(train))
    counter = FlopCounterMode(display=False)
    with forked_generators():
        seed_epoch(config.seed, 0)
        with counter:
            stepper.train(batch, peak_lr(config), Tally(stepper.device))
    return int(counter.get_total_flops())


def matrix_peak(engine: Engine) -> float:
    """Return operations per second of the fastest product of square matrices, as the engine would compute it.

    In float32, or bfloat16 where the engine has autocast; with torch's threads.
    """
    dtype = torch.bfloat16 if engine.precision == "bf16" else torch.float32
    fastest = 0.0
    for side in _SIDES[engine.device]:
        generator = torch.Generator().manual_seed(side)
        a, b = (torch.randn(side, side, generator=generator).to(engine.device, dtype) for _ in range(2))
        seconds = _shortest(functools.partial(torch.mm, a, b), _WAIT[engine.device])
        fastest = max(fastest, 2 * side**3 / seconds)
    return fastest


def _shortest(call: Callable[[], object], wait: Callable[[], None]) -> float:
    """Return the shortest duration of `call` in seconds, of at least three."""
    durations: list[float] = []
    while len(durations) < 3 or sum(durations) < _PEAK_SECONDS:
        wait()
        start = time.perf_counter()
        call()
        wait()
        durations.append(time.perf_counter() - start)
    return min(durations)
