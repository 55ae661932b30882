"""Activation functions: each acts on every element by itself, so its gradient does too.

For y = f(x) and a loss L, the chain rule gives dL/dx = dL/dy * f'(x), element by element. Every backward
takes the gradient of the loss by the output, `grad_output`, and what its forward was given; `saved` is what
the forward returns with `return_saved=True`, and spares computing it again. x may have any shape; what comes
out has the shape and dtype of x.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from striate.engine.backend import (
    Array,
    check_axis,
    check_choice,
    check_float,
    check_number,
    check_shape,
    is_numpy,
    namespace,
)
from striate.engine.elementwise import elementwise, elementwise_into, keep_where
from striate.engine.functional.normal import normal_cdf

_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
_TANH_CUBIC = 0.044715  # Hendrycks & Gimpel 2016, sec. 2
_FAR = 1000.0  # deviations


def relu(x: Array, *, return_saved: bool = False) -> Array:
    """Return max(x, 0) (Nair & Hinton 2010).

    Saved: the output, whose sign tells all that the backward asks.
    """
    _check(x)
    y = elementwise_into(_rectify, x) if is_numpy(x) else namespace(x).clip(x, 0.0, None)
    return (y, y) if return_saved else y


def relu_backward(grad_output: Array, x: Array, *, saved: Array | None = None) -> Array:
    """Return grad_output where x > 0, else 0.

    The slope of max(x, 0) is 1 above and 0 below zero. At exactly 0 it has none; 0 is taken, as in torch.
    Where x is NaN, grad_output passes, as in torch.
    """
    _check_pair(grad_output, x, saved)
    if is_numpy(grad_output, x, saved):
        if saved is None:
            return elementwise_into(_pass_positive, grad_output, x)
        return elementwise_into(_pass_rectified, grad_output, saved)
    return _keep(grad_output, ~(x <= 0) if saved is None else saved != 0)


def relu6(x: Array) -> Array:
    """Return min(max(x, 0), 6) (Krizhevsky 2010)."""
    _check(x)
    return elementwise(lambda x: _clip(x, 0.0, 6.0), x)


def relu6_backward(grad_output: Array, x: Array) -> Array:
    """Return grad_output where 0 < x < 6 or x is NaN, else 0; both ends count as outside, as in torch."""
    _check_pair(grad_output, x)
    return elementwise(lambda g, x: _keep(g, ~((x <= 0) | (x >= 6))), grad_output, x)


def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """Return x where positive, else negative_slope * x (Maas et al. 2013)."""
    _check(x)
    check_number("negative_slope", negative_slope)
    return elementwise(lambda x: namespace(x).where(x > 0, x, x * negative_slope), x)


def leaky_relu_backward(grad_output: Array, x: Array, negative_slope: float = 0.01) -> Array:
    """Return grad_output where x > 0, else negative_slope * grad_output."""
    _check_pair(grad_output, x)
    check_number("negative_slope", negative_slope)
    return elementwise(lambda g, x: namespace(g).where(x > 0, g, g * negative_slope), grad_output, x)


def sigmoid(x: Array, *, return_saved: bool = False) -> Array:
    """Return 1 / (1 + exp(-x)).

    Computed from exp(-|x|), which cannot overflow: for negative x, exp(x) / (1 + exp(x)) is the same. Saved:
    the output.
    """
    _check(x)
    y = elementwise(_sigmoid, x)
    return (y, y) if return_saved else y


def sigmoid_backward(grad_output: Array, x: Array, *, saved: Array | None = None) -> Array:
    """Return grad_output * y * (1 - y) with y = sigmoid(x).

    With e = exp(-x), y = 1 / (1 + e): dy/dx = e / (1 + e)^2 = y * (1 - y).
    """
    _check_pair(grad_output, x, saved)
    y = sigmoid(x) if saved is None else saved
    return elementwise(lambda g, y: g * (1 - y) * y, grad_output, y)


def tanh(x: Array, *, return_saved: bool = False) -> Array:
    """Return the hyperbolic tangent of x. Saved: the output."""
    _check(x)
    y = elementwise(lambda x: namespace(x).tanh(x), x)
    return (y, y) if return_saved else y


def tanh_backward(grad_output: Array, x: Array, *, saved: Array | None = None) -> Array:
    """Return grad_output * (1 - y^2) with y = tanh(x), for tanh = sinh / cosh has the slope 1 - tanh^2."""
    _check_pair(grad_output, x, saved)
    y = tanh(x) if saved is None else saved
    return elementwise(lambda g, y: g * (1 - y * y), grad_output, y)


def silu(x: Array) -> Array:
    """Return x * sigmoid(x) (Elfwing et al. 2018)."""
    _check(x)
    return elementwise(lambda x: x * _sigmoid(x), x)


def silu_backward(grad_output: Array, x: Array) -> Array:
    """Return grad_output * s * (1 + x * (1 - s)) with s = sigmoid(x): the product rule."""
    _check_pair(grad_output, x)

    def slope(g: Array, x: Array) -> Array:
        s = _sigmoid(x)
        return g * s * (1 + x * (1 - s))

    return elementwise(slope, grad_output, x)


def gelu(x: Array, approximate: str = "none") -> Array:
    """Return x * P(X <= x) for a standard normal X (Hendrycks & Gimpel 2016).

    Args:
        x: any shape.
        approximate: `none` for the normal distribution itself, `tanh` for the paper's approximation
            x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))).
    """
    _check(x)
    check_choice("approximate", approximate, "none", "tanh")
    if approximate == "tanh":
        return elementwise(lambda x: 0.5 * x * (1 + _gelu_tanh(x)), x)
    return elementwise(lambda x: x * normal_cdf(_bounded(x)), x)


def gelu_backward(grad_output: Array, x: Array, approximate: str = "none") -> Array:
    """Return grad_output * (P(X <= x) + x * density(x)), by the product rule.

    The normal density is exp(-x^2 / 2) / sqrt(2 pi). With `tanh` and u = sqrt(2 / pi) * (x + 0.044715 * x^3),
    T = tanh(u): the slope is (1 + T) / 2 + x / 2 * (1 - T^2) * du/dx.
    """
    _check_pair(grad_output, x)
    check_choice("approximate", approximate, "none", "tanh")
    return elementwise(_gelu_tanh_slope if approximate == "tanh" else _gelu_slope, grad_output, x)


def softmax(x: Array, dim: int = -1, *, return_saved: bool = False) -> Array:
    """Return exp(x) / sum(exp(x)) along `dim`.

    Adding a constant to x changes nothing, for it cancels; the largest x is subtracted, so that no
    exponential overflows. Saved: the output.
    """
    _check(x)
    dim = check_axis("dim", dim, x.ndim)
    xp = namespace(x)
    if x.ndim == 0:
        return _both(x * 0 + 1, return_saved)
    exponentials = xp.exp(_below_largest(x, dim))
    return _both(exponentials / xp.sum(exponentials, axis=dim, keepdims=True), return_saved)


def softmax_backward(grad_output: Array, x: Array, dim: int = -1, *, saved: Array | None = None) -> Array:
    """Return y * (grad_output - sum(grad_output * y)) along `dim`, with y = softmax(x).

    dy_i/dx_j = y_i * ([i = j] - y_j); summed over i with the weights grad_output_i that is the formula. Each
    output depends on every input of its row: a gradient in which all are equal changes nothing.
    """
    _check_pair(grad_output, x, saved)
    dim = check_axis("dim", dim, x.ndim)
    y = softmax(x, dim) if saved is None else saved
    if x.ndim == 0:
        return grad_output * 0
    weighted = namespace(x).sum(grad_output * y, axis=dim, keepdims=True)
    return y * (grad_output - weighted)


def log_softmax(x: Array, dim: int = -1, *, return_saved: bool = False) -> Array:
    """Return x - log(sum(exp(x))) along `dim`.

    Taking the logarithm of softmax instead would lose every probability too small to be represented. Saved:
    the output.
    """
    _check(x)
    dim = check_axis("dim", dim, x.ndim)
    xp = namespace(x)
    if x.ndim == 0:
        return _both(x * 0, return_saved)
    shifted = _below_largest(x, dim)
    return _both(shifted - xp.log(xp.sum(xp.exp(shifted), axis=dim, keepdims=True)), return_saved)


def log_softmax_backward(grad_output: Array, x: Array, dim: int = -1, *, saved: Array | None = None) -> Array:
    """Return grad_output - softmax(x) * sum(grad_output) along `dim`.

    d(x_i - log sum exp x)/dx_j = [i = j] - softmax(x)_j, summed over i with the weights grad_output_i.
    """
    _check_pair(grad_output, x, saved)
    dim = check_axis("dim", dim, x.ndim)
    if x.ndim == 0:
        return grad_output * 0
    xp = namespace(x)
    y = log_softmax(x, dim) if saved is None else saved
    return grad_output - xp.exp(y) * xp.sum(grad_output, axis=dim, keepdims=True)


def _check(x: Array) -> None:
    check_float(x=x)


def _check_pair(grad_output: Array, x: Array, saved: Array | None = None) -> None:
    check_float(x=x, grad_output=grad_output, saved=saved)
    check_shape("grad_output", grad_output, x.shape)
    if saved is not None:
        check_shape("saved", saved, x.shape)


def _both(y: Array, return_saved: bool) -> Array:
    return (y, y) if return_saved else y


def _below_largest(x: Array, dim: int) -> Array:
    """Return x less its maximum along `dim`; an array without elements has none, and needs none."""
    if 0 in x.shape:
        return x
    with np.errstate(over="ignore", invalid="ignore"):  # minus infinity is near enough; inf - inf is NaN
        return x - namespace(x).max(x, axis=dim, keepdims=True)


def _rectify(x: np.ndarray, out: np.ndarray) -> None:
    np.maximum(x, _zeros(x.shape, x.dtype), out=out)


@lru_cache(maxsize=4)
def _zeros(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros to compare a piece with: NumPy takes three times as long to compare with the number 0."""
    return np.zeros(shape, dtype)


