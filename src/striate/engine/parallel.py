"""Spreading NumPy work over threads, in pieces that fit a core's cache.

NumPy releases Python's lock inside its loops, so threads run side by side. An operation is cut into pieces
along its first axis, by shape alone and never by the number of threads: the same numbers come out, to the
bit, however many threads there are. A piece small enough for a core's own cache also makes an operation of
several passes fast, because only its first pass waits for memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from striate.engine.backend import check_whole

PIECE_BYTES = 1 << 18
"""Of one array in one piece: a few such arrays lie in the 1 MiB or so of a core's own cache."""


class _Team:
    """The threads, started when they are first needed."""

    def __init__(self) -> None:
        self.threads = available_cores()
        self.pool: ThreadPoolExecutor | None = None

    def workers(self) -> ThreadPoolExecutor:
        """Return the pool of all threads but the caller's own."""
        if self.pool is None:
            self.pool = ThreadPoolExecutor(max(1, self.threads - 1), thread_name_prefix="striate-engine")
        return self.pool

    def forget(self) -> None:
        """Drop the pool, as a forked process must: threads do not survive a fork."""
        self.pool = None


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
    if _TEAM.pool is not None:
        _TEAM.pool.shutdown()
    _TEAM.pool = None
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
    """Call `function` on every one of `parts`, on all threads; the first error it raises is raised here."""
    helpers = min(_TEAM.threads, len(parts)) - 1
    waiting, warned_of = iter(parts), np.geterr()
    if helpers < 1:
        return _work(function, waiting, warned_of)
    futures = [_TEAM.workers().submit(_work, function, waiting, warned_of) for _ in range(helpers)]
    try:
        _work(function, waiting, warned_of)
    finally:
        for future in futures:
            future.result()


def _work(function: Callable[[slice], None], waiting: Iterator[slice], warned_of: Any) -> None:
    """Take parts until none is left; taking from a list's iterator is atomic.

    NumPy's settings for overflow and the like belong to a thread: those of the caller are taken over.
    """
    with np.errstate(**warned_of):
        for part in waiting:
            function(part)
