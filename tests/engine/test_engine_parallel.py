"""The team of threads: every part is done once, errors come back, and each thread keeps to its own core."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from striate.engine import algorithms, blas, parallel
from striate.engine import functional as F


@pytest.fixture(autouse=True)
def two_threads():
    before = parallel.threads()
    parallel.set_threads(2)
    yield
    parallel.set_threads(before)


def parts(count=50):
    return parallel.pieces(count, 1, 1)


def test_every_part_is_done_once_by_the_caller_and_the_teams_threads():
    done, names = np.zeros(50, int), set()

    def work(part):
        done[part] += 1
        names.add(threading.current_thread().name)

    parallel.run(work, parts())
    assert (done == 1).all()
    assert names <= {threading.current_thread().name, "striate-engine-1"}


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
    test_every_part_is_done_once_by_the_caller_and_the_teams_threads()


def test_parts_left_after_an_error_are_passed_over():
    done = []

    def fail_first(part):
        done.append(part.start)
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        parallel.run(fail_first, parts())
    assert len(done) <= parallel.threads()


def test_two_callers_at_once_each_get_their_own_parts_done():
    done = np.zeros((2, 200), int)

    def call(row):
        def work(part):
            done[row, part] += 1

        parallel.run(work, parts(200))

    callers = [threading.Thread(target=call, args=(row,)) for row in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert (done == 1).all()


def test_warnings_are_as_the_caller_set_them():
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        parallel.run(lambda part: np.ones(1) / np.zeros(1), parts())


@pytest.mark.parametrize(
    ("length", "bytes_each", "expected"), [(0, 4, 0), (9, 4, 1), (9, 5, 2), (9, 9, 4), (3, 99, 3)]
)
def test_pieces_cover_an_axis_in_an_even_number_where_its_length_allows(length, bytes_each, expected):
    cut = parallel.pieces(length, bytes_each, 36)
    assert len(cut) == expected
    assert [place for part in cut for place in range(part.start, part.stop)] == list(range(length))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores can be chosen on Linux only")
def test_threads_keep_to_a_core_each_where_there_are_as_many_and_the_caller_stays_free():
    cores = sorted(os.sched_getaffinity(0))
    parallel.set_threads(len(cores))
    meet, seen = threading.Barrier(len(cores)), {}

    def look(part):
        seen[threading.current_thread().name] = os.sched_getaffinity(0)
        meet.wait(timeout=10)

    parallel.run(look, parts(len(cores)))
    others = {f"striate-engine-{number}": {core} for number, core in enumerate(cores) if number}
    assert seen == {threading.current_thread().name: set(cores)} | others


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores can be chosen on Linux only")
def test_a_caller_on_another_threads_core_moves_away_and_is_free_again():
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("there is only one core")
    parallel.set_threads(len(cores))
    parallel.run(lambda part: None, parts())  # starts the threads, while all cores are allowed
    os.sched_setaffinity(0, cores[1:2])
    os.sched_setaffinity(0, cores)
    parallel.run(lambda part: None, parts())
    assert os.sched_getaffinity(0) == set(cores)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_forked_while_another_thread_multiplies_computes_as_well():
    x, weight = np.ones((2, 32)), np.ones((4, 32))
    stop = threading.Event()

    def multiply():
        while not stop.is_set():
            F.linear(x, weight)

    busy = threading.Thread(target=multiply)
    busy.start()
    try:
        endings = [_ending_of_child(lambda: F.linear(x, weight)) for _ in range(8)]
    finally:
        stop.set()
        busy.join()
    assert endings == [0] * 8


def _ending_of_child(work) -> int:
    """Return the exit code of a forked process that does `work`; -9 of one that hangs."""
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(blas._HOLD.depth)
        finally:
            os._exit(99)
    for _ in range(1000):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("name", algorithms.ALGORITHMS)
def test_a_convolution_is_the_same_to_the_bit_however_many_threads_blas_has(name):
    generator = np.random.default_rng(0)
    channels, size = (2, 5) if name == "loops" else (64, 26)
    kernel = 1 if name == "pointwise" else 3
    groups = channels if name == "depthwise" else 1
    x = generator.normal(size=(1, channels, size, size)).astype(np.float32)
    weight = generator.normal(size=(channels, channels // groups, kernel, kernel)).astype(np.float32)

    def compute():
        y = F.conv2d(x, weight, groups=groups, algorithm=name)
        return [y, *F.conv2d_backward(y, x, weight, groups=groups, algorithm=name)]

    results = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            results.append(compute())
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
