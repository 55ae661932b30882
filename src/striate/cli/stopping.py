"""Ctrl-C and SIGTERM, as far as a command line has to do with them."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self


class InterruptError(Exception):
    """A `KeyboardInterrupt` on its way past typer, which would end the process without a word."""


class Termination:
    """Makes SIGTERM, while it is entered, a `KeyboardInterrupt` as Ctrl-C is: nothing half-written is left.

    Outside the main thread, where Python allows no handlers, it does nothing.

    Attributes:
        requested: whether SIGTERM came.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        raise KeyboardInterrupt
