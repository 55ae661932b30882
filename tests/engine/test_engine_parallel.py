"""The team of threads: every part is done once, errors come back, and each thread keeps to its own core."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from striate.engine import parallel


@pytest.fixture(autouse=True)
def two_threads():
    before = parallel.threads()
    parallel.set_threads(2)
    yield
    parallel.set_threads(before)


def parts(count=50):
    return parallel.pieces(count, 1, 1)


def test_every_part_is_done_once_by_the_teams_threads():
    done, names = np.zeros(50, int), set()

    def work(part):
        done[part] += 1
        names.add(threading.current_thread().name)

    parallel.run(work, parts())
    assert (done == 1).all()
    assert names <= {"striate-engine-0", "striate-engine-1"}


def test_a_run_inside_a_part_does_its_own_parts():
    done = np.zeros((3, 50), int)

    def outer(part):
        def inner(place):
            done[part, place] += 1

        parallel.run(inner, parts())

    parallel.run(outer, parts(3))
    assert (done == 1).all()


def test_an_error_in_a_part_is_raised_in_the_caller_and_the_team_works_on():
    def fail(part):
        if part.start == 7:
            raise ArithmeticError("part 7")

    with pytest.raises(ArithmeticError, match="part 7"):
        parallel.run(fail, parts())
    test_every_part_is_done_once_by_the_teams_threads()


def test_warnings_are_as_the_caller_set_them():
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        parallel.run(lambda part: np.ones(1) / np.zeros(1), parts())


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores can be chosen on Linux only")
def test_threads_keep_to_a_core_each_where_there_are_as_many_and_the_caller_stays_free():
    cores = os.sched_getaffinity(0)
    parallel.set_threads(len(cores))
    meet, seen = threading.Barrier(len(cores)), []

    def look(part):
        seen.append(frozenset(os.sched_getaffinity(0)))
        meet.wait(timeout=10)

    parallel.run(look, parts(len(cores)))
    expected = {frozenset([core]) for core in cores} if len(cores) > 1 else {frozenset(cores)}
    assert set(seen) == expected
    assert os.sched_getaffinity(0) == cores
