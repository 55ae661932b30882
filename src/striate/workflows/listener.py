"""What a workflow tells while it works, for whoever shows it: the console, a notebook, nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.training import EpochRecord, Progress


class Listener:
    """Hears how a workflow goes and shows nothing; a display overrides what it wants to show."""

    def stage(self, name: str, done: int, total: int) -> None:
        """`done` of `total` items of the stage `name` ("decoding", "evaluating test") are through."""

    def message(self, text: str) -> None:
        """Something that the user should know."""

    def batch(self, progress: Progress) -> None:
        """A training step is through."""

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """A training epoch of `epochs` is through."""

    def remarks(self, texts: Sequence[str]) -> None:
        """What the report says must be known to judge the result, the weightiest first."""


class Once(Listener):
    """Passes on what it hears, but no message twice."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.said: set[str] = set()

    def stage(self, name: str, done: int, total: int) -> None:
        """Pass on."""
        self.listener.stage(name, done, total)

    def message(self, text: str) -> None:
        """Pass on what was not said before."""
        if text not in self.said:
            self.said.add(text)
            self.listener.message(text)

    def batch(self, progress: Progress) -> None:
        """Pass on."""
        self.listener.batch(progress)

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """Pass on."""
        self.listener.epoch(record, epochs)

    def remarks(self, texts: Sequence[str]) -> None:
        """Pass on."""
        self.listener.remarks(texts)
