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

import numpy as np

from striate.engine import blas
from striate.engine.algorithms import blocks, tiles
from striate.engine.algorithms.blocks import Scratch
from striate.engine.algorithms.folding import Folded
from striate.engine.algorithms.geometry import Geometry
from striate.engine.algorithms.interpolation import Transforms, transforms

TRANSFORMING_KERNELS = 160
"""Multiply-adds of a large product in whose time one number of a kernel is transformed, about."""


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
        of_tiles = tiles * (_transforming(seen) + _transforming(made))
        of_kernels = TRANSFORMING_KERNELS * seen * made
        return 3 * places * (tiles * seen * made + of_tiles + of_kernels)

    def forward(
        self, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry
    ) -> np.ndarray:
        """Convolve x (N, C, H, W) with weight (O, C, k, k), add bias (O,): return (N, O, H', W')."""
        folded = Folded.of(geometry)
        using = transforms(self._outputs(folded), folded.kernel, x.dtype)
        kernels = using.of_kernels(folded.fold_kernels(weight))  # (places, fold * fold * C, O)
        output = blocks.channels_last(geometry.out_shape, x.dtype)

        def convolve(lane: slice) -> None:
            scratch = Scratch(x.dtype)
            for block in tiles.cut(lane, geometry.out_size, len(using.A_T), kernels.shape[1]):
                V = block.analyze(x, using.B_T, folded.before, "V", scratch, folded.fold)
                M = np.matmul(V, kernels, out=scratch.take("M", *V.shape[:2], geometry.out_channels))
                if bias is not None:
                    M[using.one] += bias
                block.synthesize(M, using.A_T, output, scratch)

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
        folded, lanes = Folded.of(geometry), blocks.lanes(geometry)
        using = transforms(self._outputs(folded), folded.kernel, x.dtype)
        turned = folded.fold_kernels(weight)[:, :, ::-1, ::-1].swapaxes(0, 1)
        kernels = using.of_kernels(turned)  # (places, O, fold * fold * C)
        grad_x = blocks.like(x, geometry.in_shape) if "x" in needs else None
        sums = np.zeros((len(lanes), using.GG.shape[1], kernels[0].size), x.dtype)
        bias_sums = np.zeros((len(lanes), geometry.out_channels), x.dtype)

        def propagate(lane: slice) -> None:
            scratch, number = Scratch(x.dtype), lanes.index(lane)
            if grad_x is not None:
                _convolve_gradient(grad_output, kernels, using, folded, lane, grad_x, scratch)
            if "weight" in needs or "bias" in needs:
                total = _correlate(grad_output, x, using, folded, lane, bias_sums[number], scratch)
                np.matmul(using.GG.T, total.reshape(len(total), -1), out=sums[number])

        blocks.run(propagate, lanes)
        grad_weight = None
        if "weight" in needs:
            taps = using.to_kernels(sums, folded.fold**2 * geometry.in_channels, geometry.out_channels)
            grad_weight = folded.unfold_kernels(taps, geometry.kernel[0])
        return grad_x, grad_weight, bias_sums.sum(axis=0) if "bias" in needs else None

    def _outputs(self, folded: Folded) -> int:
        """Outputs of a tile's side."""
        return min(self.outputs, self.tile - folded.kernel + 1)


SMALL = Winograd(2, 4, {"float32": 2e-5, "float64": 1e-13})
"""F(2x2, 3x3): 16 products for 4 outputs instead of 36."""

LARGE = Winograd(4, 6, {"float32": 2e-4, "float64": 1e-12})
"""F(4x4, 3x3): 36 products for 16 outputs instead of 144; F(2x2, 5x5): 36 for 4 instead of 100."""


def _transforming(channels: int) -> float:
    """Return the multiply-adds of a large product in whose time that many numbers of a tile are transformed.

    Tiles are transformed by small products: a BLAS without kernels for such takes longer, and as long again
    for each of them as for 15 channels.
    """
    return 22 * channels if blas.has_small_kernels() else 50 * (channels + 15)


def _convolve_gradient(
    grad_output: np.ndarray,
    kernels: np.ndarray,
    using: Transforms,
    folded: Folded,
    lane: slice,
    grad_x: np.ndarray,
    scratch: Scratch,
) -> None:
    """Convolve a lane of dY with the flipped kernels, padded by k - 1 less the forward's padding."""
    before = folded.kernel - 1 - folded.before[0], folded.kernel - 1 - folded.before[1]
    for block in tiles.cut(lane, folded.size, len(using.A_T), kernels.shape[2]):
        V = block.analyze(grad_output, using.B_T, before, "V", scratch)
        M = np.matmul(V, kernels, out=scratch.take("M", *V.shape[:2], kernels.shape[2]))
        block.synthesize(M, using.A_T, grad_x, scratch, folded.fold)


def _correlate(
    grad_output: np.ndarray,
    x: np.ndarray,
    using: Transforms,
    folded: Folded,
    lane: slice,
    bias_sum: np.ndarray,
    scratch: Scratch,
) -> np.ndarray:
    """Return the sum over a lane's tiles of (B^T D B) * (A dY A^T), (places, fold * fold * C, O).

    At the point (1, 1) dY is summed over its tile; these sums are added to `bias_sum` (O,).
    """
    (height, width), channels = grad_output.shape[2:], folded.fold**2 * x.shape[1]
    for number, block in enumerate(tiles.cut(lane, (height, width), len(using.A_T), channels)):
        V = block.analyze(x, using.B_T, folded.before, "V", scratch, folded.fold)
        D = block.analyze(grad_output, using.A_T.T, (0, 0), "D", scratch)
        bias_sum += D[using.one].sum(axis=0)
        shape = len(V), V.shape[2], D.shape[2]
        if number == 0:
            total = np.matmul(V.swapaxes(1, 2), D, out=scratch.take("total", *shape))
        else:
            total += np.matmul(V.swapaxes(1, 2), D, out=scratch.take("dW", *shape))
    return total
