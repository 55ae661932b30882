"""Running commands as processes of their own, and saying on what machine."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import striate.workflows.environment


@dataclass(frozen=True)
class Finished:
    """A process that ended well: its output, seconds from start to end, and largest resident set in bytes."""

    output: str
    seconds: float
    peak_bytes: int


def run(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Finished:
    """Run `python <arguments>` and return what it printed and took.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(arguments))
    return Finished(output, time.perf_counter() - start, _peak_bytes(usage))


def hardware() -> str:
    """Return a line on the machine and the libraries."""
    described = striate.workflows.environment.describe()
    libraries = described["libraries"]
    return (
        f"{described['processor']}, {described['cores']} cores, {platform.system()}; "
        f"torch {libraries['torch']}, NumPy {libraries['numpy']}, Python {described['python']}"
    )


def spread(values: Sequence[float], digits: int = 2, unit: str = "") -> str:
    """Return median and range as text."""
    text = f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"
    return f"{text} {unit}".strip()


def _peak_bytes(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if platform.system() == "Darwin" else 1024)
