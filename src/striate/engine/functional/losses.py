"""Losses for classes: cross-entropy, negative log-likelihood and binary cross-entropy.

All are sums over classes of -q log p with shares q that do not depend on the network: q is 1 for the label
and 0 elsewhere, changed by class weights and label smoothing, or given. So one function makes q, and every
forward and backward reads off it. A backward takes `grad_output`, the gradient of what is done with the loss
(1 for training: a scalar for `mean` and `sum`, one number for each sample for `none`), and returns the
gradient of the first argument.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from striate.engine.backend import (
    Array,
    arange,
    check_array,
    check_choice,
    check_float,
    check_number,
    check_shape,
    check_whole,
    device,
    namespace,
    to_numpy,
)
from striate.engine.functional.activations import log_softmax, sigmoid
from striate.engine.functional.penalties import mean_divisor

IGNORE_INDEX = -100
"""The label of samples that do not count, as in torch."""


class Shares(NamedTuple):
    """How much each class's log-probability counts.

    Attributes:
        values: q, shape of the logits.
        divisor: what the mean divides the sum by: the labels' weights, or the number of samples; shape ().
            NaN where that is 0.
        counted: which samples are not ignored, to stand beside the logits; None for all.
        labelled: which class of each such sample is its label, shape of the logits; None for shares.
    """

    values: Array
    divisor: Array
    counted: Array | None = None
    labelled: Array | None = None


def cross_entropy(
    logits: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = IGNORE_INDEX,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Return -sum over classes of q_c * log softmax(logits)_c, for each sample or over all.

    For a label y with smoothing e and K classes, q_c = weight_c * ((1 - e) [c = y] + e / K) (Szegedy et al.
    2016, sec. 7). The mean divides by the sum of the labels' weights, not by the number of samples; where
    shares are given instead of labels, by the number of samples. All as in torch.

    Args:
        logits: (N, K), (K,) or (N, K, d1, ...).
        target: whole numbers, logits' shape without the classes; or shares of classes, the shape and dtype of
            logits.
        weight: (K,), of each class.
        ignore_index: a label that does not count; shares have none.
        reduction: `mean`, `sum` or `none`.
        label_smoothing: e, from 0 to 1.

    Returns:
        (), or target's shape (without the classes) for `none`.

    Raises:
        ValueError: a shape does not fit, or a label is out of range.
    """
    shares = _cross_entropy_shares(logits, target, weight, ignore_index, label_smoothing)
    losses = _weighted_sum(shares.values, log_softmax(logits, _class_axis(logits)))
    return _reduce(losses, shares.divisor, reduction)


