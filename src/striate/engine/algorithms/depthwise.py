"""Depth-wise convolution: every channel by itself, a multiplication and an addition for each tap.

With as many groups as channels there is no sum over channels, hence no matrix product. With channels last,

    y[h, w, c]  = sum over i, j of     x_padded[h + i, w + j, c] * K[i, j, c]
    dx[h, w, c] = sum over i, j of    dy_padded[h + i, w + j, c] * K[i, j, c] turned by half a turn
    dK[i, j, c] = sum over h, w of     x_padded[h + i, w + j, c] * dy[h, w, c]

The windows are a view of the padded image: nothing is copied but the padding. `einsum` sums such products in
one pass for each tap, which multiplies and adds at once. Its loops run along memory, and are long where a
row of outputs is one *run* of W' * C numbers in all three arrays (at stride 1; else a run is a pixel's C): so
K is repeated for every pixel of a row, and the sums over w come last. At stride s, dy_padded has s - 1 zeros
between its pixels.

Meant for: groups = in_channels = out_channels. Source of the layer: Howard et al., MobileNets (2017).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from striate.engine.algorithms import blocks
from striate.engine.algorithms.blocks import Scratch
from striate.engine.algorithms.geometry import Geometry

TOLERANCE = {"float32": 2e-5, "float64": 1e-13}
"""Largest difference from `loops`, relative to the largest value: long sums in another order."""

BLOCK_BYTES = 1 << 20
"""Size of the outputs that are computed at a time: with the pixels that they see, about a core's cache."""

Gradients = tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]


