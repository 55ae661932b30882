"""What every layer is and can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

from striate.engine.backend import Array
from striate.engine.parameter import Parameter


class Layer:
    """What every layer is and can do.

    Attributes:
        training: whether batch normalisation and dropout behave as in training; see `train` and `eval`.
        needs_input_grad: whether `backward` returns a gradient for x; a first layer can do without.
    """

    def __init__(self) -> None:
        self.training = True
        self.needs_input_grad = True
        self._kept: tuple[Any, ...] | None = None

    def forward(self, x: Array) -> Array:
        """Return the layer's output for x, and keep what the backward pass needs."""
        raise NotImplementedError

    def backward(self, grad_output: Array) -> Array | None:
        """Return the loss's gradient for x, given its gradient for the output; parameters gather theirs."""
        raise NotImplementedError

    def own_parameters(self) -> dict[str, Parameter]:
        """Return the layer's own parameters by name, without those of layers inside."""
        return {}

    def own_buffers(self) -> dict[str, Array]:
        """Return arrays that are kept with the weights but not learned, by name."""
        return {}

    def children(self) -> dict[str, Layer]:
        """Return the layers inside by name."""
        return {}

    def __call__(self, x: Array) -> Array:
        """Return what `forward` returns."""
        return self.forward(x)

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Yield (path, layer) for this layer, called `prefix`, and all inside it: `residual1.conv1`."""
        yield prefix, self
        for name, child in self.children().items():
            yield from child.walk(f"{prefix}.{name}" if prefix else name)

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters by path, `conv1.weight`; one that layers share once, by its first path."""
        found: dict[int, tuple[str, Parameter]] = {}
        for path, layer in self.walk():
            for name, parameter in layer.own_parameters().items():
                found.setdefault(id(parameter), (f"{path}.{name}" if path else name, parameter))
        return dict(found.values())

    def buffers(self) -> dict[str, Array]:
        """Return all buffers by path, `batch_norm1.running_mean`."""
        return {
            f"{path}.{name}" if path else name: buffer
            for path, layer in self.walk()
            for name, buffer in layer.own_buffers().items()
        }

    def train(self, mode: bool = True) -> Self:
        """Switch this layer and all inside it to training, or with False to evaluation; return it."""
        for _, layer in self.walk():
            layer.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation: running statistics, no dropout."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters().values():
            parameter.zero_grad()

    def map_arrays(self, function: Callable[[Array], Array]) -> Self:
        """Replace every floating array by `function` of it: another dtype, another library, a device.

        Gradients and what was kept are forgotten.
        """
        for parameter in self.parameters().values():
            parameter.value = function(parameter.value)
            parameter.zero_grad()
        for _, layer in self.walk():
            layer._kept = None
            for name, buffer in layer.own_buffers().items():
                if str(buffer.dtype).rpartition(".")[2].startswith("float"):
                    setattr(layer, name, function(buffer))
        return self

    def forget(self) -> None:
        """Drop what forward passes kept, here and in all layers inside."""
        for _, layer in self.walk():
            layer._kept = None

    def _keep(self, *values: Any) -> None:
        self._kept = values

    def _take(self) -> tuple[Any, ...]:
        """Return what was kept, and let go of it: the memory is free as soon as the backward is done."""
        if self._kept is None:
            raise RuntimeError(
                f"{type(self).__name__}.backward: expected a forward pass before each backward"
            )
        kept, self._kept = self._kept, None
        return kept


def present(**parameters: Parameter | None) -> dict[str, Parameter]:
    """Return those parameters that there are."""
    return {name: parameter for name, parameter in parameters.items() if parameter is not None}


def gather(
    grads: tuple[Array | None, Array | None, Array | None], weight: Parameter | None, bias: Parameter | None
) -> Array | None:
    """Add the gradients of weight and bias to theirs; return that of x."""
    grad_x, grad_weight, grad_bias = grads
    if weight is not None and grad_weight is not None:
        weight.accumulate(grad_weight)
    if bias is not None and grad_bias is not None:
        bias.accumulate(grad_bias)
    return grad_x
