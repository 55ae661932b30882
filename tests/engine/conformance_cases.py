"""What a conformance case is, whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

ONNX = "ONNX"
PYTORCH = "PyTorch"
REFUSED = "PyTorch, bad input"


class OutOfScope(Exception):  # noqa: N818 - no error: a case that asks for what the engine does not offer
    """A case asks for what the engine does not offer; the message says why, and goes into the page."""


@dataclass(frozen=True)
class Case:
    """A case that others wrote.

    Attributes:
        source: ONNX, PYTORCH or REFUSED.
        operator: in the words of the source.
        name: of the case.
        check: runs it; raises AssertionError where the engine differs, OutOfScope where it has no such thing.
    """

    source: str
    operator: str
    name: str
    check: Callable[[], None]