def refusal(geometry: Geometry) -> str | None:
    """Return why this algorithm does not serve `geometry`, or None."""
    if not geometry.groups == geometry.in_channels == geometry.out_channels:
        return "there must be as many groups as input channels and as output channels"
    return None


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Convolve x (N, C, H, W) with weight (C, 1, kH, kW), add bias (C,): return (N, C, H', W')."""
    output = blocks.channels_last(geometry.out_shape, x.dtype)
    _convolve(x, weight, bias, geometry, output)
    return output


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> Gradients:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    grad_x = None
    if "x" in needs:
        grad_x = blocks.channels_last(geometry.in_shape, x.dtype)
        turned, apart = _turned(geometry), geometry.stride
        _convolve(grad_output, weight[:, :, ::-1, ::-1], None, turned, grad_x, apart)
    if "weight" not in needs and "bias" not in needs:
        return grad_x, None, None
    lanes, runs = blocks.lanes(geometry), _runs(geometry)
    sums = np.zeros((len(lanes), *geometry.kernel, *runs), x.dtype)
    bias_sums = np.zeros((len(lanes), *runs), x.dtype)

    def correlate(lane: slice) -> None:
        scratch, number = Scratch(x.dtype), lanes.index(lane)
        for images, strip, windows in _windows(x, lane, geometry, scratch):
            dy = blocks.rows_of(grad_output[images, :, strip], "dy", scratch)
            dy = dy.reshape(len(windows), -1, *runs)
            sums[number] += np.einsum("nhijwr,nhwr->ijwr", windows, dy)
            bias_sums[number] += dy.sum(axis=(0, 1))

    blocks.run(correlate, lanes)
    C = geometry.in_channels
    taps = sums.sum(axis=0).reshape(*geometry.kernel, -1, C).sum(axis=2).transpose(2, 0, 1)
    grad_weight = np.ascontiguousarray(taps[:, None]) if "weight" in needs else None
    grad_bias = bias_sums.sum(axis=0).reshape(-1, C).sum(axis=0) if "bias" in needs else None
    return grad_x, grad_weight, grad_bias


def _convolve(
    images: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    geometry: Geometry,
    output: np.ndarray,
    apart: tuple[int, int] = (1, 1),
) -> None:
    """Fill `output` (channels last); between the pixels of `images` are `apart` - 1 zeros, down and right."""
    (height, width), runs = geometry.out_size, _runs(geometry)
    kernels = np.repeat(weight[:, 0].transpose(1, 2, 0)[:, :, None], width, axis=2)  # (kH, kW, W', C)
    kernels = kernels.reshape(*geometry.kernel, *runs)
    rows = output.transpose(0, 2, 3, 1).reshape(-1, height, *runs)
    shift = None if bias is None else np.tile(bias, width).reshape(runs)

    def convolve(lane: slice) -> None:
        scratch = Scratch(output.dtype)
        for some, strip, windows in _windows(images, lane, geometry, scratch, apart):
            y = rows[some, strip]
            np.einsum("nhijwr,ijwr->nhwr", windows, kernels, out=y)
            if shift is not None:
                y += shift

    blocks.run(convolve, blocks.lanes(geometry))


def _runs(geometry: Geometry) -> tuple[int, int]:
    """How many runs of how many numbers a row of outputs is: (1, W' * C), or (W', C)."""
    width, C = geometry.out_size[1], geometry.in_channels
    return (1, width * C) if geometry.stride[1] == 1 else (width, C)


def _turned(geometry: Geometry) -> Geometry:
    """The convolution of dY, with zeros between its pixels, that gives the gradient of x."""
    (down, right), (height, width) = geometry.stride, geometry.out_size
    spread = (height - 1) * down + 1, (width - 1) * right + 1
    (top, _), (left, _), (covers_down, covers_right) = *geometry.padding, geometry.reach
    before = covers_down - 1 - top, covers_right - 1 - left
    sides = tuple(
        (first, length + covers - 1 - first - size)
        for first, length, covers, size in zip(before, geometry.size, geometry.reach, spread, strict=True)
    )
    return replace(geometry, size=spread, stride=(1, 1), padding=(sides[0], sides[1]))


def _windows(
    images: np.ndarray, lane: slice, geometry: Geometry, scratch: Scratch, apart: tuple[int, int] = (1, 1)
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield images of a lane, output rows, and what these see: (n, h, kH, kW, *runs), a view of `scratch`."""
    (top, _), (left, _), (height, width) = *geometry.padding, geometry.out_size
    (down, right), (spread_down, spread_right) = geometry.stride, geometry.dilation
    C, itemsize = geometry.in_channels, images.itemsize
    for some, strips in blocks.pieces(lane, height, BLOCK_BYTES // (width * C * itemsize)):
        for strip in strips:
            count, rows = some.stop - some.start, strip.stop - strip.start
            seen = (rows - 1) * down + geometry.reach[0]
            piece = scratch.take("piece", count, seen, geometry.padded[1], C)
            _load(images[some], piece, top - strip.start * down, left, apart, scratch)
            image, row, pixel, item = piece.strides
            steps = row * down, row * spread_down, pixel * spread_right, pixel * right
            shape = count, rows, *geometry.kernel, *_runs(geometry)
            yield some, strip, np.ndarray(shape, piece.dtype, piece, 0, (image, *steps, item))


def _load(
    images: np.ndarray, piece: np.ndarray, top: int, left: int, apart: tuple[int, int], scratch: Scratch
) -> None:
    """Copy images (n, C, h, w) into piece (n, H, W, C) in zeros, `apart` - 1 of them between the pixels too.

    The first pixel falls on row `top` and column `left`; what falls outside is left out.
    """
    if apart == (1, 1):
        blocks.load(images[:, :, : max(0, piece.shape[1] - top)], piece, top, left, scratch)
        return
    piece[...] = 0
    places = []
    for first, step, length, room in zip((top, left), apart, images.shape[2:], piece.shape[1:3], strict=True):
        begin, end = max(0, -(first // step)), min(length, -((first - room) // step))
        places.append((slice(begin, max(begin, end)), slice(first + begin * step, None, step)))
    (rows, down), (columns, across) = places
    pixels = images[:, :, rows, columns].transpose(0, 2, 3, 1)
    piece[:, down, across][:, : pixels.shape[1], : pixels.shape[2]] = pixels
