"""The kinds of layer: their arguments, and what each does to the shape of one image.

A class holds everything that can be said about a kind without computing: its arguments (torch's names and
defaults), the shape it puts out, the shapes of its parameters, its multiply-adds. Channels and features
that come in are never written down; they follow from the data. Shapes are those of one image, (C, H, W) or
(features,).
"""

# ruff: noqa: D102 -- the methods of the kinds are documented once, in `Layer`

from __future__ import annotations

import dataclasses
import reprlib
from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import Annotated, Any, ClassVar, Literal, Self, get_type_hints

from striate.architectures.arguments import (
    NUM_CLASSES,
    Check,
    Count,
    Flag,
    Init,
    Padding,
    Pair,
    Probability,
    Real,
    Sides,
    Units,
    both,
    choice,
)
from striate.errors import SpecError

Shape = tuple[int, ...]
"""The shape of one image's values: (C, H, W) or (features,)."""


@dataclass(frozen=True)
class Layer:
    """A layer of a network description.

    Attributes:
        name: unique among its neighbours; None until a `Spec` names it (`conv1`, `conv2`, ...).
    """

    kind: ClassVar[str]
    stem: ClassVar[str]  # of its automatic name
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for argument, check in checks(type(self)).items():
            value = getattr(self, argument)
            try:
                object.__setattr__(self, argument, check(value))
            except ValueError as error:
                came = reprlib.repr(value)
                raise SpecError(f"{self.kind}: {argument} is {came}; expected {error}.") from None

    def resolve(self, num_classes: int) -> Self:
        """Return the layer with the word `num_classes` replaced by the number."""
        words = [name for name in checks(type(self)) if getattr(self, name) == NUM_CLASSES]
        numbers: dict[str, Any] = dict.fromkeys(words, num_classes)
        return dataclasses.replace(self, **numbers)

    def output_shape(self, shape: Shape) -> Shape:
        """Return what comes out when `shape` comes in; a `SpecError` says why it cannot work."""
        return shape

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Return the shapes of the learned tensors by name, in torch's layout."""
        return {}

    def buffer_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Return the shapes of the tensors that are kept but not learned."""
        return {}

    def multiply_adds(self, shape: Shape) -> int:
        """Return the multiply-adds for one image: weights and biases, once for each position."""
        return 0


def checks(kind: type[Layer]) -> dict[str, Check]:
    """Return the check of every argument of a layer class."""
    hashable: Any = kind
    return _read_checks(hashable)


@cache
def _read_checks(kind: Any) -> dict[str, Check]:
    hints = get_type_hints(kind, include_extras=True)
    names = [entry.name for entry in dataclasses.fields(kind) if entry.name != "name"]
    return {name: hints[name].__metadata__[0] for name in names}


@dataclass(frozen=True)
class Conv2d(Layer):
    """Cross-correlation with learned kernels; weight (out_channels, C / groups, kH, kW)."""

    kind: ClassVar[str] = "conv2d"
    stem: ClassVar[str] = "conv"
    out_channels: Units
    kernel_size: Pair
    stride: Pair = 1
    padding: Padding = 0
    dilation: Pair = 1
    groups: Count = 1
    bias: Flag = True
    init: Init = "torch"

    def output_shape(self, shape: Shape) -> Shape:
        channels, height, width = image_shape(shape)
        if channels % self.groups or int(self.out_channels) % self.groups:
            raise SpecError(
                f"groups {self.groups} does not divide its {channels} input channels "
                f"and {self.out_channels} output channels"
            )
        if self.padding == "same" and both(self.stride) != (1, 1):
            raise SpecError("padding 'same' needs stride 1; give the padding as a number")
        sizes = window_counts((height, width), self.kernel_size, self.stride, self.sides(), self.dilation)
        return (int(self.out_channels), *sizes)

    def sides(self) -> Sides:
        """Return the padding as ((top, bottom), (left, right)); `same` puts an odd row or column last."""
        if self.padding == "valid":
            return ((0, 0), (0, 0))
        if self.padding == "same":
            pairs = zip(both(self.kernel_size), both(self.dilation), strict=True)
            rows, columns = (dilation * (kernel - 1) for kernel, dilation in pairs)
            return ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2))
        if isinstance(self.padding, tuple) and isinstance(self.padding[0], tuple):
            return self.padding
        rows, columns = both(self.padding)
        return ((rows, rows), (columns, columns))

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        out_channels = int(self.out_channels)
        shapes: dict[str, Shape] = {
            "weight": (out_channels, shape[0] // self.groups, *both(self.kernel_size)),
            "bias": (out_channels,),
        }
        return shapes if self.bias else {"weight": shapes["weight"]}

    def multiply_adds(self, shape: Shape) -> int:
        _, height, width = self.output_shape(shape)
        return height * width * sum(prod(tensor) for tensor in self.parameter_shapes(shape).values())


@dataclass(frozen=True)
class Linear(Layer):
    """x W^T + b; weight (out_features, in_features)."""

    kind: ClassVar[str] = "linear"
    stem: ClassVar[str] = "linear"
    out_features: Units
    bias: Flag = True
    init: Init = "torch"

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise SpecError(f"expected (features,), got maps {shape}; put a flatten before it")
        return (int(self.out_features),)

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        out_features = int(self.out_features)
        weight = {"weight": (out_features, shape[0])}
        return {**weight, "bias": (out_features,)} if self.bias else {**weight}

    def multiply_adds(self, shape: Shape) -> int:
        return sum(prod(tensor) for tensor in self.parameter_shapes(shape).values())


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Normalises each channel (or feature) over the batch, then scales and shifts it."""

    kind: ClassVar[str] = "batch_norm"
    stem: ClassVar[str] = "batch_norm"
    eps: Real = 1e-5
    momentum: Probability = 0.1
    affine: Flag = True

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        return {"weight": shape[:1], "bias": shape[:1]} if self.affine else {}

    def buffer_shapes(self, shape: Shape) -> dict[str, Shape]:
        return {"running_mean": shape[:1], "running_var": shape[:1], "num_batches_tracked": ()}


