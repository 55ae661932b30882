"""Depth-wise convolution: every channel by itself, a multiplication and an addition for each tap.

With as many groups as channels there is no sum over channels, hence no matrix product:

    y[n, c]     = sum over i, j of    w[c, i, j] * x_padded[n, c] shifted by (i, j)
    dw[c, i, j] = sum over n, pixels of  dy[n, c] * x_padded[n, c] shifted by (i, j)

and `w[c, i, j] * dy[n, c]` is added to the gradient of x_padded where the shift took it from.

A padded image, read row after row as one *line*, makes a shift by (i, j) a step of i * width + j along it:
a tap is one long loop over a few lines that stay in a core's cache. The places where a row wraps around
into the next are computed too; they are left out of y, and zero in dy. At stride s the image is dealt out
to s * s smaller ones, of every s-th row and column, and a tap shifts one of them.

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

BLOCK_BYTES = 1 << 17
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
    height, width = geometry.out_size

    def convolve(lane: slice) -> None:
        scratch = Scratch(x.dtype)
        for images, channels in _pieces(lane, geometry, x.itemsize):
            lines = _deal(x[images, channels], geometry, scratch)
            y = scratch.take("y", *lines.shape[2:4], height * _dealt(geometry)[1])
            product = scratch.take("product", *y.shape)
            y[...] = 0 if bias is None else bias[channels, None]
            for i, j, phase, place in _taps(geometry, y.shape[2]):
                np.multiply(lines[phase][..., place], weight[channels, :, i, j], out=product)
                np.add(y, product, out=y)
            output[images, channels] = y.reshape(*y.shape[:2], height, -1)[..., :width]

    blocks.run(convolve, blocks.lanes(geometry.batch))
    return output


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    lanes = blocks.lanes(geometry.batch)
    grad_x = np.empty(geometry.in_shape, x.dtype) if "x" in needs else None
    sums = np.zeros((len(lanes), *weight.shape), x.dtype)

    def propagate(lane: slice) -> None:
        scratch, total = Scratch(x.dtype), sums[lanes.index(lane)]
        for images, channels in _pieces(lane, geometry, x.itemsize):
            dy = _line(grad_output[images, channels], geometry, scratch)
            if "weight" in needs:
                lines = _deal(x[images, channels], geometry, scratch)
                for i, j, phase, place in _taps(geometry, dy.shape[2]):
                    total[channels, 0, i, j] += np.vecdot(dy, lines[phase][..., place]).sum(axis=0)
            if grad_x is not None:
                grad_lines = scratch.take("lines", *_lines_shape(dy.shape, geometry))
                grad_lines[...] = 0
                product = scratch.take("product", *dy.shape)
                for i, j, phase, place in _taps(geometry, dy.shape[2]):
                    np.multiply(dy, weight[channels, :, i, j], out=product)
                    grad_lines[phase][..., place] += product
                _collect(grad_lines, grad_x[images, channels], geometry)

    blocks.run(propagate, lanes)
    grad_weight = sums.sum(axis=0) if "weight" in needs else None
    return grad_x, grad_weight, blocks.sum_pixels(grad_output) if "bias" in needs else None


def _dealt(geometry: Geometry) -> tuple[int, int]:
    """Height and width of each of the smaller images that a padded image is dealt out to."""
    (height, width), (down, right) = geometry.padded, geometry.stride
    return -(-height // down), -(-width // right)


def _lines_shape(shape: tuple[int, ...], geometry: Geometry) -> tuple[int, ...]:
    """Shape (s, s, n, c, pixels) of the lines of n images with c channels, plus one spare row."""
    height, width = _dealt(geometry)
    return *geometry.stride, *shape[:2], (height + 1) * width


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
    """Deal images (n, c, H, W) in their zeros out to lines (s, s, n, c, pixels)."""
    lines = scratch.take("lines", *_lines_shape(images.shape, geometry))
    lines[...] = 0
    dealt = lines.reshape(*lines.shape[:4], -1, _dealt(geometry)[1])
    for phase, (rows, columns), (down, right) in _phases(geometry):
        dealt[phase][:, :, down, right] = images[:, :, rows, columns]
    return lines


def _collect(lines: np.ndarray, images: np.ndarray, geometry: Geometry) -> None:
    """Take images (n, c, H, W) back out of lines: the reverse of `_deal`."""
    dealt = lines.reshape(*lines.shape[:4], -1, _dealt(geometry)[1])
    for phase, (rows, columns), (down, right) in _phases(geometry):
        images[:, :, rows, columns] = dealt[phase][:, :, down, right]


def _line(grad_output: np.ndarray, geometry: Geometry, scratch: Scratch) -> np.ndarray:
    """The output's gradient (n, c, H', W') as lines (n, c, pixels), zero where rows wrap around."""
    n, channels, height, width = grad_output.shape
    wide = scratch.take("y", n, channels, height, _dealt(geometry)[1])
    wide[..., :width] = grad_output
    wide[..., width:] = 0
    return wide.reshape(n, channels, -1)


def _pieces(lane: slice, geometry: Geometry, itemsize: int) -> list[Piece]:
    """Cut a lane into pieces of several images with all channels, or one image with some."""
    height, width = _dealt(geometry)
    cut = blocks.pieces(lane, geometry.in_channels, BLOCK_BYTES // (height * width * itemsize))
    return [(images, channels) for images, strips in cut for channels in strips]
