"""EfficientNet-Lite0: inverted residuals with depth-wise convolutions, without what small devices do badly.

An inverted residual widens its input by a 1x1 convolution, filters each channel by itself (depth-wise, one
k x k kernel a channel, `groups` = channels), and narrows by another 1x1 convolution that has no activation
after it; where input and output have one shape, the input is added. A full 3x3 convolution from 240 to 240
channels has 518,400 weights, the depth-wise one 2,160: that is what makes these networks small.

The Lite family leaves out EfficientNet's squeeze-and-excitation and takes ReLU6 for swish, so that it can be
computed in 8-bit integers; stem and head keep their width, the first and last stage their depth.

Sources: Sandler et al. 2018 (MobileNetV2, inverted residuals, fig. 3); Tan and Le 2019 (EfficientNet, table
1); Liu 2020 (EfficientNet-Lite). Stochastic depth, which training from scratch used, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from striate.architectures import Spec
from striate.architectures.arguments import NUM_CLASSES, Sides
from striate.architectures.blocks import Parallel, Residual, Sequential
from striate.architectures.layers import BatchNorm, Conv2d, Dropout, Flatten, Layer, Linear, ReLU6
from striate.architectures.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d

EPS = 1e-3
"""Of the batch normalisations, as TensorFlow has it."""
MOMENTUM = 0.01
"""The share of a batch in the running statistics; TensorFlow's 0.99 is the share of what was there."""
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280


class Stage(NamedTuple):
    """Some blocks in a row: the first has the `stride` and the change of channels, the others neither."""

    blocks: int
    kernel_size: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""Table 1 of Tan and Le 2019, stages 2 to 8."""
LEVELS = ("block3", "block5", "block8", "block11", "block15")
"""The last blocks of the stages in the middle: with 24, 40, 80, 112 and 192 channels."""


def efficientnet_lite0(size: tuple[int, int] = (224, 224), dropout: float = 0.2) -> Spec:
    """Return the spec for RGB images of a `size`, (height, width): 4,652,008 parameters for 1,000 classes.

    The weights do not depend on the size, but the padding does: see `same_sides`. All sizes that 32 divides
    have that of 224.

    Args:
        size: of the images in pixels.
        dropout: before the last layer.
    """
    layers = (*_trunk(size), AdaptiveAvgPool2d(1, name="pool"), *_head(dropout))
    return Spec("efficientnet-lite0", layers)


def efficientnet_lite0_levels(size: tuple[int, int] = (224, 224), dropout: float = 0.2) -> Spec:
    """Return the same network with a last layer that also sees means and maxima of five earlier levels' maps.

    What an early block says of texture and colour is lost further up where ImageNet had no use for it; a head
    that sees all levels can take it from there (Evci et al. 2022, Head2Toe).
    """
    layers = _trunk(size)
    above: tuple[Layer, ...] = (AdaptiveAvgPool2d(1, name="pool"),)
    for level in reversed(LEVELS):
        place = next(place for place, layer in enumerate(layers) if layer.name == level) + 1
        mean, peak = AdaptiveAvgPool2d(1, name="mean"), AdaptiveMaxPool2d(1, name="peak")
        above = (Parallel([[mean], [peak], [*layers[place:], *above]], name=f"above_{level}"),)
        layers = layers[:place]
    return Spec("efficientnet-lite0-levels", (*layers, *above, *_head(dropout)))


def _trunk(size: tuple[int, int]) -> tuple[Layer, ...]:
    """Return all layers below the pooling."""
    stem = _same_conv(STEM_CHANNELS, 3, 2, size, name="stem_conv")
    layers: list[Layer] = [stem, *_norm_relu("stem")]
    size, channels = _strided(size, 2), STEM_CHANNELS
    for stage in STAGES:
        for number in range(stage.blocks):
            stride = stage.stride if number == 0 else 1
            name = f"block{sum(isinstance(layer, Residual | Sequential) for layer in layers) + 1}"
            layers.append(_block(name, channels, stage, stride, size))
            size, channels = _strided(size, stride), stage.channels
    return (*layers, Conv2d(HEAD_CHANNELS, 1, bias=False, name="head_conv"), *_norm_relu("head"))


def _head(dropout: float) -> tuple[Layer, ...]:
    return (
        Flatten(name="flatten"),
        Dropout(dropout, name="dropout"),
        Linear(NUM_CLASSES, name="classifier"),
    )


def same_sides(size: Sequence[int], kernel_size: int, stride: int) -> Sides:
    """Return TensorFlow's SAME padding, ((top, bottom), (left, right)): ceil(size / stride) values come out.

    So many zeros are needed, (ceil(n / s) - 1) * s + k - n, that the last window ends with the last of them;
    an odd one goes to the bottom or the right. With stride 1 and odd kernels that is the usual symmetric
    padding; with stride 2 and an even n it is not: k = 3 needs one zero, at the end, where torch's padding 1
    has one at either end and so looks at a grid shifted by a pixel.

    Args:
        size: (height, width) of the input.
        kernel_size: k.
        stride: s.
    """
    total = [max((math.ceil(n / stride) - 1) * stride + kernel_size - n, 0) for n in size]
    (top, left) = (zeros // 2 for zeros in total)
    return ((top, total[0] - top), (left, total[1] - left))


def _block(name: str, channels: int, stage: Stage, stride: int, size: tuple[int, int]) -> Layer:
    """Return an inverted residual on `channels` maps of a `size`."""
    wide = channels * stage.expansion
    layers: list[Layer] = []
    if stage.expansion > 1:
        layers += [Conv2d(wide, 1, bias=False, name="expand_conv"), *_norm_relu("expand")]
    layers += [
        _same_conv(wide, stage.kernel_size, stride, size, groups=wide, name="depthwise_conv"),
        *_norm_relu("depthwise"),
        Conv2d(stage.channels, 1, bias=False, name="project_conv"),
        BatchNorm(EPS, MOMENTUM, name="project_norm"),
    ]
    adds_input = stride == 1 and channels == stage.channels
    return Residual(layers, name=name) if adds_input else Sequential(layers, name=name)


def _same_conv(
    out_channels: int, kernel_size: int, stride: int, size: tuple[int, int], groups: int = 1, *, name: str
) -> Conv2d:
    sides = same_sides(size, kernel_size, stride)
    return Conv2d(out_channels, kernel_size, stride, sides, groups=groups, bias=False, name=name)


def _norm_relu(stem: str) -> list[Layer]:
    return [BatchNorm(EPS, MOMENTUM, name=f"{stem}_norm"), ReLU6(name=f"{stem}_relu")]


def _strided(size: tuple[int, int], stride: int) -> tuple[int, int]:
    return (math.ceil(size[0] / stride), math.ceil(size[1] / stride))
