"""Where the windows of a pooling lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from striate.engine.backend import Array, Pair, check_ndim, check_pair, full, is_numpy, namespace
from striate.engine.layout import arrange, images_of, is_channels_last, pixels_of


@dataclass(frozen=True)
class Windows:
    """The windows that a pooling lays over maps of H x W; pairs are (height, width).

    Attributes:
        size: (H, W).
        kernel: elements of a window.
        stride: from one window to the next.
        padding: rows above and below, columns left and right.
        dilation: from one element of a window to the next.
        counts: how many windows there are, down and across.
    """

    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    counts: tuple[int, int]

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns, counted from the padding's first, that the windows cover."""
        rows, columns = (
            (count - 1) * step + distance * (length - 1) + 1
            for count, step, distance, length in zip(
                self.counts, self.stride, self.dilation, self.kernel, strict=True
            )
        )
        return (rows, columns)

    @property
    def inside(self) -> bool:
        """Whether every window lies within the map: no padding, nothing hanging over the end."""
        return self.padding == (0, 0) and self.reach[0] <= self.size[0] and self.reach[1] <= self.size[1]

    @property
    def apart(self) -> bool:
        """Whether no element belongs to two windows."""
        return self.dilation == (1, 1) and all(k <= s for k, s in zip(self.kernel, self.stride, strict=True))

    def offsets(self) -> Iterator[tuple[int, tuple[slice, slice, slice, slice]]]:
        """Yield, row by row of the window, an element's number and where padded maps (P, H, W, D) have it."""
        for row in range(self.kernel[0]):
            for column in range(self.kernel[1]):
                place = (slice(None), self.along(0, row), self.along(1, column), slice(None))
                yield row * self.kernel[1] + column, place

    def along(self, axis: int, element: int) -> slice:
        """Return where, along one axis of the padded map, all windows have their `element`."""
        start = element * self.dilation[axis]
        step = self.stride[axis]
        return slice(start, start + (self.counts[axis] - 1) * step + 1, step)

    def pad(self, maps: Array, value: float) -> Array:
        """Return maps (P, H, W, D) with `value` around them as far as windows reach; a copy if needed."""
        if self.inside:
            return maps
        padded = full((maps.shape[0], *self.padded_size, maps.shape[3]), value, maps)
        padded[self.body] = maps
        return padded

    @property
    def padded_size(self) -> tuple[int, int]:
        """(H, W) of `pad`'s result."""
        rows, columns = (
            max(reach, length + before)
            for reach, length, before in zip(self.reach, self.size, self.padding, strict=True)
        )
        return (rows, columns)

    @property
    def body(self) -> tuple[slice, slice, slice, slice]:
        """Where the maps themselves lie in padded ones (P, H, W, D)."""
        top, left = self.padding
        return (slice(None), slice(top, top + self.size[0]), slice(left, left + self.size[1]), slice(None))

    def starts(self, axis: int) -> np.ndarray:
        """Return where windows begin along one axis of the map, int64; negative within the padding."""
        return np.arange(self.counts[axis]) * self.stride[axis] - self.padding[axis]


def lay_windows(
    x: Array,
    kernel_size: Pair,
    stride: Pair | None,
    padding: Pair,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Windows:
    """Return the windows over x, by torch's rules.

    Along each axis there are floor((L + 2 p - d (k - 1) - 1) / s) + 1 of them; with `ceil_mode` the ceiling
    of the quotient instead, less one if the last would then begin in the padding at the end.

    Args:
        x: (N, C, H, W) or (C, H, W).
        kernel_size: k.
        stride: s; None for the kernel's size.
        padding: p on either side, at most half of k.
        dilation: d.
        ceil_mode: let a last window hang over the end.

    Raises:
        ValueError: names argument, expected and got.
    """
    check_ndim("x", x, (3, 4), "(N, C, H, W) or (C, H, W)")
    kernel, steps, sides, distances = check_window(kernel_size, stride, padding, dilation)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(distances, kernel, strict=True))
    size = (int(x.shape[-2]), int(x.shape[-1]))
    if min(size) < 1:
        raise ValueError(f"x: expected maps of at least one pixel, got {size}")
    rows, columns = (
        _count(size[axis], kernel[axis], steps[axis], sides[axis], distances[axis], ceil_mode)
        for axis in (0, 1)
    )
    if rows < 1 or columns < 1:
        raise ValueError(f"x: expected maps of at least {reach} with padding {sides}, got {size}")
    return Windows(size, kernel, steps, sides, distances, (rows, columns))


def check_window(
    kernel_size: Pair, stride: Pair | None, padding: Pair, dilation: Pair = 1
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return the arguments of `lay_windows` as (height, width) each, or refuse what no map can fit."""
    kernel = check_pair("kernel_size", kernel_size)
    steps = kernel if stride is None else check_pair("stride", stride)
    sides, distances = check_pair("padding", padding, minimum=0), check_pair("dilation", dilation)
    if any(2 * side > length for side, length in zip(sides, kernel, strict=True)):
        raise ValueError(f"padding: expected at most half of a window's {kernel}, got {padding}")
    return kernel, steps, sides, distances


def _count(length: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    room = length + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= length + padding else count


def as_maps(*arrays: Array, like: Array | None = None) -> tuple[Array, ...]:
    """Return arrays (N, C, H, W) or (C, H, W) as maps (P, H, W, D) that lie in memory in this order.

    Images that are channels-last in memory are N maps of D = C numbers a pixel; all others are N * C maps of
    one number a pixel. For a window, which moves over H and W only, the two are the same. If one of NumPy's
    arrays is channels-last, or what they shall be `like`, all are brought into this layout.
    """
    given = (*arrays, *([] if like is None else [like]))
    if is_numpy(*given) and arrays[0].ndim == 4 and any(is_channels_last(array) for array in given):
        return tuple(np.ascontiguousarray(pixels_of(array)) for array in arrange(*arrays))
    return tuple(
        namespace(array).reshape(array, (prod(array.shape[:-2]), *array.shape[-2:], 1)) for array in arrays
    )


def as_images(maps: Array, leading: tuple[int, ...]) -> Array:
    """Return maps (P, H, W, D) as (*leading, H, W), as they were before `as_maps`."""
    if maps.shape[0] != prod(leading):
        return images_of(maps)
    return namespace(maps).reshape(maps, (*leading, *maps.shape[1:3]))
