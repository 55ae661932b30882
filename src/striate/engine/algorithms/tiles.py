"""Tiles for Winograd's algorithm: overlapping squares of pixels, transformed on their way in and out.

A tile is seen, never copied: numbers of a contiguous array at other strides. A transform X -> T X T^T is
two batched products with the small matrix T, one over rows and one over columns; the second writes each
place of the tiles into its own matrix (tiles, channels), ready to be multiplied.

At stride s the image is seen *folded*: s x s neighbouring pixels are one pixel with s * s times as many
channels, ordered (row, column, channel). Then windows begin at every folded pixel, as they do at stride 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from striate.engine.algorithms import blocks
from striate.engine.algorithms.blocks import Scratch

TILES = 128
"""Tiles in a block, about: with 64 channels and 36 places, 1.2 MB of a core's 1 to 2 MB of cache."""

FEWER_TILES = 64
"""Where they have more channels than that."""

MANY_CHANNELS = 64
"""Channels up to which `TILES` fit."""


@dataclass(frozen=True)
class Block:
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

    @property
    def count(self) -> int:
        """Images."""
        return int(self.images.stop - self.images.start)

    def analyze(
        self,
        images: np.ndarray,
        matrix: np.ndarray,
        before: tuple[int, int],
        name: str,
        scratch: Scratch,
        fold: int = 1,
    ) -> np.ndarray:
        """Cut images into tiles and transform each, X -> matrix X matrix^T.

        Args:
            images: the whole batch (N, C, H, W).
            matrix: (places, window): a tile has window x window folded pixels.
            before: folded rows of zeros above the images, and columns to the left.
            name: of the result in `scratch`.
            scratch: the lane's.
            fold: neighbouring pixels, down and right, that are one.

        Returns:
            (places * places, tiles, fold * fold * C), in `scratch`.
        """
        window, channels = matrix.shape[1], images.shape[1]
        height, width = (((count - 1) * self.step + window) * fold for count in (self.rows, self.columns))
        piece = scratch.take("image", self.count, height, width, channels)
        above = (self.first * self.step - before[0]) * fold  # first row that the block sees
        seen = images[self.images, :, max(0, above) : above + height]
        blocks.load(seen, piece, max(0, -above), before[1] * fold, scratch)
        return self._transform(piece, matrix, fold, name, scratch)

    def _transform(
        self, piece: np.ndarray, matrix: np.ndarray, fold: int, name: str, scratch: Scratch
    ) -> np.ndarray:
        """X -> matrix X matrix^T for the tiles of piece (n, H, W, C)."""
        (n, _, width, channels), (places, window) = piece.shape, matrix.shape
        image, row, pixel, item = piece.strides
        shape = n, self.rows, fold, window, width * channels
        strips = _see(piece, shape, (image, self.step * fold * row, row, fold * row, item))
        half = np.matmul(matrix, strips, out=scratch.take("half", *shape[:3], places, shape[4]))
        strides = *half.strides[:4], self.step * fold * pixel, fold * pixel, item
        tiles = _see(half, (*half.shape[:4], self.columns, window, fold * channels), strides)
        whole = scratch.take(name, places, places, n, self.rows, self.columns, fold, fold * channels)
        np.matmul(matrix, tiles, out=whole.transpose(2, 3, 5, 0, 4, 1, 6))
        return whole.reshape(places * places, -1, fold * fold * channels)

    def synthesize(
        self, products: np.ndarray, matrix: np.ndarray, target: np.ndarray, scratch: Scratch, fold: int = 1
    ) -> None:
        """Transform back, M -> matrix M matrix^T; put the tiles side by side in the block's part of target.

        Args:
            products: M for every tile, (places * places, tiles, fold * fold * C).
            matrix: (step, places).
            target: the whole batch (N, C, H, W); tiles that reach over its edge are cut.
            scratch: the lane's.
            fold: as in `analyze`.
        """
        (step, places), (rows, columns) = matrix.shape, (self.rows, self.columns)
        half = scratch.take("half", step, products.size // places)
        np.matmul(matrix, products.reshape(places, -1), out=half)
        top = self.first * step * fold
        part = target[self.images, :, top : top + rows * step * fold]
        n, channels, height = part.shape[:3]
        tiles = half.reshape(step, places, n, rows, columns, fold, fold * channels)
        # A pixel's channels begin an odd number of cache lines after the last pixel's.
        line = scratch.take("y", n, rows, step, fold, columns, step, blocks.pitch(fold * channels))
        np.matmul(matrix, tiles.transpose(2, 3, 0, 5, 4, 1, 6), out=line[..., : fold * channels])
        whole = line.reshape(n, rows * step * fold, columns * step, -1)
        for phase in range(fold):
            strided = part[:, :, :, phase::fold]
            pixels = whole[:, :height, : strided.shape[3], phase * channels : (phase + 1) * channels]
            strided[...] = pixels.transpose(0, 3, 1, 2)


def cut(lane: slice, size: tuple[int, int], step: int, channels: int) -> Iterator[Block]:
    """Cut a lane's images into blocks of as many tiles as a cache holds, about.

    Args:
        lane: images of the batch.
        size: height and width of what the tiles give.
        step: outputs of a tile's side.
        channels: of the folded image.
    """
    fitting = TILES if channels <= MANY_CHANNELS else FEWER_TILES
    rows, columns = (-(-length // step) for length in size)
    images = lane.stop - lane.start
    together = max(1, round(fitting / (rows * columns)))
    for some in blocks.strips(images, together):
        for strip in blocks.strips(rows, max(1, fitting // columns)):
            place = slice(lane.start + some.start, lane.start + some.stop)
            yield Block(place, strip.start, strip.stop - strip.start, columns, step)


def _see(array: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """Return the memory of a contiguous `array` at other strides: windows overlap, nothing is copied."""
    return np.ndarray(shape, array.dtype, buffer=array, strides=strides)
