"""The small matrices of Winograd's algorithm: polynomials evaluated at points, and interpolated from there.

m outputs of a filter with k taps are coefficients of a product of two polynomials, which has n = m + k - 1 of
them: its values at n points fix it. Toom and Cook's construction, transposed: G and A hold the powers of the
points (the last row is the point at infinity: the highest coefficient alone), B the coefficients of
Lagrange's polynomials. Then y = A^T [(G w) * (B^T d)].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from striate.engine import parallel
from striate.engine.algorithms import blocks

POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)
"""Where the polynomials are evaluated, beside infinity; the fewer and the smaller, the more accurate."""


KERNEL_BYTES = 1 << 18
"""Of kernels that are rearranged at a time: they must fit a core's cache to be written in another order."""


@dataclass(frozen=True)
class Transforms:
    """The matrices of F(m, k); n = m + k - 1.

    Attributes:
        A_T: from values to outputs, (m, n).
        B_T: from pixels to values, (n, n).
        GG: from kernels to values, for rows and columns at once: the Kronecker product of G (n, k) with
            itself, (n * n, k * k).
    """

    A_T: np.ndarray
    B_T: np.ndarray
    GG: np.ndarray

    @property
    def taps(self) -> int:
        """Taps of a kernel's side, k."""
        return len(self.B_T) - len(self.A_T) + 1

    @property
    def one(self) -> int:
        """The place of the point (1, 1): what is added there is added to all outputs; 1 is 1 to any power."""
        return POINTS.index(1.0) * (len(self.B_T) + 1)

    def of_kernels(self, weight: np.ndarray) -> np.ndarray:
        """Return G W G^T for every kernel of weight (O, C, k, k): (places, C, O)."""
        out, channels, k, _ = weight.shape
        values = np.empty((len(self.GG), channels * out), weight.dtype)

        def transform(some: slice) -> None:
            columns = weight[:, some].transpose(2, 3, 1, 0).reshape(k * k, -1)
            np.matmul(self.GG, columns, out=values[:, some.start * out : some.stop * out])

        blocks.run(transform, parallel.pieces(channels, out * k * k * weight.itemsize, KERNEL_BYTES))
        return values.reshape(-1, channels, out)

    def to_kernels(self, sums: np.ndarray, channels: int, out: int) -> np.ndarray:
        """Return the gradient of weight (O, C, k, k), the sum of its parts (parts, k * k, C * O)."""
        k = self.taps
        grad = np.empty((out, channels, k, k), sums.dtype)

        def gather(some: slice) -> None:
            total = sums[:, :, some.start * out : some.stop * out].sum(axis=0)
            grad[:, some] = total.reshape(k, k, -1, out).transpose(3, 2, 0, 1)

        blocks.run(gather, parallel.pieces(channels, len(sums) * out * k * k * sums.itemsize, KERNEL_BYTES))
        return grad


@cache
def transforms(outputs: int, taps: int, dtype: np.dtype) -> Transforms:
    """Return the matrices of F(outputs, taps) in `dtype`."""
    n = outputs + taps - 1
    points = np.array(POINTS[: n - 1])
    infinity = np.eye(1, outputs, outputs - 1), np.eye(1, taps, taps - 1)
    A = np.concatenate([np.vander(points, outputs, increasing=True), infinity[0]])
    G = np.concatenate([np.vander(points, taps, increasing=True), infinity[1]])
    B = np.zeros((n, n))
    for i, point in enumerate(points):
        others = np.delete(points, i)
        B[: n - 1, i] = np.poly(others)[::-1]
        G[i] /= np.prod(point - others)
    B[:, n - 1] = np.poly(points)[::-1]
    return Transforms(A.T.astype(dtype), B.T.astype(dtype), np.kron(G, G).astype(dtype))
