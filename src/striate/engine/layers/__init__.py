"""Layers: a forward pass, the backward pass beside it, and the parameters between them.

`forward(x)` keeps what `backward(grad_output)` will need; `backward` takes it, adds to the gradients of the
layer's parameters and returns the gradient for x. The arithmetic is in `striate.engine.functional`; a layer
is only its memory. Names, arguments, defaults and weight layouts are torch's.
"""

from striate.engine.layers.activations import (
    GELU,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from striate.engine.layers.base import Layer
from striate.engine.layers.dropout import Dropout
from striate.engine.layers.learned import Conv2d, Linear
from striate.engine.layers.normalization import BatchNorm1d, BatchNorm2d
from striate.engine.layers.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, Flatten, MaxPool2d

__all__ = [
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GELU",
    "Layer",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool2d",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
]
