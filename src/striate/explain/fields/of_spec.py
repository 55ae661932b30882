"""Receptive fields of a network that is described by a spec: shape arithmetic, nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from striate.architectures import Spec, Step, infer_shapes
from striate.architectures.arguments import both
from striate.architectures.blocks import Block, Residual
from striate.architectures.layers import Conv2d, Flatten, Linear, LogSoftmax, Softmax
from striate.architectures.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d
from striate.explain.fields.adaptive import pooled
from striate.explain.fields.field import Field
from striate.explain.fields.result import LayerField, ReceptiveFields

FULLY_CONNECTED = "a fully connected layer"


def fields_of_spec(spec: Spec, input_shape: Sequence[int], num_classes: int = 10) -> ReceptiveFields:
    """Return the receptive field of every layer of `spec`, a block after the layers inside it.

    Args:
        spec: the description.
        input_shape: (C, H, W) of the images.
        num_classes: at least 2.

    Raises:
        SpecError: the network cannot work on such images.
    """
    steps = infer_shapes(spec, input_shape, num_classes)
    layers: list[LayerField] = []
    _through_all(steps, Field(), layers)
    return ReceptiveFields(spec.name, tuple(input_shape), tuple(layers))


def _through_all(steps: Sequence[Step], field: Field, layers: list[LayerField]) -> Field:
    for step in steps:
        field = _through(step, field, layers)
        layers.append(LayerField(step.path, step.layer.kind, step.output_shape, field))
    return field


def _through(step: Step, field: Field, layers: list[LayerField]) -> Field:
    """Return the field after a step, and add the layers inside it to `layers`."""
    layer = step.layer
    if isinstance(layer, Block):
        ends = [_through_all(part, field, layers) for part in step.parts.values()]
        if isinstance(layer, Residual) and layer.shortcut is None:
            ends.append(field)
        return reduce(Field.joined, ends)
    if isinstance(layer, Conv2d):
        (top, _), (left, _) = layer.sides()
        return field.window(layer.kernel_size, layer.stride, (top, left), layer.dilation)
    if isinstance(layer, MaxPool2d | AvgPool2d):
        stride = layer.kernel_size if layer.stride is None else layer.stride
        dilation = layer.dilation if isinstance(layer, MaxPool2d) else 1
        return field.window(layer.kernel_size, stride, layer.padding, dilation)
    if isinstance(layer, AdaptiveAvgPool2d | AdaptiveMaxPool2d):
        return pooled(field, step.input_shape[1:], both(layer.output_size))
    if isinstance(layer, Flatten) and step.input_shape[1:] != (1, 1):
        return replace(field, flat=True)
    if isinstance(layer, Linear | Softmax | LogSoftmax) and field.flat:
        return field.seeing_all(FULLY_CONNECTED)
    return field
