"""Where the seconds of a training step go: parts that the loaders and the training name as they do them.

Training asks a `Clock` that measures nothing; `striate bench train` puts a `Stopwatch` in its place.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")

PARTS = ("decode", "augment", "normalize", "transfer", "forward", "backward", "optimizer", "logging")
"""What a step is made of, in this order; what else happens in its time is not in any part."""

_NOTHING = contextlib.nullcontext()


class Clock:
    """Measures nothing."""

    def part(self, name: str) -> contextlib.AbstractContextManager[object]:
        """Enter the part `name`, one of `PARTS`; parts do not overlap."""
        return _NOTHING

    def each(self, name: str, items: Iterator[Item]) -> Iterator[Item]:
        """Yield `items`; waiting for the next is the part `name`."""
        return items

    def end_step(self, epoch: int, images: int) -> None:
        """Tell that a step on so many images is over."""


UNTIMED = Clock()
"""What training asks by default."""


@dataclass(frozen=True)
class Step:
    """A training step, from the end of the one before.

    Attributes:
        images: trained on.
        seconds: in all.
        parts: seconds of each of `PARTS` that occurred.
    """

    images: int
    seconds: float
    parts: dict[str, float]


class Stopwatch(Clock):
    """Measures every step but the first of each epoch, which validation and checkpoints come before.

    Args:
        wait: waits until the device has done what it was told; called at both ends of each part.

    Attributes:
        steps: measured so far.
    """

    def __init__(self, wait: Callable[[], None] = lambda: None) -> None:
        self.steps: list[Step] = []
        self._wait = wait
        self._parts: defaultdict[str, float] = defaultdict(float)
        self._epoch: int | None = None
        self._ended = 0.0

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the seconds until the end of the block to the part `name`."""
        self._wait()
        start = time.perf_counter()
        yield
        self._wait()
        self._parts[name] += time.perf_counter() - start

    def each(self, name: str, items: Iterator[Item]) -> Iterator[Item]:
        """Yield `items`; add the seconds until each is there to the part `name`."""
        while True:
            with self.part(name):
                item = next(items, _END)
            if isinstance(item, _End):
                return
            yield item

    def end_step(self, epoch: int, images: int) -> None:
        """Keep the step that ends here, if one of the same epoch went before."""
        self._wait()
        now = time.perf_counter()
        if epoch == self._epoch:
            self.steps.append(Step(images, now - self._ended, dict(self._parts)))
        self._parts.clear()
        self._epoch, self._ended = epoch, now


class _End:
    """Comes after the last item."""


_END = _End()
