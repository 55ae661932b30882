"""NumPy's BLAS held to one thread while the engine's own threads each multiply small matrices.

Two threads with a product each run faster than one product split over two threads, because nothing waits
between the products and each works in its own core's cache.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

SMALL_KERNELS = {"SkylakeX", "Cooperlake", "SapphireRapids"}
"""Processors, as OpenBLAS calls them, for which it has kernels that multiply small matrices as they lie."""


class _Hold:
    """The limit is the whole process's: the first thread to enter sets it, the last to leave lifts it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth = 0
        self.limit: Any = None

    def enter(self) -> None:
        with self.lock:
            if self.depth == 0:
                self.limit = _controller().limit(limits=1)
                self.limit.__enter__()
            self.depth += 1

    def leave(self) -> None:
        with self.lock:
            self.depth = max(0, self.depth - 1)  # 0 where it was forgotten in between
            if self.depth == 0:
                self.limit.__exit__(None, None, None)

    def forget(self) -> None:
        """Lift the limit of threads that did not survive a fork, one of which may have held the lock."""
        self.lock = threading.Lock()
        if self.depth > 0:
            self.depth = 0
            self.limit.__exit__(None, None, None)


_HOLD = _Hold()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_HOLD.forget)


@cache
def _controller() -> Any:
    """NumPy's OpenBLAS (and SciPy's, where it is loaded); searching for it takes a millisecond, once."""
    return ThreadpoolController().select(user_api="blas")


def kernel() -> str:
    """Return which kernels of which BLAS multiply matrices here, `openblas 0.3.31 SkylakeX`."""
    found = {
        f"{library['internal_api']} {library['version']} {library.get('architecture', '')}".strip()
        for library in _controller().info()
    }
    return ", ".join(sorted(found)) or "unknown"


@cache
def has_small_kernels() -> bool:
    """Tell whether NumPy's BLAS multiplies small matrices at a good part of its speed.

    OpenBLAS does on processors with AVX-512; on others it copies them first, as it does with large ones.
    """
    return any(library.get("architecture") in SMALL_KERNELS for library in _controller().info())


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold BLAS to one thread, in the whole process, until the block ends."""
    _HOLD.enter()
    try:
        yield
    finally:
        _HOLD.leave()
