"""Blocks: layers made of layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from operator import add

from striate.engine.backend import Array, namespace
from striate.engine.elementwise import elementwise
from striate.engine.layers import Layer
from striate.engine.order import computing_order

Layers = Mapping[str, Layer] | Sequence[Layer]
"""Layers in their order, with names or without; without, they are called `0`, `1`, ... as in torch."""


class Sequential(Layer):
    """Layers one after the other.

    The backward pass is the chain rule: each layer turns the gradient for its output into that for its input,
    which is the output of the layer before. Some neighbours are exchanged where that changes no number, see
    `order`.

    Args:
        layers: by name or in a list, each another one.

    Raises:
        ValueError: a layer occurs twice, here or inside blocks.
        TypeError: something is no layer.
    """

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.layers = _named(layers)
        _refuse_repeats(self.layers)
        self._computed = list(self.layers.values())

    def children(self) -> dict[str, Layer]:
        """Return the layers by name, in their order."""
        return dict(self.layers)

    def forward(self, x: Array) -> Array:
        """Return what the last layer puts out."""
        self._computed = computing_order(self.layers.values())
        for layer in self._computed:
            x = layer.forward(x)
        return x

    def backward(self, grad_output: Array) -> Array | None:
        """Return the gradient for x; None if nobody needs it."""
        grad: Array | None = grad_output
        for layer in reversed(self._computed):
            if grad is None:
                return None
            if layer.needs_input_grad or layer.parameters():
                grad = layer.backward(grad)
            else:
                grad = None
                layer.forget()
        return grad

    @contextmanager
    def without_input_grad(self) -> Iterator[None]:
        """Let `backward` return no gradient for x, until the block ends.

        Training does not need it; then the first layer with parameters spares itself the work, which in a
        first convolution is a third.
        """
        needed = self.needs_input_grad
        self.set_input_grad(False)
        try:
            yield
        finally:
            self.set_input_grad(needed)

    def set_input_grad(self, needed: bool) -> None:
        """Say whether `backward` has to return the gradient for x."""
        self.needs_input_grad = needed
        for layer in self.layers.values():
            if isinstance(layer, Sequential):
                layer.set_input_grad(needed)
            elif not layer.children():
                layer.needs_input_grad = needed
            if layer.parameters():
                return


class Residual(Layer):
    """layers(x) + shortcut(x); without a shortcut, layers(x) + x (He et al. 2016).

    The gradient of a sum goes to both terms unchanged, so x gets the sum of what comes back on both ways.
    """

    def __init__(self, layers: Layers, shortcut: Layers | None = None) -> None:
        super().__init__()
        self.main = Sequential(layers)
        self.shortcut = None if shortcut is None else Sequential(shortcut)
        _refuse_repeats(Residual.children(self))

    def children(self) -> dict[str, Layer]:
        """Return the main layers by name, and the `shortcut` if there is one."""
        inside = self.main.children()
        return inside if self.shortcut is None else {**inside, "shortcut": self.shortcut}

    def forward(self, x: Array) -> Array:
        """Return an array of the shape that the layers put out."""
        around = x if self.shortcut is None else self.shortcut.forward(x)
        through = self.main.forward(x)
        if through.shape != around.shape:
            expected, got = tuple(around.shape), tuple(through.shape)
            raise ValueError(f"layers: expected the shape of the shortcut, {expected}, got {got}")
        return elementwise(add, through, around)

    def backward(self, grad_output: Array) -> Array | None:
        """Return an array of x's shape."""
        around = grad_output if self.shortcut is None else self.shortcut.backward(grad_output)
        through = self.main.backward(grad_output)
        if through is None or around is None:
            return None
        return elementwise(add, through, around)


class Parallel(Layer):
    """Branches on the same input, concatenated over channels (Szegedy et al. 2015).

    Backward, each branch gets its own channels of the gradient, and x the sum over the branches.
    """

    def __init__(self, branches: Sequence[Layers]) -> None:
        super().__init__()
        self.branches = [Sequential(layers) for layers in branches]
        _refuse_repeats(Parallel.children(self))

    def children(self) -> dict[str, Layer]:
        """Return the branches, called `branch1`, `branch2`, ..."""
        return {f"branch{number}": branch for number, branch in enumerate(self.branches, start=1)}

    def forward(self, x: Array) -> Array:
        """Return (N, sum of the branches' channels, ...)."""
        outputs = [branch.forward(x) for branch in self.branches]
        self._keep([output.shape[1] for output in outputs])
        return namespace(x).concat(outputs, axis=1)

    def backward(self, grad_output: Array) -> Array | None:
        """Return an array of x's shape."""
        (channels,) = self._take()
        ends = list(accumulate(channels))
        grads = [
            branch.backward(grad_output[:, end - count : end, ...])
            for branch, count, end in zip(self.branches, channels, ends, strict=True)
        ]
        total = grads[0]
        for grad in grads[1:]:
            total = None if total is None or grad is None else total + grad
        return total


def _named(layers: Layers) -> dict[str, Layer]:
    named = layers if isinstance(layers, Mapping) else {str(n): layer for n, layer in enumerate(layers)}
    for name, layer in named.items():
        if not isinstance(layer, Layer):
            raise TypeError(f"layers: expected a Layer for {name!r}, got {type(layer).__name__}")
    return dict(named)


def _refuse_repeats(layers: Mapping[str, Layer]) -> None:
    """Refuse a layer that occurs twice: it keeps one forward pass for its backward, not two.

    Raises:
        ValueError: names both places.
    """
    places: dict[int, str] = {}
    for path, layer in (place for name, one in layers.items() for place in one.walk(name)):
        first = places.setdefault(id(layer), path)
        if first != path:
            learned = next(iter(layer.parameters()), "")
            shared = f", and to share what is learned assign it: {path}.{learned} = {first}.{learned}"
            raise ValueError(
                f"layers: expected each layer once, got the {type(layer).__name__} {first} again as {path}; "
                f"it keeps one forward pass for its backward. Make a second one{shared if learned else ''}"
            )
