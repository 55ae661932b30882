"""One number of a network, fully: what it is made of, back to the image. Imports torch.

Forward, a value of a convolution or linear layer is a sum of products, patch times kernel, and a bias; what
normalisation and activation make of it follows. Backward, the gradient of a class's score for a value that
goes into such a layer is a sum of products too: the gradients of the outputs that the value went into, times
the weights by which it went.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.errors import UserError
from striate.explain.fields import receptive_fields
from striate.explain.layers import find_layer
from striate.explain.number import OneNumber, Stage
from striate.explain.subject import Subject, held, hooked

ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.GELU,
    nn.Sigmoid,
    nn.Tanh,
    nn.SiLU,
    nn.Hardswish,
    nn.ELU,
)
"""What may follow a number and is computed from it alone."""


@dataclass(frozen=True)
class Place:
    """Where a number stands: a layer's name or number, channel, row, column."""

    layer: str
    channel: int
    row: int = 0
    column: int = 0

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read "LAYER,CHANNEL,Y,X", or "LAYER,FEATURE" of a linear layer.

        Raises:
            UserError: it is something else.
        """
        layer, *numbers = (part.strip() for part in text.split(","))
        try:
            places = numbers if len(numbers) == 3 else [*numbers, "0", "0"]
            channel, row, column = (int(number) for number in places)
        except ValueError:
            raise UserError(f"pixel is {text!r}; expected LAYER,CHANNEL,Y,X, as in conv2,0,5,7.") from None
        return cls(layer, channel, row, column)


def forward_number(subject: Subject, pixels: np.ndarray, place: Place) -> OneNumber:
    """Return what one output of a layer is made of.

    Args:
        subject: the network.
        pixels: uint8 (C, H, W), as `striate.data.read_images` gives them.
        place: of the number, in the layer's output.

    Raises:
        UserError: there is no such layer or place, or the layer is neither convolution nor linear.
    """
    name, module = _layer(subject, place)
    seen: dict[str, Tensor] = {}
    stages: list[Stage] = []
    with held(subject.network), torch.no_grad(), ExitStack() as hooks:
        follow = _Following(place, module, seen, stages)
        for path, each in subject.network.named_modules():
            hooks.enter_context(hooked(each, follow.hook(path)))
        subject.network(subject.tensor(pixels[None]))
    given, output = seen["input"][0].cpu().numpy(), seen["output"][0]
    _check(place, name, tuple(output.shape))
    weight = _weight(module)
    patch = _patch(module, _as_map(given), place, weight.shape)
    kernel = weight[place.channel]
    bias = _number(module.bias, place.channel, 0.0)
    products = patch.astype(np.float64) * kernel
    return OneNumber(
        kind="value",
        layer=name,
        place=(place.channel, place.row, place.column),
        patch=patch,
        kernel=kernel,
        bias=bias,
        stages=tuple(_recomputed(stages, float(products.sum()) + bias, place, subject)),
        network_value=float(_as_map(output.cpu().numpy())[place.channel, place.row, place.column]),
        field=_field(subject, name, place),
        label="",
    )


def gradient_number(subject: Subject, pixels: np.ndarray, place: Place, label: int) -> OneNumber:
    """Return what the gradient of a class's score for one input of a layer is made of.

    Args:
        subject: the network.
        pixels: uint8 (C, H, W).
        place: of the value, in the layer's input.
        label: number of the class.

    Raises:
        UserError: there is no such layer or place, or the layer is neither convolution nor linear.
    """
    name, module = _layer(subject, place)
    seen: dict[str, Tensor] = {}

    def before(module: nn.Module, inputs: Any) -> Any:
        seen["input"] = inputs[0].detach().clone().requires_grad_()  # alone on this way, not by a shortcut
        return (seen["input"], *inputs[1:])

    def after(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        seen["output"] = output
        return output.clone()

    with held(subject.network), torch.enable_grad(), ExitStack() as hooks:
        hooks.callback(module.register_forward_pre_hook(before).remove)
        hooks.enter_context(hooked(module, after))
        score = subject.scores(subject.network(subject.tensor(pixels[None])))[0, label]
        into, out = torch.autograd.grad(score, [seen["input"], seen["output"]])
    _check(place, f"the input of {name}", tuple(into.shape[1:]))
    patch, kernel = _backward_patch(module, _as_map(out[0].cpu().numpy()), place)
    return OneNumber(
        kind="gradient",
        layer=name,
        place=(place.channel, place.row, place.column),
        patch=patch,
        kernel=kernel,
        bias=0.0,
        stages=(),
        network_value=float(_as_map(into[0].cpu().numpy())[place.channel, place.row, place.column]),
        field=None,
        label=subject.class_names[label],
    )


class _Following:
    """Notes a layer's input and output, and the stages that its number goes through afterwards."""

    def __init__(self, place: Place, target: nn.Module, seen: dict[str, Tensor], stages: list[Stage]) -> None:
        self.place = place
        self.target = target
        self.seen = seen
        self.stages = stages
        self.last: Tensor | None = None

    def hook(self, path: str) -> Any:
        """Return the forward hook of the module called `path`."""

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            if module is self.target:
                self.seen["input"], self.seen["output"] = inputs[0].clone(), output.clone()
                self.last = output
                self.stages.clear()
            elif self.last is not None and inputs and inputs[0] is self.last and _follows(module):
                values = _as_map(output[0].cpu().numpy())
                if self._inside(values.shape):
                    value = float(values[self.place.channel, self.place.row, self.place.column])
                    self.stages.append(Stage(path, type(module).__name__, "", value, value))
                    self.last = output

        return note

    def _inside(self, shape: tuple[int, ...]) -> bool:
        place = (self.place.channel, self.place.row, self.place.column)
        return all(0 <= one < length for one, length in zip(place, shape, strict=True))