@dataclass(frozen=True)
class Dropout(Layer):
    """Sets each value to zero with probability p while training, and scales the others by 1 / (1 - p)."""

    kind: ClassVar[str] = "dropout"
    stem: ClassVar[str] = "dropout"
    p: Probability = 0.5


@dataclass(frozen=True)
class Flatten(Layer):
    """(C, H, W) to (C * H * W,)."""

    kind: ClassVar[str] = "flatten"
    stem: ClassVar[str] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        return (prod(shape),)


@dataclass(frozen=True)
class ReLU(Layer):
    """max(x, 0)."""

    kind: ClassVar[str] = "relu"
    stem: ClassVar[str] = "relu"


@dataclass(frozen=True)
class ReLU6(Layer):
    """min(max(x, 0), 6)."""

    kind: ClassVar[str] = "relu6"
    stem: ClassVar[str] = "relu"


@dataclass(frozen=True)
class LeakyReLU(Layer):
    """x where positive, else negative_slope * x."""

    kind: ClassVar[str] = "leaky_relu"
    stem: ClassVar[str] = "relu"
    negative_slope: Real = 0.01


@dataclass(frozen=True)
class GELU(Layer):
    """x times the normal distribution function of x, exactly or by tanh."""

    kind: ClassVar[str] = "gelu"
    stem: ClassVar[str] = "gelu"
    approximate: Annotated[Literal["none", "tanh"], choice("none", "tanh")] = "none"


@dataclass(frozen=True)
class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""

    kind: ClassVar[str] = "sigmoid"
    stem: ClassVar[str] = "sigmoid"


@dataclass(frozen=True)
class Tanh(Layer):
    """Hyperbolic tangent."""

    kind: ClassVar[str] = "tanh"
    stem: ClassVar[str] = "tanh"


@dataclass(frozen=True)
class Softmax(Layer):
    """exp(x) / sum exp(x) over channels or features."""

    kind: ClassVar[str] = "softmax"
    stem: ClassVar[str] = "softmax"


@dataclass(frozen=True)
class LogSoftmax(Layer):
    """x - log sum exp(x) over channels or features."""

    kind: ClassVar[str] = "log_softmax"
    stem: ClassVar[str] = "log_softmax"


def image_shape(shape: Shape) -> tuple[int, int, int]:
    """Return (C, H, W), or refuse a shape that has been flattened."""
    if len(shape) != 3:
        raise SpecError(f"expected maps (channels, height, width), got {shape}; put it before the flatten")
    return (shape[0], shape[1], shape[2])


def window_counts(
    size: tuple[int, int],
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int],
    sides: Sides,
    dilation: int | tuple[int, int],
    ceil_mode: bool = False,
) -> tuple[int, int]:
    """Return how many windows fit, down and across.

    Args:
        size: (height, width) of the input.
        kernel_size: of the window.
        stride: between neighbouring windows.
        sides: padding as ((top, bottom), (left, right)).
        dilation: distance between neighbouring elements of the window.
        ceil_mode: a last window may hang over the end, unless it would begin in the padding there.
    """
    reach = [d * (k - 1) + 1 for k, d in zip(both(kernel_size), both(dilation), strict=True)]
    padded = [length + sum(side) for length, side in zip(size, sides, strict=True)]
    if reach[0] > padded[0] or reach[1] > padded[1]:
        raise SpecError(
            f"its window of {reach[0]} x {reach[1]} is larger than its input of {size[0]} x {size[1]}"
            f" ({padded[0]} x {padded[1]} with padding)"
        )
    counts = []
    for axis, step in enumerate(both(stride)):
        count = (padded[axis] - reach[axis]) // step + 1
        rest = (padded[axis] - reach[axis]) % step
        begins_inside = count * step < size[axis] + sides[axis][0]
        counts.append(count + 1 if ceil_mode and rest and begins_inside else count)
    return (counts[0], counts[1])
