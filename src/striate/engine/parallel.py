"""Spreading NumPy work over threads, in pieces that fit a core's cache.

NumPy releases Python's lock inside its loops, so threads run side by side. An operation is cut into pieces
along its first axis, by shape alone and never by the number of threads: the same numbers come out, to the
bit, however many threads there are. A piece small enough for a core's own cache also makes an operation of
several passes fast, because only its first pass waits for memory.

The caller hands the pieces to the team's threads and sleeps until they are done. Where the team has a thread
for each core of the process, each is kept on its own core (Linux only): left alone, a system puts a thread
that wakes up beside the one that woke it, and on a busy machine both then share a core for longer than most
operations take.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

import numpy as np

from striate.engine.backend import check_whole

PIECE_BYTES = 1 << 18
"""Of one array in one piece: a few such arrays lie in the 1 MiB or so of a core's own cache."""


_INSIDE = threading.local()
"""Has `working` in the team's own threads."""


class _Job:
    """Parts that threads take as they come, until none is left."""

    def __init__(self, function: Callable[[slice], None], parts: list[slice]) -> None:
        self.function = function
        self.waiting = iter(parts)
        self.warned_of = np.geterr()
        self.error: BaseException | None = None
        self.done: SimpleQueue[None] = SimpleQueue()

    def work(self) -> None:
        """Do parts; taking one from a list's iterator is atomic.

        NumPy's settings for overflow and the like belong to a thread: those of the caller are taken over.
        """
        try:
            with np.errstate(**self.warned_of):
                for part in self.waiting:
                    self.function(part)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller
            self.error = self.error or error


class _Team:
    """The threads, started when they are first needed; each has a queue of jobs."""

    def __init__(self) -> None:
        self.threads = available_cores()
        self.queues: list[SimpleQueue[_Job | None]] = []

    def start(self) -> None:
        """Start the threads, unless they run."""
        if self.queues:
            return
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        for number in range(self.threads):
            core = cores[number] if len(cores) == self.threads else None
            jobs: SimpleQueue[_Job | None] = SimpleQueue()
            name = f"striate-engine-{number}"
            threading.Thread(target=_wait_for_jobs, args=(jobs, core), name=name, daemon=True).start()
            self.queues.append(jobs)

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
        os.sched_setaffinity(0, {core})  # 0 is this thread, not the process
    while (job := jobs.get()) is not None:
        job.work()
        job.done.put(None)
        del job  # it holds the caller's arrays


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
    """Cut an axis into slices.

    Args:
        length: of the axis.
        bytes_each: what one step along it holds.
        piece_bytes: what a slice shall hold, about.
    """
    step = max(1, piece_bytes // max(1, bytes_each))
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def run(function: Callable[[slice], None], parts: list[slice]) -> None:
    """Call `function` on every one of `parts`, on all threads; the first error it raises is raised here.

    Within a part, one thread works alone: the others have parts of their own.
    """
    helpers = min(_TEAM.threads, len(parts))
    if helpers < 2 or hasattr(_INSIDE, "working"):
        for part in parts:
            function(part)
        return
    _TEAM.start()
    job = _Job(function, parts)
    for jobs in _TEAM.queues[:helpers]:
        jobs.put(job)
    for _ in range(helpers):
        job.done.get()
    if job.error is not None:
        raise job.error
