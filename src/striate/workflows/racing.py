"""Running the contenders of a race: each in a fresh process, in turns, none for longer than it may."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

START_SECONDS = 120.0
"""A contender that is not ready by then (torch takes seconds to load) has failed."""


class Contender:
    """A process that computes when it is told to.

    Attributes:
        name: of the algorithm, or torch's.
        spent: seconds that it has computed.
        first: what it answered to `first`: differences and peak of memory; empty before.
        turns: seconds of forward and backward, a pair for each turn.
        problem: why it no longer takes part; None while it does.
        blas: kernels with which NumPy multiplies there.
    """

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        self.name = name
        self.spent = 0.0
        self.first: dict[str, Any] = {}
        self.turns: list[tuple[float, float]] = []
        self.problem: str | None = None
        self.blas = ""
        count = str(threads)
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), count)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "striate.workflows.contender", str(folder), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | limits,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def get_ready(self) -> None:
        """Wait until it has loaded what it needs."""
        answer = self._read(START_SECONDS)
        self.blas = answer.get("blas", "")

    def compute(self, limit: float) -> None:
        """Let it compute everything once, unless it has taken `limit` seconds in all."""
        self.first = self._ask("first", limit)

    def take_turn(self, limit: float) -> None:
        """Let it run forward and backward against the clock, unless it has taken `limit` seconds in all."""
        answer = self._ask("turn", limit)
        if answer:
            self.turns.append((answer["forward"], answer["backward"]))

    def _ask(self, request: str, limit: float) -> dict[str, Any]:
        """Return its answer; an empty one, and `problem`, where there is none."""
        if self.problem is not None:
            return {}
        if self.spent >= limit:
            self.problem = f"stopped after {limit:g} s"
            return {}
        start = time.monotonic()
        with contextlib.suppress(OSError):  # it has ended: reading says how
            self._process.stdin.write(f"{request}\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        answer = self._read(limit - self.spent, f"stopped after {limit:g} s")
        self.spent += time.monotonic() - start
        return answer

    def _read(self, seconds: float, too_late: str = "did not start") -> dict[str, Any]:
        """Return the next line it writes; a process that takes longer than `seconds` is ended."""
        timer = threading.Timer(seconds, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            line = self._process.stdout.readline()  # type: ignore[union-attr]
            in_time = timer.is_alive()
        finally:  # on Ctrl-C, too: nothing waits for it
            timer.cancel()
        answer: dict[str, Any] = json.loads(line) if line else {}
        if "error" in answer:
            self.problem = answer.pop("error")
        elif not line:
            status = self._process.wait()
            self.problem = f"failed (status {status})" if in_time else too_late
        return answer


def run(
    names: Sequence[str],
    folder: Path,
    *,
    runs: int,
    threads: int,
    limit: float,
    told: Callable[[int, int], None],
) -> list[Contender]:
    """Let contenders compute once, then take `runs` turns, one at a time and in their order.

    Args:
        names: of the contenders.
        folder: with the task.
        runs: turns of each.
        threads: of each.
        limit: seconds that each may compute in all.
        told: is called with the number of steps done, and their total.
    """
    total = len(names) * (runs + 2)
    with contextlib.ExitStack() as stack:
        contenders = [stack.enter_context(Contender(name, folder, threads)) for name in names]
        steps: list[Callable[[], None]] = [contender.get_ready for contender in contenders]
        steps += [partial(contender.compute, limit) for contender in contenders]
        for _ in range(runs):
            steps += [partial(contender.take_turn, limit) for contender in contenders]
        for done, step in enumerate(steps):
            told(done, total)
            step()
        told(total, total)
    return contenders
