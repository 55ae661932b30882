"""Pooling layers, and flattening."""

from __future__ import annotations

from typing import Any

from striate.engine import functional as F
from striate.engine.backend import Array, Pair, namespace
from striate.engine.functional.adaptive_pooling import OutputSize, check_output_size
from striate.engine.functional.windows import check_window
from striate.engine.layers.base import Layer


class MaxPool2d(Layer):
    """The largest value of each window, see `functional.max_pool2d`."""

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        dilation: Pair = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.arguments: tuple[Any, ...] = (*check_window(kernel_size, stride, padding, dilation), ceil_mode)

    @property
    def may_miss(self) -> bool:
        """Whether a window can lie beside a small map with all its elements: dilated, and with padding."""
        _, _, padding, dilation, _ = self.arguments
        return bool(padding != (0, 0) and dilation != (1, 1))

    def forward(self, x: Array) -> Array:
        """Return (N, C, H', W') for x (N, C, H, W)."""
        y, places = F.max_pool2d(x, *self.arguments, return_saved=True)
        self._keep(x, places)
        return y

    def backward(self, grad_output: Array) -> Array:
        """Return (N, C, H, W) for grad_output (N, C, H', W')."""
        x, places = self._take()
        return F.max_pool2d_backward(grad_output, x, *self.arguments, saved=places)


class AvgPool2d(Layer):
    """The mean of each window, see `functional.avg_pool2d`."""

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        kernel, steps, sides, _ = check_window(kernel_size, stride, padding)
        self.arguments: tuple[Any, ...] = (kernel, steps, sides, ceil_mode, count_include_pad)

    def forward(self, x: Array) -> Array:
        """Return (N, C, H', W') for x (N, C, H, W)."""
        self._keep(x)
        return F.avg_pool2d(x, *self.arguments)

    def backward(self, grad_output: Array) -> Array:
        """Return (N, C, H, W) for grad_output (N, C, H', W')."""
        (x,) = self._take()
        return F.avg_pool2d_backward(grad_output, x, *self.arguments)


class AdaptiveAvgPool2d(Layer):
    """The mean of each of `output_size` regions; 1 is global average pooling."""

    def __init__(self, output_size: OutputSize = 1) -> None:
        super().__init__()
        check_output_size(output_size)
        self.output_size = output_size

    def forward(self, x: Array) -> Array:
        """Return (N, C, H', W') for x (N, C, H, W)."""
        self._keep(x)
        return F.adaptive_avg_pool2d(x, self.output_size)

    def backward(self, grad_output: Array) -> Array:
        """Return (N, C, H, W) for grad_output (N, C, H', W')."""
        (x,) = self._take()
        return F.adaptive_avg_pool2d_backward(grad_output, x, self.output_size)


class AdaptiveMaxPool2d(Layer):
    """The largest value of each of `output_size` regions."""

    def __init__(self, output_size: OutputSize = 1) -> None:
        super().__init__()
        check_output_size(output_size)
        self.output_size = output_size

    def forward(self, x: Array) -> Array:
        """Return (N, C, H', W') for x (N, C, H, W)."""
        y, indices = F.adaptive_max_pool2d(x, self.output_size, return_saved=True)
        self._keep(x, indices)
        return y

    def backward(self, grad_output: Array) -> Array:
        """Return (N, C, H, W) for grad_output (N, C, H', W')."""
        x, indices = self._take()
        return F.adaptive_max_pool2d_backward(grad_output, x, self.output_size, saved=indices)


class Flatten(Layer):
    """(N, C, H, W) to (N, C H W)."""

    def forward(self, x: Array) -> Array:
        """Return (N, everything else)."""
        y = F.flatten(x)
        self._keep(x.shape)
        return y

    def backward(self, grad_output: Array) -> Array:
        """Return grad_output in the shape of x."""
        (shape,) = self._take()
        return namespace(grad_output).reshape(grad_output, shape)
