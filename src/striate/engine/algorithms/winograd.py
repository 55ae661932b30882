"""Convolution with fewer multiplications: Winograd's minimal filtering.

Four neighbouring outputs of a 3-tap filter need 12 products when computed one by one. They are coefficients
of a product of two polynomials, and such a product is fixed by its values at 6 points: 6 products do. Evaluating
at the points and interpolating back are small fixed matrices,

    y = A^T [ (G w) * (B^T d) ]              6 inputs d, 3 taps w, 4 outputs y: F(4, 3)

and in two dimensions, nested: a 6x6 tile of pixels, 4x4 outputs, 36 products instead of 144: F(4x4, 3x3).

    Y = A^T [ (G W G^T) * (B^T D B) ] A

Summed over input channels, the * becomes, for each of the 36 places of the tile, a matrix product of
(tiles, C) with (C, O): that is where the time goes, and there are 4 times fewer multiplications in it than in
im2col. Backward, the input gradient is the same algorithm on dY with flipped kernels; the weight gradient is its
transpose: dW = G^T [ sum over tiles of (B^T D B) * (A dY A^T) ] G.

The price is accuracy: the matrices hold numbers up to 8, and differences of large numbers lose digits; F(2x2, 3x3)
(4x4 tiles, 2.25 times fewer multiplications) loses less. Infinite pixels turn their whole tile into NaN.

Meant for: 3x3 and 5x5 kernels at stride 1 with many channels. Source: Lavin and Gray, Fast algorithms for
convolutional neural networks (2016), equations 6 to 15.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from striate.engine import blas
from striate.engine.algorithms import blocks
from striate.engine.algorithms.blocks import Scratch
from striate.engine.algorithms.geometry import Geometry

POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)
"""Where the polynomials are evaluated, beside infinity; the fewer and the smaller, the more accurate."""

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
        tile: pixels of a tile's side; F(tile - k + 1, k) for a k x k kernel.
        TOLERANCE: largest difference from `loops` by dtype, relative to the largest value.
    """

    tile: int
    TOLERANCE: dict[str, float]

    def refusal(self, geometry: Geometry) -> str | None:
        """Return why the algorithm does not serve `geometry`, or None."""
        size = geometry.kernel[0]
        if geometry.kernel != (size, size) or not 2 <= size < self.tile:
            return f"the kernel must be square, of 2 to {self.tile - 1} taps, not {geometry.kernel}"
        if geometry.stride != (1, 1) or geometry.dilation != (1, 1) or geometry.groups != 1:
            return "stride, dilation and groups must be 1"
        if max(max(sides) for sides in geometry.padding) >= size:
            return f"the padding must be less than the kernel's size {size}"
        return None

    def forward(
        self, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry
    ) -> np.ndarray:
        """Convolve x (N, C, H, W) with weight (O, C, k, k), add bias (O,): return (N, O, H', W')."""
        A_T, G, B_T = self._matrices(geometry, x.dtype)
        kernels = _transform_kernels(weight, G)  # (tile * tile, C, O)
        output = blocks.like(x, geometry.out_shape)

        def convolve(lane: slice) -> None:
            scratch = Scratch(x.dtype)
            for block in _blocks(lane, geometry, len(A_T)):
                V = block.tiles_of(x, B_T, geometry.padding, "x", scratch)
                M = np.matmul(V, kernels, out=scratch.take("M", *V.shape[:2], geometry.out_channels))
                if bias is not None:
                    M[_ONE * (self.tile + 1)] += bias
                _interpolate(M, A_T, block.of(output), block, scratch)

        blocks.run(convolve, blocks.lanes(geometry.batch))
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
        grad_x = None
        if "x" in needs:
            flipped = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
            grad_x = self.forward(grad_output, flipped, None, _full(geometry))
        grad_weight = self._weight_gradient(grad_output, x, geometry) if "weight" in needs else None
        return grad_x, grad_weight, blocks.sum_pixels(grad_output) if "bias" in needs else None

    def _weight_gradient(self, grad_output: np.ndarray, x: np.ndarray, geometry: Geometry) -> np.ndarray:
        A_T, G, B_T = self._matrices(geometry, x.dtype)
        no_padding = ((0, 0), (0, 0))
        lanes = blocks.lanes(geometry.batch)
        sums = np.zeros((len(lanes), self.tile**2, geometry.in_channels, geometry.out_channels), x.dtype)

        def correlate(lane: slice) -> None:
            scratch, total = Scratch(x.dtype), sums[lanes.index(lane)]
            part = np.empty_like(total)
            for block in _blocks(lane, geometry, len(A_T)):
                V = block.tiles_of(x, B_T, geometry.padding, "x", scratch)
                D = block.tiles_of(grad_output, A_T.T, no_padding, "dy", scratch)
                total += np.matmul(V.swapaxes(1, 2), D, out=part)

        blocks.run(correlate, lanes)
        total = sums.sum(axis=0).reshape(self.tile**2, -1)
        with blas.one_thread():
            taps = np.kron(G, G).T @ total  # (k * k, C * O)
        k, C, out = geometry.kernel[0], geometry.in_channels, geometry.out_channels
        return np.ascontiguousarray(taps.reshape(k, k, C, out).transpose(3, 2, 0, 1))

    def _matrices(self, geometry: Geometry, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        A_T, G, B_T = transforms(self.tile - geometry.kernel[0] + 1, geometry.kernel[0])
        return A_T.astype(dtype), G.astype(dtype), B_T.astype(dtype)


SMALL = Winograd(4, {"float32": 2e-5, "float64": 1e-13})
"""F(2x2, 3x3): 16 products for 4 outputs instead of 36."""

LARGE = Winograd(6, {"float32": 2e-4, "float64": 1e-12})
"""F(4x4, 3x3): 36 products for 16 outputs instead of 144; F(2x2, 5x5): 36 for 4 instead of 100."""


@dataclass(frozen=True)
class _Block:
    """Some images, and some rows of their tiles, that are worked on together.

    Attributes:
        images: which of the batch.
        first: row of tiles.
        rows: of tiles.
        columns: of tiles.
        step: outputs of a tile's side.
    """

    images: slice
    first: int
    rows: int
    columns: int
    step: int

    def of(self, output: np.ndarray) -> np.ndarray:
        """The part of `output` (N, O, H', W') that the block computes."""
        return output[self.images, :, self.first * self.step : (self.first + self.rows) * self.step]

    def tiles_of(
        self, images: np.ndarray, matrix: np.ndarray, padding, name: str, scratch: Scratch
    ) -> np.ndarray:
        """Cut images (N, C, H, W) into tiles and transform each, X -> matrix X matrix^T: (places, tiles, C)."""
        (top, _), (left, _) = padding
        window, n, C = matrix.shape[1], self.images.stop - self.images.start, images.shape[1]
        height, width = ((count - 1) * self.step + window for count in (self.rows, self.columns))
        piece = scratch.take("image", n, height, width, C)
        above = self.first * self.step - top  # first row that the block sees
        seen = images[self.images, :, max(0, above) : above + height]
        blocks.load(seen, piece, max(0, -above), left, scratch)
        return _transform_tiles(piece, matrix, self.step, name, scratch)


def _blocks(lane: slice, geometry: Geometry, step: int) -> Iterator[_Block]:
    """Cut a lane's images into blocks of about as many tiles as fit a core's cache."""
    rows, columns = (-(-length // step) for length in geometry.out_size)
    wanted = _tiles_wanted(geometry)
    together = max(1, wanted // (rows * columns))
    strips = -(-rows // max(1, wanted // columns))
    edges = [rows * strip // strips for strip in range(strips + 1)]
    for start in range(lane.start, lane.stop, together):
        images = slice(start, min(start + together, lane.stop))
        for first, last in zip(edges, edges[1:], strict=False):
            yield _Block(images, first, last - first, columns, step)


def _tiles_wanted(geometry: Geometry) -> int:
    import os

    return int(os.environ.get("WT", "64"))


def _full(geometry: Geometry) -> Geometry:
    """The convolution of dY with the flipped kernels that gives dX: padding k - 1 less the forward's."""
    reach = geometry.kernel[0] - 1
    (top, bottom), (left, right) = geometry.padding
    return replace(
        geometry,
        in_channels=geometry.out_channels,
        out_channels=geometry.in_channels,
        size=geometry.out_size,
        padding=((reach - top, reach - bottom), (reach - left, reach - right)),
    )


def _transform_kernels(weight: np.ndarray, G: np.ndarray) -> np.ndarray:
    """G W G^T for every kernel of weight (O, C, k, k): (places, C, O)."""
    out, C, k, _ = weight.shape
    columns = weight.transpose(2, 3, 1, 0).reshape(k * k, C * out)
    with blas.one_thread():
        return (np.kron(G, G) @ columns).reshape(-1, C, out)


def _transform_tiles(
    piece: np.ndarray, matrix: np.ndarray, step: int, name: str, scratch: Scratch
) -> np.ndarray:
    """X -> matrix X matrix^T for the tiles of piece (n, H, W, C), `step` pixels apart: (places, tiles, C)."""
    n, height, width, C = piece.shape
    places, window = matrix.shape
    rows, columns = (height - window) // step + 1, (width - window) // step + 1
    images, down, right, item = piece.strides
    strips = _view(piece, (n, rows, window, width * C), (images, step * down, down, item))
    half = np.matmul(matrix, strips, out=scratch.take("half", n, rows, places, width * C))
    images, row, place, item = half.strides
    shape = n, rows, places, columns, window, C
    tiles = _view(half, shape, (images, row, place, step * C * item, C * item, item))
    whole = scratch.take(name, places, places, n, rows, columns, C)
    np.matmul(matrix, tiles, out=whole.transpose(2, 3, 0, 4, 1, 5))
    return whole.reshape(places * places, -1, C)


def _view(array: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """The memory of a contiguous `array` seen with other strides, where windows overlap; nothing is copied."""
    return np.ndarray(shape, array.dtype, buffer=array, strides=strides)


def _interpolate(
    M: np.ndarray,
    A_T: np.ndarray,
    output: np.ndarray,
    block: _Block,
    scratch: Scratch,
) -> None:
    """A^T M A for every tile of M (places, tiles, O), into output (n, O, h, w)."""
    step, places = A_T.shape
    n, O, height, width = output.shape
    half = np.matmul(A_T, M.reshape(places, -1), out=scratch.take("half", step, M.size // places))
    tiles = half.reshape(step, places, n, block.rows, block.columns, O).transpose(2, 3, 0, 4, 1, 5)
    roomy = scratch.take("y", n, block.rows * step, block.columns * step, blocks.pitch(O))[..., :O]
    np.matmul(A_T, tiles, out=roomy.reshape(n, block.rows, step, block.columns, step, O))
    output[...] = roomy[:, :height, :width].transpose(0, 3, 1, 2)
