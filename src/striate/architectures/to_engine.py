"""A glass-box network from a spec: the engine's own layers, under the spec's names. Never torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from striate.architectures import blocks, layers, pooling
from striate.architectures.shapes import Step, infer_shapes
from striate.architectures.spec import Spec
from striate.architectures.weights import check_weights, weight_shapes
from striate.engine import blocks as engine_blocks
from striate.engine import layers as engine_layers
from striate.engine.network import Network

Builder = Callable[[Step], engine_layers.Layer]


def to_engine(
    spec: Spec, input_shape: Sequence[int], num_classes: int, weights: Mapping[str, np.ndarray]
) -> Network:
    """Return the network that `spec` describes, in NumPy, float32, in training mode.

    Args:
        spec: the description.
        input_shape: (C, H, W).
        num_classes: at least 2.
        weights: all weights and buffers by name (`weights.initial_weights`, or those of a bundle), copied.

    Raises:
        SpecError: the network cannot work on such images, or the weights are not its own.
    """
    check_weights(weights, weight_shapes(spec, input_shape, num_classes))
    network = Network(_layers(infer_shapes(spec, input_shape, num_classes)), spec.output, spec.name)
    network.load_state_dict(weights)
    return network


def _layers(steps: Sequence[Step]) -> dict[str, engine_layers.Layer]:
    return {step.name: BUILDERS[type(step.layer)](step) for step in steps}


def _unseeded() -> np.random.Generator:
    """A generator whose draws do not matter: weights are copied in, `Network.seed` gives dropout its own."""
    return np.random.default_rng(0)


def _conv2d(step: Step) -> engine_layers.Layer:
    layer: Any = step.layer
    return engine_layers.Conv2d(
        step.input_shape[0],
        layer.out_channels,
        layer.kernel_size,
        layer.stride,
        layer.sides(),
        layer.dilation,
        layer.groups,
        layer.bias,
        generator=_unseeded(),
    )


def _linear(step: Step) -> engine_layers.Layer:
    layer: Any = step.layer
    return engine_layers.Linear(step.input_shape[0], layer.out_features, layer.bias, generator=_unseeded())


def _batch_norm(step: Step) -> engine_layers.Layer:
    layer: Any = step.layer
    maps = len(step.input_shape) == 3
    kind = engine_layers.BatchNorm2d if maps else engine_layers.BatchNorm1d
    return kind(step.input_shape[0], layer.eps, layer.momentum, layer.affine)


def _residual(step: Step) -> engine_layers.Layer:
    shortcut = _layers(step.parts["shortcut"]) if "shortcut" in step.parts else None
    return engine_blocks.Residual(_layers(step.parts[""]), shortcut)


def _plain(kind: Callable[..., engine_layers.Layer], *names: str, **fixed: Any) -> Builder:
    """Return a builder that hands the layer's arguments of these `names` to a `kind` of the engine."""
    return lambda step: kind(**{name: getattr(step.layer, name) for name in names}, **fixed)


BUILDERS: dict[type[layers.Layer], Builder] = {
    layers.Conv2d: _conv2d,
    layers.Linear: _linear,
    layers.BatchNorm: _batch_norm,
    layers.Dropout: _plain(engine_layers.Dropout, "p", generator=_unseeded()),
    layers.Flatten: _plain(engine_layers.Flatten),
    layers.ReLU: _plain(engine_layers.ReLU),
    layers.ReLU6: _plain(engine_layers.ReLU6),
    layers.LeakyReLU: _plain(engine_layers.LeakyReLU, "negative_slope"),
    layers.GELU: _plain(engine_layers.GELU, "approximate"),
    layers.Sigmoid: _plain(engine_layers.Sigmoid),
    layers.Tanh: _plain(engine_layers.Tanh),
    layers.Softmax: _plain(engine_layers.Softmax, dim=1),
    layers.LogSoftmax: _plain(engine_layers.LogSoftmax, dim=1),
    pooling.MaxPool2d: _plain(
        engine_layers.MaxPool2d, "kernel_size", "stride", "padding", "dilation", "ceil_mode"
    ),
    pooling.AvgPool2d: _plain(
        engine_layers.AvgPool2d, "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"
    ),
    pooling.AdaptiveAvgPool2d: _plain(engine_layers.AdaptiveAvgPool2d, "output_size"),
    pooling.AdaptiveMaxPool2d: _plain(engine_layers.AdaptiveMaxPool2d, "output_size"),
    blocks.Sequential: lambda step: engine_blocks.Sequential(_layers(step.parts[""])),
    blocks.Residual: _residual,
    blocks.Parallel: lambda step: engine_blocks.Parallel([_layers(part) for part in step.parts.values()]),
}
"""How each kind of layer becomes one of the engine's."""