def cross_entropy_backward(
    grad_output: Array,
    logits: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = IGNORE_INDEX,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Return grad_output * (softmax(logits) * sum of q - q), divided as in the forward.

    d log softmax_c / d logit_j = [c = j] - softmax_j; multiplied by -q_c and summed over c. For one label of
    weight 1 that is the well-known "probabilities minus one-hot label".
    """
    shares = _cross_entropy_shares(logits, target, weight, ignore_index, label_smoothing)
    xp, axis = namespace(logits), _class_axis(logits)
    probabilities = xp.exp(log_softmax(logits, axis))
    slope = probabilities * xp.sum(shares.values, axis=axis, keepdims=True) - shares.values
    return _scaled(slope, shares, grad_output, logits, reduction)


def nll_loss(
    log_probabilities: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = IGNORE_INDEX,
    reduction: str = "mean",
) -> Array:
    """Return minus the log-probability of each label: what remains of cross-entropy after log-softmax.

    Args:
        log_probabilities: (N, K), (K,) or (N, K, d1, ...).
        target: labels, whole numbers, that shape without the classes.
        weight: (K,), of each class.
        ignore_index: a label that does not count.
        reduction: `mean`, `sum` or `none`; the mean divides by the sum of the labels' weights.
    """
    shares = _label_shares(log_probabilities, target, weight, ignore_index, 0.0, "log_probabilities")
    return _reduce(_weighted_sum(shares.values, log_probabilities), shares.divisor, reduction)


def nll_loss_backward(
    grad_output: Array,
    log_probabilities: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = IGNORE_INDEX,
    reduction: str = "mean",
) -> Array:
    """Return -grad_output * weight at each label's place, 0 elsewhere, divided as in the forward."""
    shares = _label_shares(log_probabilities, target, weight, ignore_index, 0.0, "log_probabilities")
    shares = shares._replace(counted=shares.labelled)
    return _scaled(-shares.values, shares, grad_output, log_probabilities, reduction, "log_probabilities")


def binary_cross_entropy_with_logits(
    input: Array,
    target: Array,
    weight: Array | None = None,
    reduction: str = "mean",
    pos_weight: Array | None = None,
) -> Array:
    """Return -(pos_weight * t * log s + (1 - t) * log(1 - s)) with s = sigmoid(input), times weight.

    Computed as (1 - t) * z + (1 + (pos_weight - 1) * t) * log(1 + exp(-z)), the same by log s = -log(1 +
    exp(-z)), with the last logarithm as max(-z, 0) + log(1 + exp(-|z|)), which cannot overflow.

    Args:
        input: z, any shape.
        target: t, from 0 to 1, shape of input.
        weight: of each element; a shape that broadcasts to input's.
        reduction: `mean`, `sum` or `none`; the mean divides by the number of elements.
        pos_weight: of the positive class; a shape that broadcasts to input's.
    """
    weight, pos_weight = _check_binary(input, target, weight, pos_weight)
    xp = namespace(input, target)
    softplus = xp.log1p(xp.exp(-xp.abs(input))) - xp.where(input < 0, input, xp.zeros_like(input))
    losses = (1 - target) * input + _positive_factor(target, pos_weight) * softplus
    return _reduce(losses if weight is None else losses * weight, mean_divisor(input), reduction)


def binary_cross_entropy_with_logits_backward(
    grad_output: Array,
    input: Array,
    target: Array,
    weight: Array | None = None,
    reduction: str = "mean",
    pos_weight: Array | None = None,
) -> Array:
    """Return grad_output * weight * (1 - t - (1 + (pos_weight - 1) t) (1 - s)), divided as in the forward.

    d log(1 + exp(-z)) / dz = -(1 - s). Without weights it is s - t: "probability minus target".
    """
    weight, pos_weight = _check_binary(input, target, weight, pos_weight)
    slope = (1 - target) - _positive_factor(target, pos_weight) * sigmoid(-input)
    slope = slope if weight is None else slope * weight
    return slope * _scale(grad_output, input, mean_divisor(input), reduction, "input", elementwise=True)


def _cross_entropy_shares(
    logits: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float
) -> Shares:
    check_float(logits=logits)
    check_array("target", target)
    check_number("label_smoothing", label_smoothing, 0, 1)
    xp = namespace(logits, target)
    if not xp.isdtype(target.dtype, "real floating"):
        return _label_shares(logits, target, weight, ignore_index, label_smoothing)
    check_float(logits=logits, target=target, weight=weight)
    check_shape("target", target, logits.shape)
    if check_whole("ignore_index", ignore_index, None) >= 0:
        raise ValueError(f"ignore_index: expected none with shares of classes, got {ignore_index}")
    classes = logits.shape[_class_axis(logits)]
    values = target * (1 - label_smoothing) + label_smoothing / classes
    if weight is not None:
        values = values * _spread(_check_weight(weight, classes, logits), logits)
    return Shares(values, mean_divisor(logits) / classes)


def _label_shares(
    logits: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
    name: str = "logits",
) -> Shares:
    check_float(**{name: logits, "weight": weight})
    axis = _class_axis(logits, name)
    classes = int(logits.shape[axis])
    _check_labels(target, logits, classes, ignore_index)
    xp = namespace(logits, target, weight)
    labels = xp.expand_dims(target, axis=axis)
    numbers = _spread(arange(classes, logits), logits)
    hot = xp.astype(numbers == labels, logits.dtype)
    counted = labels != ignore_index
    counts = xp.astype(counted, logits.dtype)
    weights = _spread(_check_weight(weight, classes, logits), logits)
    hot = hot * counts  # ignore_index may itself be the number of a class
    values = (hot * (1 - label_smoothing) + counts * (label_smoothing / classes)) * weights
    return Shares(values, mean_divisor(hot, hot * weights), counted, hot != 0)


def _check_labels(target: Array, logits: Array, classes: int, ignore_index: int) -> None:
    check_array("target", target)
    check_whole("ignore_index", ignore_index, None)
    xp = namespace(target)
    if not xp.isdtype(target.dtype, "integral"):
        raise TypeError(f"target: expected labels, whole numbers, got {target.dtype}")
    check_shape("target", target, (*logits.shape[: _class_axis(logits)], *logits.shape[2:]))
    wrong = ((target < 0) | (target >= classes)) & (target != ignore_index)
    if xp.any(wrong):
        label = to_numpy(target)[to_numpy(wrong)][0]
        raise ValueError(f"target: expected labels from 0 to {classes - 1}, got {label}")


def _check_weight(weight: Array | None, classes: int, logits: Array) -> Array:
    if weight is None:
        return namespace(logits).ones(classes, dtype=logits.dtype, device=device(logits))
    check_shape("weight", weight, (classes,))
    return weight


def _check_binary(
    input: Array, target: Array, weight: Array | None, pos_weight: Array | None
) -> tuple[Array | None, Array | None]:
    """Return weight and pos_weight in the shape of input."""
    check_float(input=input, target=target, weight=weight, pos_weight=pos_weight)
    check_shape("target", target, input.shape)
    return _widen("weight", weight, input), _widen("pos_weight", pos_weight, input)


def _widen(name: str, values: Array | None, like: Array) -> Array | None:
    if values is None:
        return None
    try:
        return namespace(values).broadcast_to(values, like.shape)
    except (ValueError, RuntimeError):  # RuntimeError: torch
        expected = f"a shape that broadcasts to {tuple(like.shape)}"
        raise ValueError(f"{name}: expected {expected}, got {tuple(values.shape)}") from None


def _positive_factor(target: Array, pos_weight: Array | None) -> Array | float:
    return 1.0 if pos_weight is None else 1 + (pos_weight - 1) * target


def _class_axis(logits: Array, name: str = "logits") -> int:
    """Return the axis of the classes: the second, or the only one; there is a class at least."""
    axis = 0 if logits.ndim == 1 else 1
    if logits.ndim < 1 or logits.shape[axis] < 1:
        raise ValueError(f"{name}: expected (N, K), (K,) or (N, K, d1, ...), got shape {tuple(logits.shape)}")
    return axis


def _spread(values: Array, logits: Array) -> Array:
    """(K,) as (1, K, 1, ...), to stand beside the logits."""
    if logits.ndim == 1:
        return values
    return namespace(values).reshape(values, (1, -1, *(1,) * (logits.ndim - 2)))


def _weighted_sum(shares: Array, log_probabilities: Array) -> Array:
    """Return -sum of shares * log_probabilities over classes; a share of 0 silences even an infinite one."""
    xp = namespace(shares)
    with np.errstate(invalid="ignore"):  # 0 times infinity
        terms = xp.where(shares == 0, xp.zeros_like(shares), shares * log_probabilities)
    return -xp.sum(terms, axis=_class_axis(shares))


def _reduce(losses: Array, divisor: Array | float, reduction: str) -> Array:
    check_choice("reduction", reduction, "mean", "sum", "none")
    if reduction == "none":
        return losses
    total = namespace(losses).sum(losses)
    return total / divisor if reduction == "mean" else total


def _scaled(
    slope: Array,
    shares: Shares,
    grad_output: Array,
    logits: Array,
    reduction: str,
    name: str = "logits",
) -> Array:
    """Return the gradient of logits: the slope times `_scale`, and 0 for what is ignored.

    So all of it is 0, as in torch, where no sample counts and the mean is NaN.
    """
    grad = slope * _scale(grad_output, logits, shares.divisor, reduction, name)
    if shares.counted is None:
        return grad
    xp = namespace(grad)
    return xp.where(shares.counted, grad, xp.zeros_like(grad))


def _scale(
    grad_output: Array,
    logits: Array,
    divisor: Array | float,
    reduction: str,
    name: str,
    elementwise: bool = False,
) -> Array:
    """Return what the slopes are multiplied by: grad_output, divided as the reduction does."""
    check_choice("reduction", reduction, "mean", "sum", "none")
    check_float(**{name: logits, "grad_output": grad_output})
    if reduction != "none":
        check_shape("grad_output", grad_output, ())
        return grad_output / divisor if reduction == "mean" else grad_output
    axis = _class_axis(logits) if not elementwise else 0
    expected = logits.shape if elementwise else (*logits.shape[:axis], *logits.shape[axis + 1 :])
    check_shape("grad_output", grad_output, expected)
    return grad_output if elementwise else namespace(grad_output).expand_dims(grad_output, axis=axis)
