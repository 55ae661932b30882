"""All gradients of the engine, checked in a few seconds: every layer, block and loss, and a whole network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate.engine import functional as F
from striate.engine import layers
from striate.engine.blocks import Parallel, Residual
from striate.engine.gradcheck import gradcheck
from striate.engine.gradient_report import GradientReport
from striate.engine.layers import Layer
from striate.engine.network import Network

ELEMENTS = 60
"""Of each array that are measured; a random direction of all is measured as well."""


@dataclass(frozen=True)
class Case:
    """Something to check.

    Attributes:
        name: for people.
        subject: a layer, or a pair of functions.
        inputs: x of a layer; of functions, arrays by name.
    """

    name: str
    subject: Any
    inputs: Any


def check_gradients() -> dict[str, GradientReport]:
    """Check every layer, block and loss of the engine, and a network; return the reports by name."""
    return {
        case.name: gradcheck(case.subject, case.inputs, elements=ELEMENTS, sweep=False) for case in cases()
    }


def cases() -> Iterator[Case]:
    """Yield everything that `check_gradients` checks."""
    for name, layer in _on_maps().items():
        yield Case(name, layer, _draw(2, 4, 6, 7))
    for name, layer in _on_features().items():
        yield Case(name, layer, _draw(5, 6))
    for name, forward, backward, inputs in _losses():
        yield Case(name, (forward, backward), inputs)
    yield Case("a network of convolution, normalisation, skip and dropout", _network(), _draw(3, 2, 8, 8))


def _draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape)


def _generator() -> np.random.Generator:
    return np.random.default_rng(0)


def _convolution(in_channels: int, out_channels: int, **settings: Any) -> Layer:
    return layers.Conv2d(
        in_channels, out_channels, settings.pop("kernel_size", 3), generator=_generator(), **settings
    )


def _on_maps() -> Mapping[str, Layer]:
    return {
        "convolution": _convolution(4, 3, padding=1),
        "convolution, stride 2": _convolution(4, 3, stride=2, padding=1),
        "convolution, dilation and groups": _convolution(4, 6, dilation=2, groups=2, padding=1),
        "convolution, depth-wise": _convolution(4, 4, groups=4, padding="same"),
        "convolution, 2x3 kernel, four sides": _convolution(
            4, 3, kernel_size=(2, 3), padding=((0, 1), (2, 0))
        ),
        "convolution, 1x1": _convolution(4, 5, kernel_size=1, bias=False),
        "max pooling": layers.MaxPool2d(2),
        "max pooling, overlapping, ceil mode": layers.MaxPool2d(3, 2, 1, ceil_mode=True),
        "average pooling": layers.AvgPool2d(2),
        "average pooling, ceil mode, padding not counted": layers.AvgPool2d(3, 2, 1, True, False),
        "adaptive average pooling": layers.AdaptiveAvgPool2d((3, 2)),
        "adaptive max pooling": layers.AdaptiveMaxPool2d((3, 2)),
        "batch normalisation of maps": layers.BatchNorm2d(4),
        "flattening": layers.Flatten(),
        "residual block": Residual([_convolution(4, 4, padding=1), layers.ReLU()]),
        "parallel block": Parallel([[_convolution(4, 2, padding=1)], [layers.AvgPool2d(3, 1, 1)]]),
    }


def _on_features() -> Mapping[str, Layer]:
    return {
        "linear": layers.Linear(6, 3, generator=_generator()),
        "batch normalisation of features": layers.BatchNorm1d(6),
        "dropout": layers.Dropout(0.4, generator=_generator()),
        "ReLU": layers.ReLU(),
        "ReLU6": layers.ReLU6(),
        "leaky ReLU": layers.LeakyReLU(0.1),
        "GELU": layers.GELU(),
        "GELU, tanh": layers.GELU("tanh"),
        "SiLU": layers.SiLU(),
        "sigmoid": layers.Sigmoid(),
        "tanh": layers.Tanh(),
        "softmax": layers.Softmax(),
        "log-softmax": layers.LogSoftmax(),
    }


def _losses() -> Iterator[tuple[str, Callable[..., Any], Callable[..., Any], dict[str, Any]]]:
    labels, weight = np.array([0, 2, 1, 2, 0]), np.array([1.0, 2.0, 0.5])
    logits, shares = _draw(5, 3), np.random.default_rng(0).dirichlet(np.ones(3), 5)
    yield (
        "cross-entropy, class weights, smoothing",
        lambda x: F.cross_entropy(x, labels, weight, label_smoothing=0.1),
        lambda g, x: F.cross_entropy_backward(g, x, labels, weight, label_smoothing=0.1),
        {"x": logits},
    )
    yield (
        "cross-entropy, shares of classes",
        lambda x: F.cross_entropy(x, shares),
        lambda g, x: F.cross_entropy_backward(g, x, shares),
        {"x": logits},
    )
    yield (
        "negative log-likelihood",
        lambda x: F.nll_loss(x, labels, weight),
        lambda g, x: F.nll_loss_backward(g, x, labels, weight),
        {"x": logits},
    )
    yield (
        "binary cross-entropy with logits",
        lambda x: F.binary_cross_entropy_with_logits(x, shares),
        lambda g, x: F.binary_cross_entropy_with_logits_backward(g, x, shares),
        {"x": logits},
    )
    yield (
        "squared error",
        lambda x: F.mse_loss(x, shares),
        lambda g, x: F.mse_loss_backward(g, x, shares),
        {"x": logits},
    )
    yield (
        "L2 penalty",
        lambda x: F.l2_penalty(x, 0.3),
        lambda g, x: F.l2_penalty_backward(g, x, 0.3),
        {"x": logits},
    )


def _network() -> Network:
    return Network(
        [
            _convolution(2, 4, padding=1, bias=False),
            layers.BatchNorm2d(4),
            layers.ReLU(),
            Residual([_convolution(4, 4, padding=1), layers.GELU()]),
            layers.MaxPool2d(2),
            layers.Flatten(),
            layers.Dropout(0.3, generator=_generator()),
            layers.Linear(64, 3, generator=_generator()),
        ]
    )
