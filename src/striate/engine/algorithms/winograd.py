"""Convolution with fewer multiplications: Winograd's minimal filtering.

Four neighbouring outputs of a 3-tap filter need 12 products when computed one by one. They are coefficients
of a product of two polynomials, and such a product is fixed by its values at 6 points: 6 products do.
Evaluating at the points and interpolating back are small fixed matrices,

    y = A^T [ (G w) * (B^T d) ]              6 inputs d, 3 taps w, 4 outputs y: F(4, 3)

and in two dimensions, nested: a 6x6 tile of pixels, 4x4 outputs, 36 products instead of 144: F(4x4, 3x3).

    Y = A^T [ (G W G^T) * (B^T D B) ] A

Summed over input channels, the * becomes, for each of the 36 places of the tile, a matrix product of
(tiles, C) with (C, O): that is where the time goes, and there are 4 times fewer multiplications in it than in
im2col. Backward, the input gradient is the same algorithm on dY with flipped kernels; the weight gradient is
its transpose: dW = G^T [ sum over tiles of (B^T D B) * (A dY A^T) ] G.

At stride 2 the image is folded: 2x2 neighbouring pixels become one pixel of 4 C channels, the 3x3 kernel,
in a border of zeros, a 2x2 kernel over 4 C channels, and the stride 1. 25 products of 4 C channels for 16
outputs instead of 144 of C.

The price is accuracy: the matrices hold numbers up to 8, and differences of large numbers lose digits;
F(2x2, 3x3) (4x4 tiles, 2.25 times fewer multiplications) loses less. Infinite pixels turn their whole tile
into NaN.

Meant for: kernels of 2x2 to 5x5 at stride 1, and 3x3 to 9x9 at stride 2, with many channels. Source: Lavin
and Gray, Fast algorithms for convolutional neural networks (2016), equations 6 to 15.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from striate.engine import blas
from striate.engine.algorithms import blocks, tiles
from striate.engine.algorithms.blocks import Scratch
from striate.engine.algorithms.folding import Folded
from striate.engine.algorithms.geometry import Geometry

POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)
"""Where the polynomials are evaluated, beside infinity; the fewer and the smaller, the more accurate."""

TRANSFORMING = 30
"""Multiply-adds of a product in whose time one number of a tile is transformed, about."""

TRANSFORMING_KERNELS = 2
"""Times as long for a number of a kernel, which comes from farther away."""

_ONE = POINTS.index(1.0)
"""What is added to M at the point (1, 1) is added to all outputs of the tile: 1 is 1 to any power."""


@cache
def transforms(outputs: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A^T (outputs, n), G (n, taps) and B^T (n, n) of F(outputs, taps), n = outputs + taps - 1.

    Toom and Cook's construction, transposed: G and A hold the powers of the points (the last row is the point
    at infinity: the highest coefficient alone), B the coefficients of Lagrange's polynomials.
    """
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
    return A.T.copy(), G, B.T.copy()


