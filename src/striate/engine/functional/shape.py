"""Changing an array's shape."""

from __future__ import annotations

from math import prod

from striate.engine.backend import Array, check_array, check_axis, check_shape, namespace


def flatten(x: Array, start_dim: int = 1, end_dim: int = -1) -> Array:
    """Return x with the dimensions from `start_dim` to `end_dim` (included) as one.

    By default (N, C, H, W) becomes (N, C * H * W).

    Raises:
        ValueError: x has no such dimensions, or the first comes after the last.
    """
    shape = _flat_shape(x, start_dim, end_dim)
    return namespace(x).reshape(x, shape)


def flatten_backward(grad_output: Array, x: Array, start_dim: int = 1, end_dim: int = -1) -> Array:
    """Return grad_output in the shape of x: every element keeps its gradient."""
    check_shape("grad_output", grad_output, _flat_shape(x, start_dim, end_dim))
    return namespace(grad_output).reshape(grad_output, x.shape)


def _flat_shape(x: Array, start_dim: int, end_dim: int) -> tuple[int, ...]:
    check_array("x", x)
    start, end = check_axis("start_dim", start_dim, x.ndim), check_axis("end_dim", end_dim, x.ndim)
    if start > end:
        raise ValueError(f"start_dim: expected at most end_dim {end_dim}, got {start_dim}")
    shape = tuple(x.shape)
    return (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :])
