"""Patches of pixels as the rows of a matrix, and gradients of such patches back to where they came from.

Pixels lie with their channels last, so a patch is kH runs of neighbouring numbers: of kW pixels, or of as
many as some neighbouring outputs see together (`banding`). The rows of a few images, or of a few output rows,
are made at a time, so that they stay in a core's cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from striate.engine.algorithms import blocks
from striate.engine.algorithms.banding import Band
from striate.engine.algorithms.blocks import Scratch
from striate.engine.algorithms.geometry import Geometry

ROWS_BYTES = 1 << 20
"""Size of the rows made at a time: with what is multiplied by them, they fit a core's own cache."""


def image_to_rows(
    x: np.ndarray, lane: slice, geometry: Geometry, band: Band, scratch: Scratch
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield images of a lane, output rows, and the patches under them, each with a 1: (pixels / m, K + 1)."""
    (top, _), (left, _), (height, width) = *geometry.padding, geometry.out_size
    (down, right), (spread_down, spread_right) = geometry.stride, geometry.dilation
    C, across = geometry.in_channels, width // band.outputs
    K = geometry.kernel[0] * band.span * C
    for images, strips in blocks.pieces(lane, height, ROWS_BYTES // (K * across * x.itemsize)):
        piece = scratch.framed(0, "piece", images.stop - images.start, *geometry.padded, C)
        blocks.load_inside(x[images], piece, top, left, scratch)
        image, row, pixel, item = piece.strides
        for strip in strips:
            steps = row * down, pixel * right * band.outputs, row * spread_down, pixel * spread_right
            patches = np.ndarray(
                (len(piece), strip.stop - strip.start, across, geometry.kernel[0], band.span, C),
                piece.dtype,
                buffer=piece,
                offset=strip.start * down * row,
                strides=(image, *steps, item),
            )
            rows = scratch.framed(1, "patches", patches.size // K, blocks.pitch(K + 1))[:, : K + 1]
            rows[:, :K].reshape(patches.shape)[...] = patches
            yield images, strip, rows


def taps_to_image(
    grad_taps: np.ndarray, grad_x: np.ndarray, strip: slice, geometry: Geometry, scratch: Scratch
) -> None:
    """Add grad_taps (kH * kW, pixels, C) to grad_x (n, C, H, W) in its zeros, each number where it came from.

    What one tap of the kernel gives lies together, so at stride 1 whole rows of pixels are added at once. The
    strips of some images come one after the other: the first begins with zeros, the last one is followed by
    writing grad_x.
    """
    (n, C, H, W), (top, _), (left, _) = grad_x.shape, *geometry.padding
    piece = scratch.take("grad", n, *geometry.padded, C)
    if strip.start == 0:
        piece[...] = 0
    taps = grad_taps.reshape(*geometry.kernel, n, -1, geometry.out_size[1], C)
    for i in range(geometry.kernel[0]):
        for j in range(geometry.kernel[1]):
            down, across = geometry.taps(i, j)
            step = geometry.stride[0]
            start = down.start + strip.start * step
            rows = slice(start, start + (taps.shape[3] - 1) * step + 1, step)
            piece[:, rows, across] += taps[i, j]
    if strip.stop == geometry.out_size[0]:
        grad_x[...] = piece[:, top : top + H, left : left + W].transpose(0, 3, 1, 2)
