"""Ctrl-C and SIGTERM as a wish to stop that training looks at after every step."""

from __future__ import annotations

import contextlib
import signal
import threading
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Notes SIGINT and SIGTERM while it is entered; the second SIGINT is a `KeyboardInterrupt` as usual.

    Whoever handled a signal before hears of it too, but cannot interrupt with it.
    Outside the main thread, where Python allows no handlers, it notes nothing.

    Attributes:
        requested: whether a signal came.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._previous[number] = signal.getsignal(number)
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
        previous = self._previous[signal.Signals(number)]
        if callable(previous):
            with contextlib.suppress(KeyboardInterrupt):
                previous(number, frame)
