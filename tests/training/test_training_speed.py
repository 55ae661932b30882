"""What a step is measured to take, against what its operations would take at the machine's peak."""

from __future__ import annotations

import time

import pytest
import torch
from training_task import CLASS_NAMES, make_batches, make_config, make_network

from striate.stopwatch import PARTS, UNTIMED
from striate.training import Engine, speed
from striate.training.waste import Terms, largest_waste

CPU = Engine("cpu", "32", "contiguous", "as set")


def measure(batches, steps=6, network=None, limit=60.0, **changes):  # type: ignore[no-untyped-def]
    seen = []
    config = make_config(**{"precision": "32", "memory_format": "contiguous", "epochs": 50, **changes})
    network = make_network() if network is None else network
    found = speed.measure_steps(
        network, batches, config, list(CLASS_NAMES), CPU, steps=steps, limit=limit, on_batch=seen.append
    )
    return found, seen


def test_every_part_of_a_real_step_is_measured_and_together_they_fit_into_it() -> None:
    batches = make_batches(augment="flip-crop", n=320)
    found, _ = measure(batches)
    assert len(found) == 6
    for step in found:
        assert set(step.parts) == set(PARTS)
        assert all(seconds > 0 for seconds in step.parts.values())
        assert sum(step.parts.values()) <= step.seconds
        assert step.images == 32
    assert batches.clock is UNTIMED


def test_what_takes_long_is_found_in_its_part() -> None:
    pause = 0.02

    class Slow(torch.nn.Identity):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            time.sleep(pause)
            return x

    class SlowBackward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            return x.clone()

        @staticmethod
        def backward(ctx, grad):  # type: ignore[no-untyped-def]
            time.sleep(2 * pause)
            return grad

    class Both(Slow):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return SlowBackward.apply(super().forward(x))  # type: ignore[no-any-return]

    network = torch.nn.Sequential(make_network(), Both())
    found, _ = measure(make_batches(n=320), steps=3, network=network)
    assert all(step.parts["forward"] >= pause and step.parts["backward"] >= 2 * pause for step in found)


def test_steps_are_those_of_a_training_to_its_listener_too_and_end_with_it() -> None:
    found, seen = measure(make_batches(n=64), steps=100, epochs=8)
    assert len(found) == 8 - speed.SETTLING_STEPS  # one of the two steps of an epoch counts
    assert [progress.step for progress in seen[:4]] == [1, 2, 1, 2]


def test_the_limit_ends_a_measurement_after_a_step() -> None:
    found, _ = measure(make_batches(n=640), steps=1000, limit=1e-9)
    assert len(found) == 1


def test_operations_are_three_passes_of_multiply_adds_but_for_the_images_gradient() -> None:
    network = make_network(dropout=0.0)
    config = make_config(precision="32", memory_format="contiguous")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = speed.count_operations(network, make_batches(), config, CPU, None)
    first, second, last = 6 * 9 * 36, 6 * 6 * 9 * 16, 96 * 4
    assert found == 2 * 32 * (2 * first + 3 * second + 3 * last)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_peak_is_no_less_than_a_product_of_matrices_reaches() -> None:
    a = torch.randn(512, 512)
    start = time.perf_counter()
    for _ in range(3):
        torch.mm(a, a)
    plain = 3 * 2 * 512**3 / (time.perf_counter() - start)
    assert speed.matrix_peak(CPU) > 0.5 * plain  # the machine may be busier meanwhile


def terms(**changes):  # type: ignore[no-untyped-def]
    chosen = {
        "config": make_config(augment="photo"),
        "engine": CPU,
        "in_memory": True,
        "workers": 0,
        "allocator_tuned": True,
        "operations": 1e5,
        "batch_size": 32,
        "images": 50_000,
    }
    return Terms(**{**chosen, **changes})


PARTS_OF_A_STEP = dict.fromkeys((*PARTS, "rest"), 0.01)


@pytest.mark.parametrize(
    ("part", "changes", "text"),
    [
        ("decode", {"in_memory": False}, "--num-workers 1 or more"),
        ("decode", {"in_memory": False, "workers": 2}, "raise --num-workers"),
        ("augment", {}, "costs less than photo"),
        ("optimizer", {}, "--optimizer sgd"),
        ("rest", {}, "take a larger --batch-size"),
        ("rest", {"images": 60}, "too few for a larger --batch-size; train on more."),
    ],
)
def test_the_longest_part_beside_computing_is_named_with_its_remedy(part, changes, text) -> None:  # type: ignore[no-untyped-def]
    found = largest_waste(PARTS_OF_A_STEP | {part: 0.04}, 0.02, terms(**changes))
    assert (found.part, found.seconds) == (part, 0.04)
    assert found.share == pytest.approx(0.04 / 0.12)
    assert text in found.advice


def test_computing_wastes_what_it_takes_beyond_the_time_at_the_peak() -> None:
    parts = PARTS_OF_A_STEP | {"forward": 0.1, "backward": 0.2}
    slow, quick = (largest_waste(parts, ideal, terms()) for ideal in (0.05, 0.295))
    assert slow.part == "computing"
    assert slow.seconds == pytest.approx(0.25)
    assert quick.part != "computing"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"allocator_tuned": False}, "STRIATE_TUNE_ALLOCATOR"),
        ({}, "--batch-size of 128"),
        ({"batch_size": 256}, "fewer and wider"),
        ({"images": 200}, "fewer and wider"),
        (
            {
                "operations": 1e8,
                "engine": Engine("cpu", "bf16", "contiguous", ""),
                "config": make_config(memory_format="contiguous"),
            },
            "--memory-format channels-last",
        ),
    ],
)
def test_advice_on_computing_follows_what_is_not_in_use_yet(changes, text) -> None:  # type: ignore[no-untyped-def]
    found = largest_waste({"forward": 1.0, "backward": 1.0}, 0.1, terms(**changes))
    assert text in found.advice
