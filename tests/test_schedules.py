"""Schedules against torch's own."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate import config
from striate.errors import UserError
from striate.schedules import SCHEDULES, Plan, Plateau, Schedule, cosine, one_cycle

STEPS, EPOCHS = 7, 10


def factors(**settings: Any) -> list[float]:
    schedule = Schedule(Plan(EPOCHS, **settings), STEPS)
    return [schedule.factor(step) for step in range(schedule.total_steps)]


def torch_factors(make_scheduler, every: int = 1) -> list[float]:  # type: ignore[no-untyped-def]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make_scheduler(optimizer)
    found = []
    for step in range(STEPS * EPOCHS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0 and step + 1 < STEPS * EPOCHS:
            scheduler.step()
    return found


def test_one_cycle_matches_torch() -> None:
    expected = torch_factors(
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 1.0, total_steps=STEPS * EPOCHS, cycle_momentum=False
        )
    )
    assert factors(schedule="one-cycle") == pytest.approx(expected, rel=1e-9)


def test_one_cycle_with_a_warm_up_peaks_at_its_end() -> None:
    found = factors(schedule="one-cycle", warmup_epochs=2)
    assert found.index(max(found)) == 2 * STEPS - 1
    assert max(found) == pytest.approx(1)


def test_cosine_matches_torch() -> None:
    expected = torch_factors(
        lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS * EPOCHS)
    )
    assert factors(schedule="cosine") == pytest.approx(expected, rel=1e-9)


def test_linear_falls_evenly_to_zero_behind_a_warm_up() -> None:
    expected = torch_factors(
        lambda optimizer: torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=STEPS * EPOCHS)
    )
    assert factors(schedule="linear") == pytest.approx(expected, rel=1e-9)
    triangle = factors(schedule="linear", warmup_epochs=2)
    assert triangle.index(max(triangle)) == 2 * STEPS
    assert triangle[-1] == pytest.approx(1 / (STEPS * (EPOCHS - 2)))


def test_step_matches_torch() -> None:
    expected = torch_factors(lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.3), STEPS)
    assert factors(schedule="step", step_epochs=4, step_factor=0.3) == pytest.approx(expected, rel=1e-9)


def test_constant_is_constant() -> None:
    assert set(factors(schedule="constant")) == {1.0}


@pytest.mark.parametrize("schedule", ["constant", "step", "plateau", "cosine"])
def test_warm_up_rises_linearly_to_the_peak(schedule: str) -> None:
    found = factors(schedule=schedule, warmup_epochs=1.0, step_epochs=5)
    assert found[STEPS] == pytest.approx(1)
    differences = [b - a for a, b in itertools.pairwise(found[: STEPS + 1])]
    assert differences == pytest.approx([1 / (STEPS + 1)] * STEPS)


def test_plateau_matches_torch() -> None:
    losses = [1.0, 0.9, 0.9, 0.95, 0.89999, 0.8, 0.8, 0.8, 0.8, 0.8, 0.7, 0.71, 0.72, 0.73]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
    schedule = Schedule(Plan(EPOCHS, "plateau", step_factor=0.5), STEPS)
    state = Plateau()
    for loss in losses:
        scheduler.step(loss)
        state = state.after(loss, 2)
        assert schedule.factor(5, state.reductions) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert state.reductions > 1


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan(3, "cosin"), "schedule: expected one of .*, got 'cosin'"),
        (Plan(3, warmup_epochs=3), "warmup_epochs: expected fewer than the 3 epochs, got 3"),
    ],
)
def test_a_schedule_refuses_what_cannot_be(plan: Plan, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule(plan, 10)


def test_a_warm_up_as_long_as_the_training_is_refused_as_a_setting() -> None:
    with pytest.raises(UserError, match="warmup-epochs is 3"):
        config.make(config.TrainConfig, {"data": "digits", "epochs": 3, "warmup_epochs": 3})


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_settings_of_a_training_are_a_plan(name: str) -> None:
    settings = config.make(
        config.TrainConfig,
        {"data": "digits", "epochs": EPOCHS, "schedule": name, "warmup_epochs": 1.5, "step_epochs": 2},
    )
    plan = Plan(EPOCHS, name, 1.5, 2, settings.step_factor)
    for step in range(STEPS * EPOCHS):
        assert Schedule(settings, STEPS).factor(step, 2) == Schedule(plan, STEPS).factor(step, 2)


@pytest.mark.parametrize("warmup_epochs", [0.0, 0.01, 5.0, 9.5, 9.9, 9.95, 9.98])
def test_one_cycle_ends_where_it_should_however_late_its_peak(warmup_epochs: float) -> None:
    schedule = Schedule(Plan(10, "one-cycle", warmup_epochs), 10)
    assert schedule.factor(99) == pytest.approx(1 / 250_000)
    assert schedule.factor(99.5) == pytest.approx(1 / 250_000)  # a last epoch with more steps than the others


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(1, [1]), (2, [1, 4e-6]), (3, [1, 0.500002, 4e-6]), (4, [0.04, 0.81175, 0.28306, 4e-6])],
)
def test_one_cycle_of_up_to_three_steps_does_not_rise(steps: int, expected: list[float]) -> None:
    found = [Schedule(Plan(1, "one-cycle"), steps).factor(step) for step in range(steps)]
    assert found == pytest.approx(expected, rel=1e-3)


@given(total=st.integers(1, 500), rising=st.floats(0.001, 0.999))
def test_one_cycle_stays_in_its_bounds_at_any_length(total: int, rising: float) -> None:
    found = [one_cycle(step, total, rising) for step in range(total)]
    assert all(0 < factor <= 1 + 1e-12 for factor in found)
    assert all(math.isfinite(factor) for factor in found)


@given(total=st.integers(1, 500))
def test_cosine_falls_from_one(total: int) -> None:
    found = [cosine(step, total) for step in range(total)]
    assert found[0] == 1
    assert all(a >= b > 0 for a, b in itertools.pairwise(found))
