"""Squared error, and the penalty on large weights."""

from __future__ import annotations

import math

from striate.engine.backend import (
    Array,
    check_choice,
    check_float,
    check_number,
    check_shape,
    full,
    namespace,
)


def mse_loss(input: Array, target: Array, reduction: str = "mean", weight: Array | None = None) -> Array:
    """Return (input - target)^2, its sum, or its mean.

    Args:
        input: any shape.
        target: shape of input; unlike in torch, nothing is broadcast.
        reduction: `mean`, `sum` or `none`.
        weight: of each element, shape of input; the mean then divides by the sum of the weights.
    """
    _check(input, target, weight, reduction)
    xp = namespace(input, target, weight)
    errors = (input - target) * (input - target)
    errors = errors if weight is None else errors * weight
    if reduction == "none":
        return errors
    total = xp.sum(errors)
    return total / mean_divisor(input, weight) if reduction == "mean" else total


def mse_loss_backward(
    grad_output: Array, input: Array, target: Array, reduction: str = "mean", weight: Array | None = None
) -> Array:
    """Return grad_output * 2 (input - target), weighted and divided as in the forward.

    The target's gradient is the negative of it.

    Args:
        grad_output: (), or shape of input for `none`.
        input: as in the forward.
        target: as in the forward.
        reduction: as in the forward.
        weight: as in the forward.
    """
    _check(input, target, weight, reduction)
    check_float(input=input, grad_output=grad_output)
    check_shape("grad_output", grad_output, input.shape if reduction == "none" else ())
    slope = 2 * (input - target)
    slope = slope if weight is None else slope * weight
    return slope * (grad_output / mean_divisor(input, weight) if reduction == "mean" else grad_output)


def l2_penalty(weight: Array, strength: float) -> Array:
    """Return strength * (sum over all elements of w^2).

    There is no factor 1/2 here, so the gradient has a 2; an optimizer's `weight_decay` d corresponds to
    strength = d / 2 (without momentum or adaptive steps, whose order of operations tells the two apart).
    """
    check_float(weight=weight)
    check_number("strength", strength)
    return strength * namespace(weight).sum(weight * weight)


def l2_penalty_backward(grad_output: Array | float, weight: Array, strength: float) -> Array:
    """Return grad_output * 2 * strength * w, in the shape of weight."""
    check_float(weight=weight)
    check_number("strength", strength)
    if not isinstance(grad_output, int | float):
        check_float(weight=weight, grad_output=grad_output)
        check_shape("grad_output", grad_output, ())
    return (2 * strength * grad_output) * weight


def _check(input: Array, target: Array, weight: Array | None, reduction: str) -> None:
    check_choice("reduction", reduction, "mean", "sum", "none")
    check_float(input=input, target=target, weight=weight)
    check_shape("target", target, input.shape)
    if weight is not None:
        check_shape("weight", weight, input.shape)


def mean_divisor(input: Array, weight: Array | None = None) -> Array | float:
    """Return what a mean divides by: the number of elements, or the sum of their weights.

    NaN where it is 0: the mean of nothing is NaN, as in torch, and no library warns of a division by NaN.
    """
    if weight is None:
        return float(math.prod(input.shape)) or math.nan
    xp, total = namespace(weight), namespace(weight).sum(weight)
    return xp.where(total == 0, full((), math.nan, total), total)
