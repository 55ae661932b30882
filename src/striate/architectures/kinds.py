"""The registry of layer kinds: the word in a YAML file and its class."""

from __future__ import annotations

from striate.architectures import blocks, layers, pooling
from striate.architectures.layers import Layer

KINDS: dict[str, type[Layer]] = {
    kind.kind: kind
    for kind in (
        layers.Conv2d,
        layers.Linear,
        layers.BatchNorm,
        layers.Dropout,
        layers.Flatten,
        layers.ReLU,
        layers.ReLU6,
        layers.LeakyReLU,
        layers.GELU,
        layers.Sigmoid,
        layers.Tanh,
        layers.Softmax,
        layers.LogSoftmax,
        pooling.MaxPool2d,
        pooling.AvgPool2d,
        pooling.AdaptiveAvgPool2d,
        pooling.AdaptiveMaxPool2d,
        blocks.Sequential,
        blocks.Residual,
        blocks.Parallel,
    )
}
"""Every kind of layer by its name in a specification."""
