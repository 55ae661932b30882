"""The pooling kinds of layer."""

# ruff: noqa: D102 -- the methods of the kinds are documented once, in `Layer`

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from striate.architectures.arguments import Flag, Pair, PoolPadding, both, pair
from striate.architectures.layers import Layer, Shape, image_shape, window_counts
from striate.errors import SpecError


def check_stride(value: Any) -> int | tuple[int, int] | None:
    """Take a stride, or None for the size of the window."""
    checked: int | tuple[int, int] | None = None if value is None else pair(1)(value)
    return checked


Stride = Annotated[int | tuple[int, int] | None, check_stride]


@dataclass(frozen=True)
class MaxPool2d(Layer):
    """The largest value of each window; the stride is the window's size unless given."""

    kind: ClassVar[str] = "max_pool2d"
    stem: ClassVar[str] = "pool"
    kernel_size: Pair
    stride: Stride = None
    padding: PoolPadding = 0
    dilation: Pair = 1
    ceil_mode: Flag = False

    def output_shape(self, shape: Shape) -> Shape:
        return pooled_shape(self, shape, self.dilation)


@dataclass(frozen=True)
class AvgPool2d(Layer):
    """The mean of each window; padding counts as zeros unless `count_include_pad` is false."""

    kind: ClassVar[str] = "avg_pool2d"
    stem: ClassVar[str] = "pool"
    kernel_size: Pair
    stride: Stride = None
    padding: PoolPadding = 0
    ceil_mode: Flag = False
    count_include_pad: Flag = True

    def output_shape(self, shape: Shape) -> Shape:
        return pooled_shape(self, shape, dilation=1)


@dataclass(frozen=True)
class AdaptiveAvgPool2d(Layer):
    """The mean of each of `output_size` regions; 1 is global average pooling."""

    kind: ClassVar[str] = "adaptive_avg_pool2d"
    stem: ClassVar[str] = "pool"
    output_size: Pair = 1

    def output_shape(self, shape: Shape) -> Shape:
        return (image_shape(shape)[0], *both(self.output_size))


@dataclass(frozen=True)
class AdaptiveMaxPool2d(Layer):
    """The largest value of each of `output_size` regions."""

    kind: ClassVar[str] = "adaptive_max_pool2d"
    stem: ClassVar[str] = "pool"
    output_size: Pair = 1

    def output_shape(self, shape: Shape) -> Shape:
        return (image_shape(shape)[0], *both(self.output_size))


def pooled_shape(layer: MaxPool2d | AvgPool2d, shape: Shape, dilation: int | tuple[int, int]) -> Shape:
    """Return the (C, H, W) that a pooling `layer` puts out, by torch's rules."""
    channels, height, width = image_shape(shape)
    kernel, padding = both(layer.kernel_size), both(layer.padding)
    stride = both(layer.kernel_size if layer.stride is None else layer.stride)
    if any(2 * side > length for side, length in zip(padding, kernel, strict=True)):
        raise SpecError(f"padding {layer.padding} is more than half of its window {layer.kernel_size}")
    sides = ((padding[0], padding[0]), (padding[1], padding[1]))
    rows, columns = window_counts((height, width), kernel, stride, sides, dilation, layer.ceil_mode)
    return (channels, rows, columns)
