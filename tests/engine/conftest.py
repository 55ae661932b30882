"""Fixtures of the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from engine_testing import LIBRARIES, Library

from striate.engine import parallel


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.name)
def library(request: pytest.FixtureRequest) -> Library:
    return request.param


@pytest.fixture
def tiny_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cut even small arrays into many pieces, on two threads."""
    before = parallel.threads()
    parallel.set_threads(2)
    monkeypatch.setattr(parallel, "PIECE_BYTES", 64)
    monkeypatch.setattr(parallel.pieces, "__defaults__", (64,))
    yield
    parallel.set_threads(before)
