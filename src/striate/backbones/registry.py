"""The pretrained networks by name, each with its spec, weights, class names and preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate.architectures import Spec, assemble
from striate.backbones import lite0_weights
from striate.backbones.efficientnet import efficientnet_lite0, efficientnet_lite0_levels
from striate.backbones.preprocessing import Preprocessing
from striate.errors import UserError, unknown_name


@dataclass(frozen=True)
class Entry:
    """What is known of a pretrained network before its weights are read.

    Attributes:
        name: for the command line.
        short_name: likewise.
        spec: returns the network for images of a size, (height, width).
        read: returns weights and class names; a `UserError` says what is missing.
        preprocess: pictures to input.
        source: where the weights come from, and their licence.
    """

    name: str
    short_name: str
    spec: Callable[[tuple[int, int]], Spec]
    read: Callable[[], lite0_weights.Pretrained]
    preprocess: Preprocessing
    source: str


@dataclass(frozen=True)
class Backbone:
    """A pretrained network.

    Attributes:
        spec: the network; it takes images of `input_shape`.
        weights: all weights and buffers by name.
        class_names: (K,), in the order of its outputs.
        preprocess: pictures to input.
        source: where the weights come from, and their licence.
    """

    spec: Spec
    weights: dict[str, np.ndarray]
    class_names: tuple[str, ...]
    preprocess: Preprocessing
    source: str

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (3, *self.preprocess.size)

    def build(self, engine: str = "torch") -> Any:
        """Return the network in evaluation mode: a torch module, or with `numpy` a glass-box network."""
        shape, classes = self.input_shape, len(self.class_names)
        return assemble(self.spec, shape, classes, self.weights, engine).eval()

    def top(self, logits: np.ndarray, count: int = 5) -> list[list[tuple[str, float]]]:
        """Return the `count` most probable classes and their probabilities for each row of logits (N, K)."""
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
        rows: Sequence[tuple[np.ndarray, np.ndarray]] = list(zip(order, probabilities, strict=True))
        return [[(self.class_names[k], float(row[k])) for k in best] for best, row in rows]


_LITE0_INPUT = Preprocessing((224, 224), 0.875, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_LITE0_SOURCE = f"{lite0_weights.PACKAGE} {lite0_weights.VERSION}, ImageNet, Apache-2.0"

BACKBONES = (
    Entry(
        name="efficientnet-lite0",
        short_name="lite0",
        spec=efficientnet_lite0,
        read=lite0_weights.load,
        preprocess=_LITE0_INPUT,
        source=_LITE0_SOURCE,
    ),
    Entry(
        name="efficientnet-lite0-levels",
        short_name="lite0-levels",
        spec=efficientnet_lite0_levels,
        read=lite0_weights.load_levels,
        preprocess=_LITE0_INPUT,
        source=_LITE0_SOURCE,
    ),
)
"""All of them."""


def names() -> list[str]:
    """Return every name that `load` takes."""
    return [name for entry in BACKBONES for name in (entry.name, entry.short_name)]


def find(name: str) -> Entry:
    """Return what is known of the pretrained network called `name` before its weights are read.

    Raises:
        UserError: there is no such network.
    """
    found = next((entry for entry in BACKBONES if name in (entry.name, entry.short_name)), None)
    if found is None:
        raise UserError(unknown_name("pretrained network", name, names()))
    return found


def load(name: str) -> Backbone:
    """Return the pretrained network called `name`, one of `names()`.

    Raises:
        UserError: there is no such network, or its weights are missing or altered.
    """
    found = find(name)
    weights, class_names = found.read()
    return Backbone(found.spec(found.preprocess.size), weights, class_names, found.preprocess, found.source)
