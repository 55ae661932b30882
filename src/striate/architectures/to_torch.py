"""A torch module from a spec: torch's own layers, under the spec's names.

The only file of this room that needs torch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.architectures import blocks, layers, pooling
from striate.architectures.arguments import Sides
from striate.architectures.shapes import Step, infer_shapes
from striate.architectures.spec import Spec
from striate.architectures.weights import check_weights, weight_shapes
from striate.errors import SpecError


class Network(nn.Sequential):
    """A network built from a spec; (N, C, H, W) float in, (N, K) or (N, 1) out, as `output` says.

    Attributes:
        spec: its description.
        output: one of `striate.schemas.OUTPUTS`.
        input_shape: (C, H, W) of the images for which it was built.
        num_classes: how many classes it tells apart.
    """

    def __init__(self, spec: Spec, input_shape: Sequence[int], num_classes: int) -> None:
        steps = infer_shapes(spec, input_shape, num_classes)
        super().__init__(_modules(steps))
        self.spec = spec
        self.output = spec.output
        self.input_shape = tuple(input_shape)
        self.num_classes = num_classes


class Residual(nn.Module):
    """layers(x) + shortcut(x); its layers are its children, in order, and `shortcut` if there is one."""

    def __init__(self, modules: OrderedDict[str, nn.Module], shortcut: nn.Sequential | None) -> None:
        super().__init__()
        self.layer_names = tuple(modules)
        for name, module in modules.items():
            self.add_module(name, module)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape that the layers put out."""
        y = x
        for name in self.layer_names:
            y = getattr(self, name)(y)
        return y + (x if self.shortcut is None else self.shortcut(x))


class Parallel(nn.Sequential):
    """Branches `branch1`, `branch2`, ... on the same input, concatenated over channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, sum of the branches' channels, ...)."""
        return torch.cat([branch(x) for branch in self], dim=1)