@dataclass(frozen=True)
class Winograd:
    """The algorithm for one size of tile.

    Attributes:
        outputs: of a tile's side at most, m of F(m, k).
        tile: pixels of a tile's side at most, m + k - 1.
        TOLERANCE: largest difference from `loops` by dtype, relative to the largest value.
    """

    outputs: int
    tile: int
    TOLERANCE: dict[str, float]

    def refusal(self, geometry: Geometry) -> str | None:
        """Return why the algorithm does not serve `geometry`, or None."""
        if len(set(geometry.stride)) > 1 or geometry.stride[0] > 2:
            return f"the stride must be 1 or 2, not {geometry.stride}"
        if geometry.dilation != (1, 1) or geometry.groups != 1:
            return "dilation and groups must be 1"
        folded = Folded.of(geometry)
        if len(set(geometry.kernel)) > 1 or not 2 <= folded.kernel < self.tile:
            widest = (self.tile - 1) * folded.fold
            return f"the kernel must be square, of {folded.fold + 1} to {widest} taps, not {geometry.kernel}"
        if max(folded.before) >= folded.kernel:
            return f"the padding must be less than the kernel's size {geometry.kernel[0]}"
        return None

    def work(self, geometry: Geometry) -> float:
        """Return the multiply-adds of forward and backward, with what the transforms take counted as such."""
        folded = Folded.of(geometry)
        step = self._outputs(folded)
        down, across = (
            (2 * -(-made // step) + -(-seen // step)) / 3  # two passes over the output, one over the input
            for made, seen in zip(geometry.out_size, folded.size, strict=True)
        )
        tiles, places = geometry.batch * down * across, (step + folded.kernel - 1) ** 2
        seen, made = folded.fold**2 * geometry.in_channels, geometry.out_channels
        transformed = tiles * (seen + made) + TRANSFORMING_KERNELS * seen * made
        return 3 * places * (tiles * seen * made + TRANSFORMING * transformed)

    def forward(
        self, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry
    ) -> np.ndarray:
        """Convolve x (N, C, H, W) with weight (O, C, k, k), add bias (O,): return (N, O, H', W')."""
        folded = Folded.of(geometry)
        A_T, G, B_T = self._matrices(folded, x.dtype)
        kernels = _transform_kernels(folded.fold_kernels(weight), G)  # (places, fold * fold * C, O)
        output = blocks.channels_last(geometry.out_shape, x.dtype)

        def convolve(lane: slice) -> None:
            scratch = Scratch(x.dtype)
            for block in tiles.cut(lane, geometry.out_size, len(A_T)):
                V = block.analyze(x, B_T, folded.before, "V", scratch, folded.fold)
                M = np.matmul(V, kernels, out=scratch.take("M", *V.shape[:2], geometry.out_channels))
                if bias is not None:
                    M[_ONE * (len(B_T) + 1)] += bias
                block.synthesize(M, A_T, output, scratch)

        blocks.run(convolve, blocks.lanes(geometry))
        return output

    def backward(
        self,
        grad_output: np.ndarray,
        x: np.ndarray,
        weight: np.ndarray,
        geometry: Geometry,
        needs: tuple[str, ...],
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
        grad_x = self._input_gradient(grad_output, x, weight, geometry) if "x" in needs else None
        grad_weight = self._weight_gradient(grad_output, x, geometry) if "weight" in needs else None
        return grad_x, grad_weight, blocks.sum_pixels(grad_output) if "bias" in needs else None

    def _input_gradient(
        self, grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry
    ) -> np.ndarray:
        """Convolve dY with the flipped kernels, padded by k - 1 less the forward's padding."""
        folded = Folded.of(geometry)
        A_T, G, B_T = self._matrices(folded, x.dtype)
        flipped = folded.fold_kernels(weight)[:, :, ::-1, ::-1].swapaxes(0, 1)
        kernels = _transform_kernels(flipped, G)  # (places, O, fold * fold * C)
        before = folded.kernel - 1 - folded.before[0], folded.kernel - 1 - folded.before[1]
        grad_x = blocks.like(x, geometry.in_shape)

        def convolve(lane: slice) -> None:
            scratch = Scratch(x.dtype)
            for block in tiles.cut(lane, folded.size, len(A_T)):
                V = block.analyze(grad_output, B_T, before, "V", scratch)
                M = np.matmul(V, kernels, out=scratch.take("M", *V.shape[:2], kernels.shape[2]))
                block.synthesize(M, A_T, grad_x, scratch, folded.fold)

        blocks.run(convolve, blocks.lanes(geometry))
        return grad_x

    def _weight_gradient(self, grad_output: np.ndarray, x: np.ndarray, geometry: Geometry) -> np.ndarray:
        folded = Folded.of(geometry)
        A_T, G, B_T = self._matrices(folded, x.dtype)
        lanes, interpolate = blocks.lanes(geometry), np.kron(G, G).T
        shape = len(B_T) ** 2, folded.fold**2 * geometry.in_channels, geometry.out_channels
        sums = np.zeros((len(lanes), len(interpolate), shape[1] * shape[2]), x.dtype)

        def correlate(lane: slice) -> None:
            scratch, total = Scratch(x.dtype), np.empty(shape, x.dtype)
            for number, block in enumerate(tiles.cut(lane, geometry.out_size, len(A_T))):
                V = block.analyze(x, B_T, folded.before, "V", scratch, folded.fold)
                D = block.analyze(grad_output, A_T.T, (0, 0), "D", scratch)
                if number == 0:
                    np.matmul(V.swapaxes(1, 2), D, out=total)
                else:
                    total += np.matmul(V.swapaxes(1, 2), D, out=scratch.take("dW", *shape))
            np.matmul(interpolate, total.reshape(shape[0], -1), out=sums[lanes.index(lane)])

        blocks.run(correlate, lanes)
        taps = sums.sum(axis=0).reshape(folded.kernel, folded.kernel, *shape[1:]).transpose(3, 2, 0, 1)
        return folded.unfold_kernels(taps, geometry.kernel[0])

    def _matrices(self, folded: Folded, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        A_T, G, B_T = transforms(self._outputs(folded), folded.kernel)
        return A_T.astype(dtype), G.astype(dtype), B_T.astype(dtype)

    def _outputs(self, folded: Folded) -> int:
        """Outputs of a tile's side."""
        return min(self.outputs, self.tile - folded.kernel + 1)


SMALL = Winograd(2, 4, {"float32": 2e-5, "float64": 1e-13})
"""F(2x2, 3x3): 16 products for 4 outputs instead of 36."""

LARGE = Winograd(4, 6, {"float32": 2e-4, "float64": 1e-12})
"""F(4x4, 3x3): 36 products for 16 outputs instead of 144; F(2x2, 5x5): 36 for 4 instead of 100."""


def _transform_kernels(weight: np.ndarray, G: np.ndarray) -> np.ndarray:
    """G W G^T for every kernel of weight (O, C, k, k): (places, C, O)."""
    out, channels, k, _ = weight.shape
    columns = weight.transpose(2, 3, 1, 0).reshape(k * k, channels * out)
    with blas.one_thread():
        transformed: np.ndarray = np.kron(G, G) @ columns
    return transformed.reshape(-1, channels, out)
