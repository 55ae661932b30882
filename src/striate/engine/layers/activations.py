"""Activations: layers without parameters that act on each value, or each row, by itself.

Where the slope can be had from the output (a ReLU's, a sigmoid's), the output is what is kept: the next layer
keeps it too, and the input's memory is free.
"""

from __future__ import annotations

from striate.engine import functional as F
from striate.engine.backend import Array, check_choice, check_number, check_whole
from striate.engine.layers.base import Layer


class ReLU(Layer):
    """max(x, 0)."""

    def forward(self, x: Array) -> Array:
        """Return an array shaped as x."""
        y = F.relu(x)
        self._keep(y)
        return y

    def backward(self, grad_output: Array) -> Array:
        """Return an array shaped as grad_output."""
        (y,) = self._take()  # above 0 where x is
        return F.relu_backward(grad_output, y, saved=y)


class ReLU6(Layer):
    """min(max(x, 0), 6)."""

    def forward(self, x: Array) -> Array:
        """Return an array shaped as x."""
        y = F.relu6(x)
        self._keep(y)
        return y

    def backward(self, grad_output: Array) -> Array:
        """Return an array shaped as grad_output."""
        (y,) = self._take()  # between 0 and 6 where x is
        return F.relu6_backward(grad_output, y)


class LeakyReLU(Layer):
    """x where positive, else negative_slope * x."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = check_number("negative_slope", negative_slope)

    def forward(self, x: Array) -> Array:
        """Return an array shaped as x."""
        self._keep(x)
        return F.leaky_relu(x, self.negative_slope)

    def backward(self, grad_output: Array) -> Array:
        """Return an array shaped as grad_output."""
        (x,) = self._take()
        return F.leaky_relu_backward(grad_output, x, self.negative_slope)


class GELU(Layer):
    """x times the normal distribution function of x, exactly (`none`) or by `tanh`."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        check_choice("approximate", approximate, "none", "tanh")
        self.approximate = approximate

    def forward(self, x: Array) -> Array:
        """Return an array shaped as x."""
        self._keep(x)
        return F.gelu(x, self.approximate)

    def backward(self, grad_output: Array) -> Array:
        """Return an array shaped as grad_output."""
        (x,) = self._take()
        return F.gelu_backward(grad_output, x, self.approximate)


class SiLU(Layer):
    """x * sigmoid(x)."""

    def forward(self, x: Array) -> Array:
        """Return an array shaped as x."""
        self._keep(x)
        return F.silu(x)

    def backward(self, grad_output: Array) -> Array:
        """Return an array shaped as grad_output."""
        (x,) = self._take()
        return F.silu_backward(grad_output, x)


class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Array) -> Array:
        """Return an array shaped as x."""
        y = F.sigmoid(x)
        self._keep(y)
        return y

    def backward(self, grad_output: Array) -> Array:
        """Return an array shaped as grad_output."""
        (y,) = self._take()
        return F.sigmoid_backward(grad_output, y, saved=y)


class Tanh(Layer):
    """Hyperbolic tangent."""

    def forward(self, x: Array) -> Array:
        """Return an array shaped as x."""
        y = F.tanh(x)
        self._keep(y)
        return y

    def backward(self, grad_output: Array) -> Array:
        """Return an array shaped as grad_output."""
        (y,) = self._take()
        return F.tanh_backward(grad_output, y, saved=y)


class Softmax(Layer):
    """exp(x) / sum exp(x) along `dim`."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = check_whole("dim", dim, minimum=None)

    def forward(self, x: Array) -> Array:
        """Return an array shaped as x."""
        y = F.softmax(x, self.dim)
        self._keep(y)
        return y

    def backward(self, grad_output: Array) -> Array:
        """Return an array shaped as grad_output."""
        (y,) = self._take()
        return F.softmax_backward(grad_output, y, self.dim, saved=y)


class LogSoftmax(Layer):
    """x - log sum exp(x) along `dim`."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = check_whole("dim", dim, minimum=None)

    def forward(self, x: Array) -> Array:
        """Return an array shaped as x."""
        y = F.log_softmax(x, self.dim)
        self._keep(y)
        return y

    def backward(self, grad_output: Array) -> Array:
        """Return an array shaped as grad_output."""
        (y,) = self._take()
        return F.log_softmax_backward(grad_output, y, self.dim, saved=y)
