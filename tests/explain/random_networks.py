"""Random specs with dilations, strides, skips and branches, whose gradients never cancel."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from striate.architectures import Spec, build
from striate.architectures.blocks import Parallel, Residual
from striate.architectures.layers import BatchNorm, Conv2d, Flatten, Layer, Linear, ReLU
from striate.architectures.pooling import AdaptiveAvgPool2d, AvgPool2d

CHANNELS = 2


def random_spec(seed: int) -> Spec:
    """Return a spec whose maps keep two channels; it pools by means: a maximum passes one gradient."""
    generator = np.random.default_rng(seed)
    layers: list[Layer] = [Conv2d(CHANNELS, 1)]
    for _ in range(4):
        layers += _random_block(generator)
    return Spec(f"random-{seed}", (*layers, AdaptiveAvgPool2d(1, name="head"), Flatten(), Linear(2)))


def _random_block(generator: np.random.Generator) -> list[Layer]:
    kind = generator.choice(["conv", "strided", "pool", "residual", "shortcut", "parallel"])
    if kind == "conv":
        return [*_conv(generator), ReLU()]
    if kind == "strided":
        kernel = tuple(int(size) for size in generator.integers(1, 5, 2))
        return [Conv2d(CHANNELS, kernel, stride=(2, 1), padding=((1, 0), (0, 2)))]
    if kind == "pool":
        return [AvgPool2d(int(generator.integers(2, 4)), stride=int(generator.integers(1, 3)))]
    if kind == "residual":
        return [Residual([*_conv(generator), ReLU(), *_conv(generator)]), ReLU()]
    if kind == "shortcut":
        return [Residual([Conv2d(CHANNELS, 3, stride=2, padding=1)], [Conv2d(CHANNELS, 1, stride=2)])]
    return [Parallel([_conv(generator), _conv(generator), []]), Conv2d(CHANNELS, 1)]


def _conv(generator: np.random.Generator) -> list[Layer]:
    """A convolution, dilated or not, that keeps the size of its maps."""
    kernel = (int(generator.choice([1, 3, 5])), int(generator.choice([1, 3])))
    dilation = int(generator.integers(1, 4))
    padding = (dilation * (kernel[0] - 1) // 2, dilation * (kernel[1] - 1) // 2)
    return [Conv2d(CHANNELS, kernel, padding=padding, dilation=dilation), BatchNorm()]


def positive_network(spec: Spec, side: int) -> nn.Module:
    """Return the network on images of `side` in float64; all weights are positive, so no gradient is lost."""
    network = build(spec, (1, side, side), 2).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.abs() + 0.1)
    return network
