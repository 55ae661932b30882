"""The stopwatch of a training step: what it adds up, and which steps it leaves out."""

from __future__ import annotations

import time

import pytest

from striate.stopwatch import UNTIMED, Stopwatch

PAUSE = 0.01


def test_parts_and_waiting_are_added_up_within_a_step() -> None:
    watch = Stopwatch()
    watch.end_step(0, 4)
    for _ in range(2):
        with watch.part("forward"):
            time.sleep(PAUSE)
    assert list(watch.each("decode", slow(2))) == [0, 1]
    time.sleep(PAUSE)
    watch.end_step(0, 4)
    (step,) = watch.steps
    assert step.images == 4
    assert step.parts["forward"] >= 2 * PAUSE
    assert step.parts["decode"] >= 2 * PAUSE
    assert step.seconds - sum(step.parts.values()) >= PAUSE


def slow(count: int):  # type: ignore[no-untyped-def]
    for number in range(count):
        time.sleep(PAUSE)
        yield number


def test_the_first_step_of_an_epoch_is_left_out_with_what_came_before_it() -> None:
    watch = Stopwatch()
    for epoch, part in ((0, "forward"), (0, "forward"), (1, "decode"), (1, "forward")):
        with watch.part(part):
            pass
        watch.end_step(epoch, 1)
    assert [list(step.parts) for step in watch.steps] == [["forward"], ["forward"]]


def test_the_device_is_waited_for_before_a_part_begins_and_ends() -> None:
    calls: list[str] = []
    watch = Stopwatch(lambda: calls.append("wait"))
    with watch.part("forward"):
        calls.append("work")
    assert calls == ["wait", "work", "wait"]


def test_an_error_passes_through_a_part() -> None:
    with pytest.raises(ValueError, match="broken"), Stopwatch().part("forward"):
        raise ValueError("broken")


def test_by_default_nothing_is_measured_and_items_stay_as_they_are() -> None:
    items = iter([1, 2])
    assert UNTIMED.each("decode", items) is items
    with UNTIMED.part("forward"):
        UNTIMED.end_step(0, 1)
