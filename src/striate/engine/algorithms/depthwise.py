"""Depth-wise convolution: every channel by itself, a multiplication and an addition for each tap.

With as many groups as channels there is no sum over channels, hence no matrix product:

    y[n, c]     = sum over i, j of    w[c, i, j] * x_padded[n, c] shifted by (i, j)
    dw[c, i, j] = sum over n, pixels of  dy[n, c] * x_padded[n, c] shifted by (i, j)

and `w[c, i, j] * dy[n, c]` is added to the gradient of x_padded where the shift took it from.

Padded images, read row after row and one after the other, are one *line* for each channel: a shift by (i,
j) is a step of i * width + j along it, and a tap one long loop over a few lines that stay in a core's
cache. The places where rows and images wrap around are computed too; they are left out of y, and zero in
dy. At stride s each image is dealt out to s * s smaller ones, of every s-th row and column, and a tap
shifts one of them.

Meant for: groups = in_channels = out_channels. Source of the layer: Howard et al., MobileNets (2017).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from striate.engine.algorithms import blocks
from striate.engine.algorithms.blocks import Scratch
from striate.engine.algorithms.geometry import Geometry

TOLERANCE = {"float32": 2e-5, "float64": 1e-13}
"""Largest difference from `loops`, relative to the largest value: long sums in another order."""

LINE_BYTES = 1 << 16
"""Size of a line, about: long enough for a loop to be worth its start."""

BLOCK_BYTES = 1 << 19
"""Size of the lines worked on at a time, in one of the few arrays that lie in a core's cache."""

Piece = tuple[slice, slice]
"""Some images, and some channels of them."""


