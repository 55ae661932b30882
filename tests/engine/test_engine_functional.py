"""Every operation equals torch's, value and gradient, on every array library."""

from __future__ import annotations

import pytest
from engine_cases import CASES, Case
from engine_testing import NUMPY, Library, compare


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_value_and_gradient_equal_torchs(library: Library, case: Case):
    compare(library, case.forward, case.backward, case.reference, case.arrays)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_float32_stays_float32(case: Case):
    """On NumPy, whose paths of its own might compute in another dtype."""
    compare(NUMPY, case.forward, case.backward, case.reference, case.arrays, "float32")