def _keep(values: Array, chosen: Array) -> Array:
    """Return `values` where `chosen`, else 0."""
    xp = namespace(values)
    return xp.where(chosen, values, xp.zeros_like(values))


def _pass_positive(grad: np.ndarray, sign: np.ndarray, out: np.ndarray) -> None:
    keep_where(grad, ~(sign <= 0), out)  # a NaN is not


def _pass_rectified(grad: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    keep_where(grad, y != 0, out)  # one comparison, for y is never below 0


def _sigmoid(x: Array) -> Array:
    xp = namespace(x)
    small = xp.exp(-xp.abs(x))  # in (0, 1]: cannot overflow
    return xp.where(x >= 0, xp.ones_like(x), small) / (1 + small)


def _gelu_tanh(x: Array) -> Array:
    x = _bounded(x)
    return namespace(x).tanh(_SQRT_2_OVER_PI * (x + _TANH_CUBIC * x * x * x))


def _gelu_tanh_slope(grad: Array, x: Array) -> Array:
    x = _bounded(x)
    t = _gelu_tanh(x)
    inner = _SQRT_2_OVER_PI * (1 + 3 * _TANH_CUBIC * x * x)
    return grad * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner)


def _bounded(x: Array) -> Array:
    """Return x within bounds from which on normal probabilities are 0 or 1, and powers cannot overflow."""
    return _clip(x, -_FAR, _FAR)


def _clip(x: Array, low: float, high: float) -> Array:
    """Return x from `low` to `high`; NumPy's own function keeps the layout."""
    return np.clip(x, low, high) if is_numpy(x) else namespace(x).clip(x, low, high)


def _gelu_slope(grad: Array, x: Array) -> Array:
    x = _bounded(x)
    density = namespace(x).exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return grad * (normal_cdf(x) + x * density)
