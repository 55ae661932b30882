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
