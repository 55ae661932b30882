"""How much time a command may take, and how much of it is left."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from striate.errors import UserError

UNITS = {"s": 1, "m": 60, "h": 3600}
_TIME = re.compile(r"(\d+(?:\.\d+)?)([smh])")


def parse_budget(text: str) -> float:
    """Return the seconds that `text` names: `90s`, `2m`, `1h`, or several of them, `1h30m`.

    Raises:
        UserError: it names no time above 0.
    """
    if not isinstance(text, str):
        raise UserError(f"--budget {text!r}: expected a time such as '90s', '2m', '1h' or '1h30m'.")
    compact = text.strip().lower().replace(" ", "")
    parts = _TIME.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise UserError(f"--budget {text!r}: expected a time such as 90s, 2m, 1h or 1h30m.")
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise UserError(f"--budget {text!r}: expected a time above 0, such as 90s, 2m or 1h.")
    return seconds


def in_words(seconds: float) -> str:
    """Return a time as people write it: `8 s`, `90 s`, `4 min`, `1.5 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def process_started() -> float:
    """Return when this process started, by `time.monotonic`: before Python read its first line.

    Known on Linux, from `/proc`; elsewhere the processor time that was used so far is taken for its age.
    """
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks_a_second = _ticks()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / ticks_a_second
    except (OSError, ValueError, IndexError, AttributeError):
        age = time.process_time()
    return time.monotonic() - max(age, 0.0)


def _ticks() -> int:
    import os

    return os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Clock:
    """A budget and what is left of it.

    Attributes:
        budget: seconds in all.
        started: when they began, by `time.monotonic`.
    """

    budget: float
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds that remain; negative once the budget is overdrawn."""
        return self.budget - self.elapsed
