"""A network: layers in a row, with weights that can be saved, loaded and watched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from striate.engine.backend import Array, check_choice, check_shape, from_numpy, namespace, to_numpy
from striate.engine.blocks import Layers, Sequential
from striate.engine.layers import Dropout, Layer
from striate.engine.losses import FITTING
from striate.engine.order import computing_order


class Network(Sequential):
    """Layers one after the other: (N, C, H, W) in, (N, K) out.

    Args:
        layers: by name or in a list.
        output: what the last layer puts out: `logits`, `log_probabilities`, `logit` or `probability`.
        name: for reports.
    """

    def __init__(self, layers: Layers, output: str = "logits", name: str = "") -> None:
        super().__init__(layers)
        check_choice("output", output, *FITTING)
        self.output = output
        self.name = name

    def predict(self, x: Array) -> Array:
        """Return the output for x in evaluation, keeping nothing for a backward pass.

        Each layer's memory is free before the next one computes.
        """
        modes = [(layer, layer.training) for _, layer in self.walk()]
        self.eval()
        try:
            for layer in computing_order(self.layers.values()):
                x = layer.forward(x)
                layer.forget()
        finally:
            for layer, mode in modes:
                layer.training = mode
        return x

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all parameters and buffers on the host, in torch's order and names.

        A parameter that layers share is there once for each of them, as in torch.
        """
        return {name: to_numpy(array).copy() for name, array in self._arrays().items()}

    def load_state_dict(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Copy `arrays` into the network, in its own dtype and on its own device.

        Raises:
            ValueError: one is missing, too many or of another shape; nothing has been changed then.
        """
        own = self._arrays()
        for name, array in own.items():
            if name not in arrays:
                raise ValueError(f"arrays: expected {name} of shape {tuple(array.shape)}, got none")
            check_shape(name, arrays[name], array.shape)
        extra = [name for name in arrays if name not in own]
        if extra:
            raise ValueError(f"arrays: expected those of this network's layers, got {extra[0]} as well")
        for path, layer in self.walk():
            for name, parameter in layer.own_parameters().items():
                parameter.value = from_numpy(np.asarray(arrays[f"{path}.{name}"]), parameter.value)
            for name, buffer in layer.own_buffers().items():
                setattr(layer, name, from_numpy(np.asarray(arrays[f"{path}.{name}"]), buffer))

    def _arrays(self) -> dict[str, Array]:
        """Return the values of all parameters and all buffers by every path."""
        arrays: dict[str, Array] = {}
        for path, layer in self.walk():
            values = {name: parameter.value for name, parameter in layer.own_parameters().items()}
            for name, array in {**values, **layer.own_buffers()}.items():
                arrays[f"{path}.{name}"] = array
        return arrays

    def seed(self, *entropy: int) -> None:
        """Give each dropout layer a generator of its own, from `entropy` and the layer's path."""
        for path, layer in self.walk():
            if isinstance(layer, Dropout):
                digest = hashlib.sha256(path.encode()).digest()
                layer.generator = np.random.default_rng([*entropy, int.from_bytes(digest[:16], "little")])


@dataclass
class Seen:
    """What went through a network while it was watched, by the layers' paths.

    Attributes:
        outputs: of each layer, in the order of the computation.
        input_grads: the gradient for each layer's input; last layer first.
    """

    outputs: dict[str, Array] = field(default_factory=dict)
    input_grads: dict[str, Array] = field(default_factory=dict)


@contextmanager
def watching(network: Layer) -> Iterator[Seen]:
    """Note down what all layers put out, forward and backward, until the block ends."""
    seen = Seen()
    watched = [(path, layer) for path, layer in network.walk() if path]
    for path, layer in watched:
        # set on the instance, these take precedence over the methods of the class until they are deleted
        setattr(layer, "forward", _noting(layer.forward, seen.outputs, path))  # noqa: B010
        setattr(layer, "backward", _noting(layer.backward, seen.input_grads, path))  # noqa: B010
    try:
        yield seen
    finally:
        for _, layer in watched:
            del layer.__dict__["forward"], layer.__dict__["backward"]


def _noting(method: Any, notes: dict[str, Array], path: str) -> Any:
    def noted(array: Array) -> Array:
        result = method(array)
        if result is not None:
            notes[path] = namespace(result).asarray(result, copy=True)  # a layer behind may change its input
        return result

    return noted
