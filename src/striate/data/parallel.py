"""The same work for many images, spread over the processor's cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many items are done, and how many there are."""

_END = object()

MAX_THREADS = 8
MAX_CHUNK = 64
"""Items that a thread takes at a time: enough that handing them over costs nothing, even for tiny images."""


def each(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    stage: str,
    progress: Progress | None,
) -> Iterator[Result]:
    """Yield `work(item)` for each item, in order, computed by several threads.

    Threads and not processes: Pillow decodes without holding the interpreter, threads start at once, need no
    copy of the result, and work in any script. `stage` is what `progress` is told.
    """
    threads = min(MAX_THREADS, _cores())
    chunk = max(1, min(MAX_CHUNK, len(items) // (8 * threads)))
    chunks = [items[start : start + chunk] for start in range(0, len(items), chunk)]
    done = 0
    pool = ThreadPoolExecutor(threads)
    try:
        for results in pool.map(lambda part: [work(item) for item in part], chunks):
            yield from results
            done += len(results)
            if progress is not None:
                progress(stage, done, len(items))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def ahead(batches: Iterator[Item]) -> Iterator[Item]:
    """Yield from `batches` and make the next one in another thread meanwhile."""
    with ThreadPoolExecutor(1, thread_name_prefix="striate-decode") as pool:
        upcoming: Future[object] = pool.submit(next, batches, _END)
        while (batch := upcoming.result()) is not _END:
            upcoming = pool.submit(next, batches, _END)
            yield cast("Item", batch)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
