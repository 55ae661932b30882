"""All cases that ONNX and PyTorch wrote for the engine's operations pass, and the page says so."""

from __future__ import annotations

import pytest
from conformance import PAGE, render, results
from conformance_cases import ONNX, PYTORCH, REFUSED

AT_LEAST = {ONNX: 140, PYTORCH: 1700, REFUSED: 29}
"""Cases in scope: were a source to yield none, nothing would fail."""


@pytest.mark.slow
@pytest.mark.parametrize("source", AT_LEAST)
def test_every_case_in_scope_passes(source: str):
    inside = [result for result in results() if result.case.source == source and not result.reason]
    assert len(inside) >= AT_LEAST[source]
    failures = [f"{result.case.operator} {result.case.name}: {result.failure}" for result in inside]
    assert not any(result.failure for result in inside), "\n".join(
        text for text, result in zip(failures, inside, strict=True) if result.failure
    )


@pytest.mark.slow
def test_page_of_conformance_is_current():
    assert PAGE.read_text(encoding="utf-8") == render(results()), (
        "docs/conformance.md is out of date: run .venv/bin/python tests/engine/conformance.py"
    )