def _follows(module: nn.Module) -> bool:
    return type(module) in (*ACTIVATIONS, nn.BatchNorm2d, nn.BatchNorm1d)


def _recomputed(stages: list[Stage], value: float, place: Place, subject: Subject) -> Iterator[Stage]:
    """Yield each stage with its formula and our own value, computed in float64 from the sum."""
    for stage in stages:
        module: Any = subject.network.get_submodule(stage.layer)
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            value, formula = _normalised(module, value, place.channel)
        else:
            own = copy.deepcopy(module)
            before, value = value, float(own(torch.tensor([value], dtype=torch.float64))[0])
            formula = f"{stage.kind}({before:.6g})"
        yield Stage(stage.layer, stage.kind, formula, value, stage.network_value)


def _normalised(module: Any, value: float, channel: int) -> tuple[float, str]:
    mean, variance = float(module.running_mean[channel]), float(module.running_var[channel])
    weight, bias = _number(module.weight, channel, 1.0), _number(module.bias, channel, 0.0)
    deviation = f"sqrt({variance:.6g} + {module.eps:g})"
    formula = f"({value:.6g} - {mean:.6g}) / {deviation} * {weight:.6g} + {bias:.6g}"
    return (value - mean) / float(np.sqrt(variance + module.eps)) * weight + bias, formula


def _number(values: Tensor | None, channel: int, otherwise: float) -> float:
    return otherwise if values is None else float(values.detach()[channel])


def _layer(subject: Subject, place: Place) -> tuple[str, Any]:
    name = find_layer(subject.network, place.layer)
    module: Any = subject.network.get_submodule(name)
    if not isinstance(module, nn.Conv2d | nn.Linear) or getattr(module, "padding_mode", "zeros") != "zeros":
        modules = subject.network.named_modules()
        known = [path for path, one in modules if isinstance(one, nn.Conv2d | nn.Linear)]
        raise UserError(
            f"layer {name!r} is {type(module).__name__}; a number is taken apart in a convolution or linear "
            f"layer: {', '.join(known)}. What follows it is shown with it."
        )
    return name, module


def _check(place: Place, name: str, shape: tuple[int, ...]) -> None:
    shape = (*shape, 1, 1)[:3]
    for what, value, length in zip(
        ("channel", "y", "x"), (place.channel, place.row, place.column), shape, strict=True
    ):
        if not 0 <= value < length:
            raise UserError(
                f"{what} {value} is out of range: {name} has {shape[0]} channels of {shape[1]} x {shape[2]}, "
                "counted from 0."
            )


def _as_map(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, 1, 1) if values.ndim == 1 else values


def _weight(module: Any) -> np.ndarray:
    """Return the weights as (out, in / groups, kH, kW), float32."""
    weight: np.ndarray = module.weight.detach().cpu().numpy()
    return weight.reshape(*weight.shape, 1, 1) if weight.ndim == 2 else weight


def _geometry(module: Any) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]:
    """Return stride, dilation, padding at the top and the left, and groups."""
    if isinstance(module, nn.Linear):
        return (1, 1), (1, 1), (0, 0), 1
    if sides := getattr(module, "sides", None):
        padding = (sides[0][0], sides[1][0])
    elif module.padding == "same":
        reach = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        padding = (reach[0] // 2, reach[1] // 2)
    else:
        padding = (0, 0) if module.padding == "valid" else module.padding
    return module.stride, module.dilation, padding, module.groups


def _patch(module: Any, given: np.ndarray, place: Place, shape: tuple[int, ...]) -> np.ndarray:
    """Return what of the layer's input the kernel lies on, (C / groups, kH, kW); 0 in the padding."""
    stride, dilation, padding, groups = _geometry(module)
    outputs, depth, height, width = shape
    first = place.channel // (outputs // groups) * depth
    patch = np.zeros((depth, height, width), np.float32)
    for down in range(height):
        for across in range(width):
            y = place.row * stride[0] - padding[0] + down * dilation[0]
            x = place.column * stride[1] - padding[1] + across * dilation[1]
            if 0 <= y < given.shape[1] and 0 <= x < given.shape[2]:
                patch[:, down, across] = given[first : first + depth, y, x]
    return patch


def _backward_patch(module: Any, out: np.ndarray, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients of the outputs that a value went into, and its weights, (O / groups, kH, kW)."""
    stride, dilation, padding, groups = _geometry(module)
    weight = _weight(module)
    outputs, depth, height, width = weight.shape
    first = place.channel // depth * (outputs // groups)
    last = first + outputs // groups
    kernel = weight[first:last, place.channel % depth]
    patch = np.zeros(kernel.shape, np.float32)
    for down in range(height):
        for across in range(width):
            y, rest_y = divmod(place.row + padding[0] - down * dilation[0], stride[0])
            x, rest_x = divmod(place.column + padding[1] - across * dilation[1], stride[1])
            if not rest_y and not rest_x and 0 <= y < out.shape[1] and 0 <= x < out.shape[2]:
                patch[:, down, across] = out[first:last, y, x]
    return patch, kernel


def _field(subject: Subject, name: str, place: Place) -> tuple[int, int, int, int] | None:
    """Return top, left, bottom, right of what the number sees of the input; None: all of it."""
    fields = receptive_fields(subject.network, subject.preprocess.input_shape)
    return fields[name].box(place.row, place.column)
