"""The fully connected layer: a matrix product."""

from __future__ import annotations

from collections.abc import Collection, Set
from math import prod

import numpy as np

from striate.engine import blas, parallel
from striate.engine.backend import Array, check_float, check_ndim, check_shape, is_numpy, namespace

GRADIENTS = ("x", "weight", "bias")
"""What `linear_backward` can return, in its order."""

MULTIPLY_ADDS = 1 << 22
"""Of a product, from which on it is worth being cut: a fraction of a millisecond."""

STRIPS = 4
"""Into which a large product is cut along the longer side of its result."""


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Return x W^T + b: y[..., o] = b[o] + sum over i of weight[o, i] * x[..., i].

    Args:
        x: (..., in_features), any number of leading dimensions.
        weight: (out_features, in_features), or (in_features,) for one output without a dimension of its own.
        bias: (out_features,), or () for such a weight.

    Returns:
        (..., out_features), or (...).

    Raises:
        ValueError: the shapes do not fit; nothing is broadcast.
    """
    _check(x, weight)
    check_float(x=x, weight=weight, bias=bias)
    if bias is not None:
        check_shape("bias", bias, weight.shape[:-1])
    xp = namespace(x, weight, bias)
    rows = _rows(x, weight.shape[-1])
    y = _product(rows, _as_matrix(weight).T)
    if bias is not None:
        y += bias  # y is new, so it may be changed
    return xp.reshape(y, (*x.shape[:-1], *weight.shape[:-1]))


def linear_backward(
    grad_output: Array, x: Array, weight: Array, needs: Collection[str] = GRADIENTS
) -> tuple[Array | None, Array | None, Array | None]:
    """Return the gradients of x, weight and bias; None for those that are not in `needs`.

    With dY = grad_output as rows (N, out) and x as rows (N, in):

        dX = dY W,   dW = dY^T X,   db = sum of the rows of dY

    y[n, o] contains weight[o, i] * x[n, i]: its slope by x[n, i] is weight[o, i], summed over the outputs o;
    by weight[o, i] it is x[n, i], summed over the batch n; by b[o] it is 1.

    Args:
        grad_output: of the output's shape.
        x: as in the forward.
        weight: as in the forward.
        needs: out of `x`, `weight`, `bias`.
    """
    _check(x, weight)
    check_float(x=x, weight=weight, grad_output=grad_output)
    check_shape("grad_output", grad_output, (*x.shape[:-1], *weight.shape[:-1]))
    wanted = check_needs(needs, GRADIENTS)
    xp = namespace(grad_output, x, weight)
    matrix = _as_matrix(weight)
    grads = _rows(grad_output, matrix.shape[0]) if weight.ndim == 2 else xp.reshape(grad_output, (-1, 1))
    grad_x = xp.reshape(_product(grads, matrix), x.shape) if "x" in wanted else None
    grad_weight = None
    if "weight" in wanted:
        grad_weight = xp.reshape(_product(grads.T, _rows(x, matrix.shape[1])), weight.shape)
    grad_bias = xp.reshape(xp.sum(grads, axis=0), weight.shape[:-1]) if "bias" in wanted else None
    return grad_x, grad_weight, grad_bias


def check_needs(needs: Collection[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Return `needs` as a tuple, or refuse what is not among the `known` names."""
    if not isinstance(needs, tuple | list | Set) or not all(
        isinstance(name, str) and name in known for name in needs
    ):
        raise ValueError(f"needs: expected names out of {known}, got {needs!r}")
    return tuple(needs)


def _check(x: Array, weight: Array) -> None:
    check_float(x=x)
    check_ndim("weight", weight, (1, 2), "(out_features, in_features) or (in_features,)")
    if x.ndim < 1 or x.shape[-1] != weight.shape[-1]:
        raise ValueError(f"x: expected (..., {weight.shape[-1]}) for this weight, got {tuple(x.shape)}")


def _rows(x: Array, features: int) -> Array:
    """X (..., features) as (N, features)."""
    return x if x.ndim == 2 else namespace(x).reshape(x, (prod(x.shape[:-1]), features))


def _as_matrix(weight: Array) -> Array:
    return weight if weight.ndim == 2 else weight[None, :]


def _product(left: Array, right: Array) -> Array:
    """Return left (M, K) @ right (K, N).

    NumPy's own threads would wait for the next product at full speed and keep the engine's from working, and
    their number would show in the last digits. So strips of the result are given to the engine's threads.
    """
    if not is_numpy(left, right):
        return namespace(left, right).matmul(left, right)
    rows, columns = left.shape[0], right.shape[1]
    result = np.empty((rows, columns), left.dtype)
    along_rows = rows >= columns
    length = max(rows, columns)
    cut = rows * columns * left.shape[1] >= MULTIPLY_ADDS

    def multiply(part: slice) -> None:
        if along_rows:
            np.matmul(left[part], right, out=result[part])
        else:
            np.matmul(left, right[:, part], out=result[:, part])

    with blas.one_thread():
        parallel.run(multiply, parallel.pieces(length, 1, -(-length // STRIPS) if cut else max(1, length)))
    return result
