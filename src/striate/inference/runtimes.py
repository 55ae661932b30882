"""What computes a network's outputs. The classifier knows no more of it than this."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Runtime(Protocol):
    """A network with its weights, ready to be used.

    Attributes:
        name: library and device, for people: "torch on cpu".
    """

    @property
    def name(self) -> str:
        """Library and device."""
        ...

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        """Return what the network puts out, float32 (B, K) or (B, 1), for preprocessed images.

        An image's output does not depend on the other images of its batch (beyond rounding).

        Args:
            inputs: float32 (B, C, H, W), C-contiguous, B at least 1.
        """
        ...
