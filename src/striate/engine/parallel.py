"""Spreading NumPy work over threads, in pieces that fit a core's cache.

NumPy releases Python's lock inside its loops, so threads run side by side. An operation is cut into pieces
along its first axis, by shape alone and never by the number of threads: the same numbers come out, to the
bit, however many threads there are. A piece small enough for a cache also makes an operation of several
passes fast, because only its first pass waits for memory.

The caller wakes the team's other threads, takes pieces as they do, and waits for those that others still have
in hand. Waking takes some 50 microseconds, in which the caller is at work already; who wakes up when all is
done finds nothing left, and nobody waits for it. Where the team has a thread for each core of the process,
each of the others is kept on its own core, and the caller begins on the first (Linux only): a system puts a
thread that wakes up beside the one that woke it, and both then share a core for longer than most operations
take.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import cache
from queue import SimpleQueue

import numpy as np

from striate.engine.backend import check_whole

PIECE_BYTES = 1 << 20
"""Of one array in one piece. Smaller ones lie better in a core's own cache, but between two of NumPy's loops
a thread needs Python's lock: where loops are short, threads wait for each other longer than they compute."""

_INSIDE = threading.local()
"""Has `working` in a thread that is at work on a part, or is one of the team's own."""


class _Job:
    """Parts that threads take as they come, until none is left."""

    def __init__(self, function: Callable[[slice], None], parts: list[slice]) -> None:
        self.function = function
        self.parts = len(parts)
        self.waiting = iter(parts)
        self.warned_of = np.geterr()
        self.error: BaseException | None = None
        self.done: SimpleQueue[None] = SimpleQueue()

    def work(self) -> None:
        """Do parts; taking one from a list's iterator is atomic. After an error the others are passed over.

        NumPy's settings for overflow and the like belong to a thread: those of the caller are taken over.
        """
        with np.errstate(**self.warned_of):
            for part in self.waiting:
                try:
                    if self.error is None:
                        self.function(part)
                except BaseException as error:  # noqa: BLE001 - raised again in the caller
                    self.error = self.error or error
                self.done.put(None)

    def wait(self) -> None:
        """Sleep until every part is done; raise the first error."""
        for _ in range(self.parts):
            self.done.get()
        if self.error is not None:
            raise self.error


class _Team:
    """The threads beside the caller's, started when they are first needed; each has a queue of jobs."""

    def __init__(self) -> None:
        self.threads = available_cores()
        self.queues: list[SimpleQueue[_Job | None]] = []
        self.cores: list[int] = []

    def start(self) -> None:
        """Start the threads, unless they run."""
        if self.queues:
            return
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self.cores = cores if len(cores) == self.threads else []
        for number in range(1, self.threads):
            core = self.cores[number] if self.cores else None
            jobs: SimpleQueue[_Job | None] = SimpleQueue()
            name = f"striate-engine-{number}"
            threading.Thread(target=_wait_for_jobs, args=(jobs, core), name=name, daemon=True).start()
            self.queues.append(jobs)

    def leave_cores(self) -> None:
        """Move the thread that calls to the first core, if it is on one that another of the team keeps to."""
        if self.cores and _core_function()() in self.cores[1:]:
            allowed = os.sched_getaffinity(0)
            os.sched_setaffinity(0, self.cores[:1])  # 0 is this thread, not the process; it moves at once
            os.sched_setaffinity(0, allowed)

    def stop(self) -> None:
        """Let the threads end."""
        for jobs in self.queues:
            jobs.put(None)
        self.queues = []

    def forget(self) -> None:
        """Drop the threads, as a forked process must: they do not survive a fork."""
        self.queues = []


def _wait_for_jobs(jobs: SimpleQueue[_Job | None], core: int | None) -> None:
    """Be a thread of the team: work on one job after the other, on one core if there is one."""
    _INSIDE.working = True
    if core is not None:
        os.sched_setaffinity(0, {core})
    while (job := jobs.get()) is not None:
        job.work()
        del job  # it holds the caller's arrays


@cache
def _core_function() -> Callable[[], int]:
    """Return the C library's function for the number of the core that runs the calling thread (Linux)."""
    function: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
    return function


def available_cores() -> int:
    """Return how many cores this process may use; OMP_NUM_THREADS, where set, limits them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(limit))) if limit.isdecimal() else cores


_TEAM = _Team()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_TEAM.forget)


def threads() -> int:
    """Return how many threads the engine uses."""
    return _TEAM.threads


def set_threads(count: int) -> None:
    """Use `count` threads from now on, for the whole process.

    Raises:
        ValueError: fewer than 1.
    """
    count = check_whole("count", count)
    _TEAM.stop()
    _TEAM.threads = count


def pieces(length: int, bytes_each: int, piece_bytes: int = PIECE_BYTES) -> list[slice]:
    """Cut an axis into slices of almost equal length, an even number of them if there is more than one.

    Args:
        length: of the axis.
        bytes_each: what one step along it holds.
        piece_bytes: what a slice shall hold, at most, where a single step does not hold more.
    """
    count = -(-length * bytes_each // piece_bytes)
    even = min(length, max(1, count + count % 2 if count > 1 else 1))
    return [slice(length * part // even, length * (part + 1) // even) for part in range(even)]


def run(function: Callable[[slice], None], parts: list[slice], least: int = 2) -> None:
    """Call `function` on every one of `parts`, on all threads; the first error it raises is raised here.

    Within a part, one thread works alone: the others have parts of their own.

    Args:
        function: takes a part.
        parts: of `pieces`.
        least: with fewer parts, the caller does all: threads that make many short calls of NumPy wait for
            each other, as each call takes Python's lock when it ends.
    """
    threads = min(_TEAM.threads, len(parts))
    if threads < 2 or len(parts) < least or hasattr(_INSIDE, "working"):
        for part in parts:
            function(part)
        return
    _TEAM.start()
    _TEAM.leave_cores()
    job = _Job(function, parts)
    for jobs in _TEAM.queues[: threads - 1]:
        jobs.put(job)
    _INSIDE.working = True
    try:
        job.work()
    finally:
        del _INSIDE.working
    job.wait()