def refusal(geometry: Geometry) -> str | None:
    """Return why this algorithm does not serve `geometry`, or None."""
    if not geometry.groups == geometry.in_channels == geometry.out_channels:
        return "there must be as many groups as input channels and as output channels"
    return None


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Convolve x (N, C, H, W) with weight (C, 1, kH, kW), add bias (C,): return (N, C, H', W')."""
    output = np.empty(geometry.out_shape, x.dtype)

    def convolve(lane: slice) -> None:
        scratch = Scratch(x.dtype)
        for images, channels in _pieces(lane, geometry, x.itemsize):
            part = output[images, channels]
            lines = _deal(x[images, channels], geometry, scratch)
            y = scratch.take("y", *_line_shape(part, geometry))
            product = scratch.take("product", *y.shape)
            y[...] = 0 if bias is None else bias[channels, None]
            for i, j, phase, place in _taps(geometry, y.shape[1]):
                np.multiply(lines[phase][:, place], weight[channels, :, i, j], out=product)
                np.add(y, product, out=y)
            part[...] = _images(y, geometry, *part.shape[2:])

    blocks.run(convolve, blocks.lanes(geometry))
    return output


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    lanes = blocks.lanes(geometry)
    grad_x = np.empty(geometry.in_shape, x.dtype) if "x" in needs else None
    sums = np.zeros((len(lanes), *weight.shape), x.dtype)

    def propagate(lane: slice) -> None:
        scratch, total = Scratch(x.dtype), sums[lanes.index(lane)]
        for images, channels in _pieces(lane, geometry, x.itemsize):
            dy = _line(grad_output[images, channels], geometry, scratch)
            if "weight" in needs:
                lines = _deal(x[images, channels], geometry, scratch)
                for i, j, phase, place in _taps(geometry, dy.shape[1]):
                    total[channels, 0, i, j] += np.vecdot(dy, lines[phase][:, place])
            if grad_x is not None:
                part = grad_x[images, channels]
                grad_lines = scratch.take("lines", *_lines_shape(part, geometry))
                grad_lines[...] = 0
                product = scratch.take("product", *dy.shape)
                for i, j, phase, place in _taps(geometry, dy.shape[1]):
                    np.multiply(dy, weight[channels, :, i, j], out=product)
                    grad_lines[phase][:, place] += product
                _collect(grad_lines, part, geometry)

    blocks.run(propagate, lanes)
    grad_weight = sums.sum(axis=0) if "weight" in needs else None
    return grad_x, grad_weight, blocks.sum_pixels(grad_output) if "bias" in needs else None


def _dealt(geometry: Geometry) -> tuple[int, int]:
    """Height and width of each of the smaller images that a padded image is dealt out to."""
    (height, width), (down, right) = geometry.padded, geometry.stride
    return -(-height // down), -(-width // right)


def _line_shape(images: np.ndarray, geometry: Geometry) -> tuple[int, int]:
    """Shape (c, pixels) of the lines of images (n, c, ., .), one smaller image each."""
    height, width = _dealt(geometry)
    return images.shape[1], images.shape[0] * height * width


def _lines_shape(images: np.ndarray, geometry: Geometry) -> tuple[int, int, int, int]:
    """Shape (s, s, c, pixels) of the lines of all smaller images, as much longer as a tap can shift."""
    channels, length = _line_shape(images, geometry)
    furthest = max(place.start for _, _, _, place in _taps(geometry, length))
    return *geometry.stride, channels, length + furthest


def _images(lines: np.ndarray, geometry: Geometry, height: int, width: int) -> np.ndarray:
    """The first rows and columns of the smaller images on lines (c, pixels): (n, c, height, width)."""
    area = _dealt(geometry)[0] * _dealt(geometry)[1]
    whole = lines[:, : lines.shape[1] // area * area]
    return whole.reshape(len(lines), -1, *_dealt(geometry)).swapaxes(0, 1)[:, :, :height, :width]


def _taps(geometry: Geometry, length: int) -> Iterator[tuple[int, int, tuple[int, int], slice]]:
    """Yield each tap (i, j), the smaller image that it meets, and where on its line."""
    width = _dealt(geometry)[1]
    for i in range(geometry.kernel[0]):
        for j in range(geometry.kernel[1]):
            row, from_row = divmod(i * geometry.dilation[0], geometry.stride[0])
            column, from_column = divmod(j * geometry.dilation[1], geometry.stride[1])
            start = row * width + column
            yield i, j, (from_row, from_column), slice(start, start + length)


def _phases(geometry: Geometry) -> Iterator[tuple[tuple[int, int], tuple[slice, slice], tuple[slice, slice]]]:
    """Yield each smaller image, rows and columns of the image that it holds, and where it holds them."""
    for row in range(geometry.stride[0]):
        for column in range(geometry.stride[1]):
            pairs = []
            for axis, phase in ((0, row), (1, column)):
                step, before = geometry.stride[axis], geometry.padding[axis][0]
                first = (phase - before) % step  # of the image's rows that fall to this phase
                count = len(range(first, geometry.size[axis], step))
                place = (first + before) // step
                pairs.append((slice(first, None, step), slice(place, place + count)))
            yield (row, column), (pairs[0][0], pairs[1][0]), (pairs[0][1], pairs[1][1])


def _deal(images: np.ndarray, geometry: Geometry, scratch: Scratch) -> np.ndarray:
    """Deal images (n, c, H, W) in their zeros out to lines (s, s, c, pixels)."""
    lines = scratch.take("lines", *_lines_shape(images, geometry))
    lines[...] = 0
    for phase, (rows, columns), (down, right) in _phases(geometry):
        dealt = _images(lines[phase], geometry, *_dealt(geometry))[: len(images)]
        dealt[:, :, down, right] = images[:, :, rows, columns]
    return lines


def _collect(lines: np.ndarray, images: np.ndarray, geometry: Geometry) -> None:
    """Take images (n, c, H, W) back out of lines: the reverse of `_deal`."""
    for phase, (rows, columns), (down, right) in _phases(geometry):
        dealt = _images(lines[phase], geometry, *_dealt(geometry))[: len(images)]
        images[:, :, rows, columns] = dealt[:, :, down, right]


def _line(grad_output: np.ndarray, geometry: Geometry, scratch: Scratch) -> np.ndarray:
    """The output's gradient (n, c, H', W') as lines (c, pixels), zero where rows and images wrap around."""
    dy = scratch.take("y", *_line_shape(grad_output, geometry))
    dy[...] = 0
    _images(dy, geometry, *grad_output.shape[2:])[...] = grad_output
    return dy


def _pieces(lane: slice, geometry: Geometry, itemsize: int) -> list[Piece]:
    """Cut a lane into pieces of so many images that a line is long, and so many channels that they fit."""
    plane = _dealt(geometry)[0] * _dealt(geometry)[1] * itemsize
    images = blocks.strips(lane.stop - lane.start, max(1, LINE_BYTES // plane))
    together = max(part.stop - part.start for part in images)
    channels = blocks.strips(geometry.in_channels, max(1, BLOCK_BYTES // (together * plane)))
    return [(slice(lane.start + n.start, lane.start + n.stop), c) for n in images for c in channels]
