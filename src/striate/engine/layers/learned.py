"""Layers that multiply by learned weights."""

from __future__ import annotations

import math

import numpy as np

from striate.engine import functional as F
from striate.engine.algorithms import Padding, check_algorithm, sides
from striate.engine.backend import Array, Pair, check_generator, check_pair, check_whole
from striate.engine.layers.base import Layer, gather, present
from striate.engine.parameter import Parameter


class Conv2d(Layer):
    """Convolution with learned kernels, see `functional.conv2d`.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: height and width of the kernels.
        stride: of the kernels over the image.
        padding: zeros around the image: a number, (height, width), four sides, `"same"` or `"valid"`.
        dilation: distance between neighbouring taps.
        groups: of channels that do not see each other.
        bias: whether a number is added to each output channel.
        generator: draws the weights, uniform within +-1 / sqrt(fan_in) as in torch.
        algorithm: of `striate.engine.algorithms`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Padding = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        generator: np.random.Generator,
        algorithm: str = "auto",
    ) -> None:
        super().__init__()
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            check_whole(name, value)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups: expected a divisor of in_channels = {in_channels} and out_channels = "
                f"{out_channels}, got {groups}"
            )
        kernel = check_pair("kernel_size", kernel_size)
        sides(padding, kernel, check_pair("stride", stride), check_pair("dilation", dilation))
        check_algorithm(algorithm)
        shape = (out_channels, in_channels // groups, *kernel)
        self.weight, self.bias = _draw(shape, bias, generator)
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        self.algorithm = algorithm

    def own_parameters(self) -> dict[str, Parameter]:
        """Return weight (O, C / groups, kH, kW) and bias (O,)."""
        return present(weight=self.weight, bias=self.bias)

    def forward(self, x: Array) -> Array:
        """Return (N, O, H', W') for x (N, C, H, W)."""
        self._keep(x)
        bias = None if self.bias is None else self.bias.value
        return F.conv2d(x, self.weight.value, bias, *self._numbers(), algorithm=self.algorithm)

    def backward(self, grad_output: Array) -> Array | None:
        """Return (N, C, H, W) for grad_output (N, O, H', W')."""
        (x,) = self._take()
        needs = _needs(self.needs_input_grad, self.bias)
        grads = F.conv2d_backward(
            grad_output, x, self.weight.value, *self._numbers(), needs, algorithm=self.algorithm
        )
        return gather(grads, self.weight, self.bias)

    def _numbers(self) -> tuple[Pair, Padding, Pair, int]:
        return self.stride, self.padding, self.dilation, self.groups


class Linear(Layer):
    """x W^T + b, see `functional.linear`.

    Args:
        in_features: of x.
        out_features: of the output.
        bias: whether b is added.
        generator: draws the weights, uniform within +-1 / sqrt(in_features) as in torch.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, generator: np.random.Generator
    ) -> None:
        super().__init__()
        shape = (check_whole("out_features", out_features), check_whole("in_features", in_features))
        self.weight, self.bias = _draw(shape, bias, generator)

    def own_parameters(self) -> dict[str, Parameter]:
        """Return weight (out_features, in_features) and bias (out_features,)."""
        return present(weight=self.weight, bias=self.bias)

    def forward(self, x: Array) -> Array:
        """Return (..., out_features) for x (..., in_features)."""
        self._keep(x)
        return F.linear(x, self.weight.value, None if self.bias is None else self.bias.value)

    def backward(self, grad_output: Array) -> Array | None:
        """Return (..., in_features) for grad_output (..., out_features)."""
        (x,) = self._take()
        needs = _needs(self.needs_input_grad, self.bias)
        return gather(F.linear_backward(grad_output, x, self.weight.value, needs), self.weight, self.bias)


def _draw(
    shape: tuple[int, ...], bias: bool, generator: np.random.Generator
) -> tuple[Parameter, Parameter | None]:
    """Draw weight and bias uniformly within +-1 / sqrt(fan_in), fan_in being the inputs of one output."""
    check_generator("generator", generator)
    bound = 1 / math.sqrt(max(1, math.prod(shape[1:])))
    weight = Parameter(generator.uniform(-bound, bound, shape).astype(np.float32))
    drawn = generator.uniform(-bound, bound, shape[:1]).astype(np.float32) if bias else None
    return weight, None if drawn is None else Parameter(drawn)


def _needs(needs_input_grad: bool, bias: Parameter | None) -> tuple[str, ...]:
    return (*(("x",) if needs_input_grad else ()), "weight", *(("bias",) if bias is not None else ()))
