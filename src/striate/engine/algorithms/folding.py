"""A convolution of stride s, seen as one of stride 1 over a folded image.

Fold the image: s x s neighbouring pixels become one pixel with s * s times as many channels, ordered (row,
column, channel). A window that moves by s pixels moves by one folded pixel. The kernel, with zeros in front
so that its first tap falls on the first row and column of a folded pixel, folds likewise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from striate.engine.algorithms.geometry import Geometry


@dataclass(frozen=True)
class Folded:
    """The numbers of the folded convolution; with stride 1 those of the convolution itself.

    Attributes:
        fold: pixels that become one, down and right: the stride.
        front: zeros in front of the kernel, above and to the left.
        kernel: folded pixels that the kernel covers, down and right.
        before: folded rows of padding above the image, and columns to its left.
        size: height and width of the folded image.
    """

    fold: int
    front: tuple[int, int]
    kernel: int
    before: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def of(cls, geometry: Geometry) -> Folded:
        """Fold a convolution with a square kernel and one stride for both directions."""
        fold = geometry.stride[0]
        front = -geometry.padding[0][0] % fold, -geometry.padding[1][0] % fold
        return cls(
            fold=fold,
            front=front,
            kernel=-(-(max(front) + geometry.kernel[0]) // fold),
            before=(-(-geometry.padding[0][0] // fold), -(-geometry.padding[1][0] // fold)),
            size=(-(-geometry.size[0] // fold), -(-geometry.size[1] // fold)),
        )

    def fold_kernels(self, weight: np.ndarray) -> np.ndarray:
        """Fold weight (O, C, k, k) to (O, fold * fold * C, kernel, kernel)."""
        out, channels, k, _ = weight.shape
        if self.fold == 1:
            return weight
        wide = np.zeros((out, channels, self.kernel * self.fold, self.kernel * self.fold), weight.dtype)
        wide[:, :, self.front[0] : self.front[0] + k, self.front[1] : self.front[1] + k] = weight
        split = wide.reshape(out, channels, self.kernel, self.fold, self.kernel, self.fold)
        return split.transpose(0, 3, 5, 1, 2, 4).reshape(out, -1, self.kernel, self.kernel)

    def unfold_kernels(self, folded: np.ndarray, k: int) -> np.ndarray:
        """Take the k x k taps out of folded kernels (O, fold * fold * C, kernel, kernel): (O, C, k, k)."""
        out, side = len(folded), self.kernel * self.fold
        split = folded.reshape(out, self.fold, self.fold, -1, self.kernel, self.kernel)
        wide = split.transpose(0, 3, 4, 1, 5, 2).reshape(out, -1, side, side)
        return np.ascontiguousarray(
            wide[:, :, self.front[0] : self.front[0] + k, self.front[1] : self.front[1] + k]
        )