class SidePaddedConv2d(nn.Conv2d):
    """Conv2d whose zero padding differs from side to side."""

    def __init__(self, *args: Any, sides: Sides, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sides = sides

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x with its padding around it."""
        (top, bottom), (left, right) = self.sides
        return super().forward(nn.functional.pad(x, (left, right, top, bottom)))


class ReLU6(nn.ReLU6):
    """min(max(x, 0), 6), for which training keeps the output and not the input.

    The layer above keeps the output anyway. torch's own keeps the input, which nothing else needs after batch
    normalisation: more than a quarter of the memory of a step of EfficientNet-Lite0.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of x's shape."""
        if self.training and torch.is_grad_enabled():
            y: Tensor = _ReLU6.apply(x)
            return y
        return super().forward(x)


class _ReLU6(torch.autograd.Function):
    """Below 0 and above 6 the gradient is 0: there the output is 0 or 6, and nowhere else."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = nn.functional.relu6(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(grad, y, 0.0, 6.0)  # type: ignore[no-any-return]


def to_torch(
    spec: Spec, input_shape: Sequence[int], num_classes: int, weights: Mapping[str, np.ndarray]
) -> Network:
    """Return the network that `spec` describes, on the CPU, float32, in training mode.

    Draws nothing from torch's random generators.

    Args:
        spec: the description.
        input_shape: (C, H, W).
        num_classes: at least 2.
        weights: all weights and buffers by name (`weights.initial_weights`, or those of a bundle), copied.

    Raises:
        SpecError: the network cannot work on such images, or the weights are not its own.
    """
    check_weights(weights, weight_shapes(spec, input_shape, num_classes))
    with torch.device("meta"):
        network = Network(spec, input_shape, num_classes)
    network.load_state_dict(_tensors(weights), assign=True)
    return network


def load_weights(network: Network, weights: Mapping[str, np.ndarray]) -> None:
    """Copy `weights` into `network`, wherever it is; refuses those that do not fit."""
    check_weights(weights, weight_shapes(network.spec, network.input_shape, network.num_classes))
    network.load_state_dict(_tensors(weights))


def read_weights(network: nn.Module) -> dict[str, np.ndarray]:
    """Return a copy of all weights and buffers of `network` by name, float32 (counts int64)."""
    copied = {}
    for name, tensor in network.state_dict().items():
        values = tensor.detach().to("cpu", torch.float32 if tensor.is_floating_point() else tensor.dtype)
        copied[name] = np.array(values.numpy(), order="C", copy=True)
    return copied


def _tensors(weights: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {
        name: torch.tensor(
            values, dtype=torch.int64 if name.endswith("num_batches_tracked") else torch.float32
        )
        for name, values in weights.items()
    }


def _modules(steps: Sequence[Step]) -> OrderedDict[str, nn.Module]:
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for step in steps:
        if hasattr(nn.Sequential, step.name) or step.name in TAKEN:
            raise SpecError(
                f"a layer cannot be called {step.name}: torch's modules have something of that name."
            )
        modules[step.name] = BUILDERS[type(step.layer)](step)
    return modules


TAKEN = {"spec", "output", "input_shape", "num_classes", "layer_names", *vars(nn.Module())}


def _conv2d(step: Step) -> nn.Module:
    layer: Any = step.layer
    common: dict[str, Any] = {
        "stride": layer.stride,
        "dilation": layer.dilation,
        "groups": layer.groups,
        "bias": layer.bias,
    }
    sizes = (step.input_shape[0], layer.out_channels, layer.kernel_size)
    (top, bottom), (left, right) = layer.sides()
    if top == bottom and left == right:
        return nn.Conv2d(*sizes, padding=(top, left), **common)
    return SidePaddedConv2d(*sizes, sides=layer.sides(), **common)


def _linear(step: Step) -> nn.Module:
    layer: Any = step.layer
    return nn.Linear(step.input_shape[0], layer.out_features, bias=layer.bias)


def _batch_norm(step: Step) -> nn.Module:
    layer: Any = step.layer
    kind = nn.BatchNorm2d if len(step.input_shape) == 3 else nn.BatchNorm1d
    return kind(step.input_shape[0], eps=layer.eps, momentum=layer.momentum, affine=layer.affine)


def _residual(step: Step) -> nn.Module:
    shortcut = nn.Sequential(_modules(step.parts["shortcut"])) if "shortcut" in step.parts else None
    return Residual(_modules(step.parts[""]), shortcut)


def _parallel(step: Step) -> nn.Module:
    return Parallel(OrderedDict((name, nn.Sequential(_modules(part))) for name, part in step.parts.items()))


def _plain(module: Callable[..., nn.Module], *names: str, **fixed: Any) -> Callable[[Step], nn.Module]:
    """Return a builder that hands the layer's arguments of these `names` to a torch `module`."""
    return lambda step: module(**{name: getattr(step.layer, name) for name in names}, **fixed)


BUILDERS: dict[type[layers.Layer], Callable[[Step], nn.Module]] = {
    layers.Conv2d: _conv2d,
    layers.Linear: _linear,
    layers.BatchNorm: _batch_norm,
    layers.Dropout: _plain(nn.Dropout, "p"),
    layers.Flatten: _plain(nn.Flatten),
    layers.ReLU: _plain(nn.ReLU),
    layers.ReLU6: _plain(ReLU6),
    layers.LeakyReLU: _plain(nn.LeakyReLU, "negative_slope"),
    layers.GELU: _plain(nn.GELU, "approximate"),
    layers.Sigmoid: _plain(nn.Sigmoid),
    layers.Tanh: _plain(nn.Tanh),
    layers.Softmax: _plain(nn.Softmax, dim=1),
    layers.LogSoftmax: _plain(nn.LogSoftmax, dim=1),
    pooling.MaxPool2d: _plain(nn.MaxPool2d, "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    pooling.AvgPool2d: _plain(
        nn.AvgPool2d, "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"
    ),
    pooling.AdaptiveAvgPool2d: _plain(nn.AdaptiveAvgPool2d, "output_size"),
    pooling.AdaptiveMaxPool2d: _plain(nn.AdaptiveMaxPool2d, "output_size"),
    blocks.Sequential: lambda step: nn.Sequential(_modules(step.parts[""])),
    blocks.Residual: _residual,
    blocks.Parallel: _parallel,
}
"""How each kind of layer becomes a torch module."""
