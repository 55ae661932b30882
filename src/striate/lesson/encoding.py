"""Numbers as text that a page can hold."""

from __future__ import annotations

import base64

import numpy as np


def encode(array: np.ndarray) -> str:
    """Return the bytes of an array, in C order, as base64 text."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
