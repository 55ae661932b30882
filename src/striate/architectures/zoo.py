"""The named networks.

Each is a function whose keyword arguments are its options; the first line of its docstring is what listings
show. Parameter counts are for the image size beside the function in `NETS` and that number of classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from striate.architectures.arguments import NUM_CLASSES
from striate.architectures.blocks import Residual
from striate.architectures.layers import (
    GELU,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    LogSoftmax,
    ReLU,
    Sigmoid,
)
from striate.architectures.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, MaxPool2d
from striate.errors import SpecError
from striate.schemas import Output

Layers = list[Layer]

WHITENING_CHANNELS = 24
"""Of the first layer of `speed-cnn`: 2 x 2 x 3 values have 12 directions, each with its negative."""


@dataclass(frozen=True)
class Net:
    """An entry of the zoo.

    Attributes:
        name: for the command line.
        layers: returns its layers; the keyword arguments are its options.
        input_shape: (C, H, W) of the images that it was made for; others work too, if large enough.
        num_classes: that it was made for.
        output: what it puts out.
    """

    name: str
    layers: Callable[..., Layers]
    input_shape: tuple[int, int, int]
    num_classes: int = 10
    output: Output = "logits"


def mynet(*, width: int = 24, dropout: float = 0.0) -> Layers:
    """Striate's own small residual net, for images of 8 to 128 pixels.

    Two residual blocks of batch-normalised 3x3 convolutions, at half and a quarter of the image's size, then
    global average pooling. Max pooling halves the size, after the convolution that doubles the channels:
    strides would cost less, but be less accurate. `width` is the channels of the first convolution.
    """
    return [
        *_normalised_conv(width),
        *_normalised_conv(2 * width),
        MaxPool2d(2),
        Residual([*_normalised_conv(2 * width), *_normalised_conv(2 * width)]),
        *_normalised_conv(4 * width),
        MaxPool2d(2),
        Residual([*_normalised_conv(4 * width), *_normalised_conv(4 * width)]),
        AdaptiveAvgPool2d(1),
        Flatten(),
        *_dropout(dropout),
        Linear(NUM_CLASSES),
    ]


def speed_cnn(*, width: int = 64, growth: int = 4, kernel: int = 2) -> Layers:
    """Six convolutions in three pooled pairs, to learn small images in few epochs, for 9 pixels and more.

    `width` is the channels of the first pair, `growth` times as many those of the others. The first layer,
    of `kernel` x `kernel`, is meant for a whitening of the image's patches (`--first-layer whitening`).
    Pooling follows the first convolution of a pair, so that the second costs a quarter; kernels begin as the
    identity; the last maps are pooled to their maxima. After the network of airbench (Jordan 2024, "94% on
    CIFAR-10 in 3.29 seconds on a single GPU", sec. 3).
    """
    layers: Layers = [Conv2d(WHITENING_CHANNELS, kernel, bias=False), GELU()]
    for channels in (width, growth * width, growth * width):
        layers += [Conv2d(channels, 3, padding=1, bias=False, init="identity"), MaxPool2d(2)]
        layers += [BatchNorm(momentum=0.4), GELU()]
        layers += [Conv2d(channels, 3, padding=1, bias=False, init="identity")]
        layers += [BatchNorm(momentum=0.4), GELU()]
    deviation = 1 / (growth * width)  # logits near zero at first, so that the loss begins at log K
    last = Linear(NUM_CLASSES, bias=False, init={"normal": deviation})
    return [*layers, AdaptiveMaxPool2d(1), Flatten(), last]


def photo_net(*, width: int = 48, dropout: float = 0.0) -> Layers:
    """Eight residual blocks in four stages, as ResNet-18, for photos of 48 to 256 pixels from scratch.

    Two 3x3 convolutions and a pooling bring the image to a quarter of its side; each of the later stages
    halves it once more and doubles the channels, of which the first has `width` (ResNet-18: 64). After He et
    al. 2016 (Deep residual learning, table 1); the stem after He et al. 2019 (Bag of tricks, fig. 2).
    """
    first = Conv2d(width, 3, stride=2, padding=1, bias=False, init="he")
    layers: Layers = [first, BatchNorm(), ReLU(), *_normalised_conv(width), MaxPool2d(2)]
    for stage in range(4):
        channels = width * 2**stage
        layers += [*_residual(channels, stride=1 if stage == 0 else 2), *_residual(channels)]
    return [*layers, AdaptiveAvgPool2d(1), Flatten(), *_dropout(dropout), Linear(NUM_CLASSES)]


def simple_cnn(*, hidden: int = 10) -> Layers:
    """Two small convolutions, one pooling, one linear layer: 26,800 parameters."""
    return [
        *_conv_relu(hidden),
        *_conv_relu(hidden),
        MaxPool2d(2),
        Flatten(),
        Linear(NUM_CLASSES),
    ]


def custom_cnn() -> Layers:
    """Four pairs of convolutions with batch norm and dropout, three linear layers: 2,237,610 parameters."""
    layers: Layers = []
    for channels in (32, 64, 128, 256):
        layers += [*_conv_relu(channels), BatchNorm(), *_conv_relu(channels), BatchNorm()]
        layers += [MaxPool2d(2), Dropout(0.25)]
    layers += [Flatten()]
    for features in (512, 1024):
        layers += [Linear(features), ReLU(), BatchNorm(), Dropout(0.5)]
    return [*layers, Linear(NUM_CLASSES)]


def vgg6() -> Layers:
    """Six convolutions in three pooled pairs and three linear layers, after VGG: 5,851,338 parameters."""
    layers: Layers = []
    for first, second in ((32, 64), (128, 128), (256, 256)):
        layers += [*_conv_relu(first), *_conv_relu(second), MaxPool2d(2)]
    return [*layers, Flatten(), Linear(1024), ReLU(), Linear(512), ReLU(), Linear(NUM_CLASSES)]


def engine_cnn() -> Layers:
    """Two convolutions and one linear layer, the net to build by hand: 183,242 parameters.

    Weights begin normal: He's deviation in the convolutions, 0.001 in the linear layer; biases at zero.
    """
    return [
        Conv2d(32, 3, padding=1, init="he"),
        ReLU(),
        Conv2d(64, 3, padding=1, init="he"),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(NUM_CLASSES, init={"normal": 0.001}),
    ]


def gray_cnn(*, head: Literal["flatten", "average"] = "flatten") -> Layers:
    """Three convolutions for grey digits, head `flatten` (93,322 parameters) or `average` (56,394).

    The head `average` pools each of the 64 maps to one number, which makes class activation maps possible.
    """
    trunk: Layers = [
        Conv2d(32, 3),
        ReLU(),
        MaxPool2d(2),
        Conv2d(64, 3),
        ReLU(),
        MaxPool2d(2),
        Conv2d(64, 3),
        ReLU(),
    ]
    if head == "average":
        return [*trunk, AdaptiveAvgPool2d(1), Flatten(), Linear(NUM_CLASSES)]
    return [*trunk, Flatten(), Linear(64), ReLU(), Linear(NUM_CLASSES)]


def cats_cnn(*, dropout: float = 0.0) -> Layers:
    """Four pooled convolutions and one logit, for two classes of 150-pixel photos: 307,393 parameters.

    `dropout` (0.5 in the regularised form) stands before the last layer.
    """
    layers: Layers = []
    for channels in (32, 64, 128, 128):
        layers += [Conv2d(channels, 3), ReLU(), MaxPool2d(2)]
    return [*layers, AdaptiveAvgPool2d(1), Flatten(), Linear(512), ReLU(), *_dropout(dropout), Linear(1)]


def stride_cnn(*, batch_norm: bool = False, dropout: float = 0.0) -> Layers:
    """Three strided convolutions for a study of regularisation: 439,178 parameters (440,074 with batch norm).

    `dropout` (0.5 in the study) stands before the last layer.
    """
    layers: Layers = []
    for channels in (64, 128, 256):
        norm = [BatchNorm()] if batch_norm else []
        layers += [Conv2d(channels, 3, stride=2, padding=1), *norm, ReLU()]
    layers += [AdaptiveAvgPool2d(1), Flatten(), Linear(256), ReLU()]
    return [*layers, *_dropout(dropout), Linear(NUM_CLASSES)]


def stride_simple(
    *, channels: int = 16, second_conv: bool = False, pool: bool = False, dropout: float = 0.0
) -> Layers:
    """One strided 3x3 convolution and one linear layer: 31,530 parameters.

    `second_conv` adds such a convolution with twice the channels; `pool` replaces the strides by max pooling;
    `dropout` stands before the linear layer.
    """
    layers: Layers = []
    for count in (channels, 2 * channels) if second_conv else (channels,):
        layers += [Conv2d(count, 3, stride=1 if pool else 2, padding=1), ReLU()]
        layers += [MaxPool2d(2)] if pool else []
    return [*layers, Flatten(), *_dropout(dropout), Linear(NUM_CLASSES), LogSoftmax()]


def two_digit(*, dropout: float = 0.0) -> Layers:
    """Five hidden units and one probability, for two classes of 28-pixel digits: 3,931 parameters.

    `dropout` is that of the pixels: so few hidden units would hardly stand it.
    """
    return [Flatten(), *_dropout(dropout), Linear(5), ReLU(), Linear(1), Sigmoid()]


def fc_net(*, hidden: int = 0, activation: Literal["sigmoid", "relu"] = "sigmoid") -> Layers:
    """One linear layer (7,850 parameters), or two with `hidden` units between them (1000: 795,010).

    `activation` is that of the hidden units.
    """
    if activation != "sigmoid" and not hidden:
        raise SpecError("option activation of fc-net needs hidden units; give hidden=1000, say.")
    between: Layers = [Linear(hidden), Sigmoid() if activation == "sigmoid" else ReLU()] if hidden else []
    return [Flatten(), *between, Linear(NUM_CLASSES), LogSoftmax()]


def mlp(*, hidden: int = 512, dropout: float = 0.0) -> Layers:
    """Linear layers of `hidden` and half as many units, to compare CNNs with: 1,707,274 parameters.

    `dropout` follows each hidden layer.
    """
    layers: Layers = [Flatten()]
    for features in (hidden, max(1, hidden // 2)):
        layers += [Linear(features), ReLU(), *_dropout(dropout)]
    return [*layers, Linear(NUM_CLASSES)]


def _conv_relu(channels: int) -> Layers:
    return [Conv2d(channels, 3, padding=1), ReLU()]


def _normalised_conv(channels: int) -> Layers:
    return [Conv2d(channels, 3, padding=1, bias=False, init="he"), BatchNorm(), ReLU()]


def _residual(channels: int, stride: int | None = None) -> Layers:
    """A block of two convolutions; with a `stride`, its shortcut is a 1x1 convolution with the same."""
    first = Conv2d(channels, 3, stride=stride or 1, padding=1, bias=False, init="he")
    second = Conv2d(channels, 3, padding=1, bias=False, init="he")
    around: Layers | None = None
    if stride is not None and stride > 1:
        around = [Conv2d(channels, 1, stride=stride, bias=False, init="he"), BatchNorm()]
    return [Residual([first, BatchNorm(), ReLU(), second, BatchNorm()], around), ReLU()]


def _dropout(p: float) -> Layers:
    return [Dropout(p)] if p else []


NETS = {
    net.name: net
    for net in (
        Net("mynet", mynet, (1, 28, 28)),
        Net("speed-cnn", speed_cnn, (3, 32, 32)),
        Net("photo-net", photo_net, (3, 128, 128)),
        Net("simple-cnn", simple_cnn, (3, 32, 32)),
        Net("custom-cnn", custom_cnn, (3, 32, 32)),
        Net("vgg6", vgg6, (3, 32, 32)),
        Net("engine-cnn", engine_cnn, (3, 32, 32)),
        Net("gray-cnn", gray_cnn, (1, 28, 28)),
        Net("cats-cnn", cats_cnn, (3, 150, 150), num_classes=2, output="logit"),
        Net("stride-cnn", stride_cnn, (3, 224, 224)),
        Net("stride-simple", stride_simple, (1, 28, 28), output="log_probabilities"),
        Net("two-digit", two_digit, (1, 28, 28), num_classes=2, output="probability"),
        Net("fc-net", fc_net, (1, 28, 28), output="log_probabilities"),
        Net("mlp", mlp, (3, 32, 32)),
    )
}
"""The zoo by name."""
