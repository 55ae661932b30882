"""Kernels repeated along a row of outputs: a band.

m neighbouring outputs of a row see, on each of kH rows, `span` neighbouring pixels. As a matrix from those
pixels to the outputs a convolution is banded: each output's kernel stands one step further down than its
neighbour's, and all else is 0 (for a whole row, a Toeplitz matrix; Goodfellow, Bengio and Courville, Deep
Learning, section 9.1).

    K (rows: pixels, 3 taps)   w2 .  .          y0 = w0 x0 + w1 x1 + w2 x2
                               w1 w2 .          y1 =         w0 x1 + w1 x2 + w2 x3   and so on
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from striate.engine.algorithms.geometry import Geometry

FEW_CHANNELS = 12
"""Input channels up to which copying pixels costs more than multiplying some by 0."""


@dataclass(frozen=True)
class Band:
    """The numbers of a band.

    Attributes:
        outputs: neighbours computed together, m.
        step: pixels from one output's kernel to the next one's.
        span: pixels that they see on a row.
    """

    outputs: int
    step: int
    span: int

    @classmethod
    def of(cls, geometry: Geometry, outputs: int | None = None) -> Band:
        """Return the band of so many outputs; by default of 1, 2 or 3, for a width that they divide."""
        if outputs is None:
            few = geometry.in_channels <= FEW_CHANNELS and geometry.dilation[1] == 1
            outputs = next((m for m in (2, 3) if few and geometry.out_size[1] % m == 0), 1)
        step = geometry.stride[1]
        return cls(outputs, step, (outputs - 1) * step + geometry.kernel[1])

    def spread(self, weight: np.ndarray) -> np.ndarray:
        """Return the band of weight (O, C, kH, kW): (kH * span * C, m * O)."""
        out, channels, kernel_height, kernel_width = weight.shape
        band = np.zeros((kernel_height, self.span, channels, self.outputs, out), weight.dtype)
        for number in range(self.outputs):
            start = number * self.step
            band[:, start : start + kernel_width, :, number] = weight.transpose(2, 3, 1, 0)
        return band.reshape(-1, self.outputs * out)

    def gather(self, grad_band: np.ndarray, shape: tuple[int, int, int, int]) -> np.ndarray:
        """Sum the gradient of a band over all places where a weight stands: (O, C, kH, kW), `shape`."""
        out, channels, kernel_height, kernel_width = shape
        split = grad_band.reshape(kernel_height, self.span, channels, self.outputs, out)
        starts = [number * self.step for number in range(self.outputs)]
        taps = sum(split[:, start : start + kernel_width, :, m] for m, start in enumerate(starts))
        return np.ascontiguousarray(np.transpose(taps, (3, 2, 0, 1)))
