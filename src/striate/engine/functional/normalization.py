"""Batch normalisation (Ioffe & Szegedy 2015)."""

from __future__ import annotations

from collections.abc import Collection
from math import prod
from typing import NamedTuple

from striate.engine.backend import (
    Array,
    check_float,
    check_number,
    check_shape,
    check_whole,
    is_numpy,
    namespace,
    zeros,
)
from striate.engine.functional import normalization_numpy
from striate.engine.functional.linear import check_needs

GRADIENTS = ("x", "weight", "bias")
"""What `batch_norm_backward` can return, in its order."""


class Statistics(NamedTuple):
    """What x was normalised with, each (C,).

    Attributes:
        mean: of each channel.
        inverse_deviation: 1 / sqrt(variance + eps).
        variance: of each channel, the squares' sum divided by their number (not by one less).
        values: how many values of each channel they were measured on; 0 for running statistics.
        running_mean: the running mean after this batch, None where there is none or it does not change.
        running_var: the running variance likewise.
    """

    mean: Array
    inverse_deviation: Array
    variance: Array
    values: int = 0
    running_mean: Array | None = None
    running_var: Array | None = None


def batch_norm(
    x: Array,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    return_saved: bool = False,
) -> Array | tuple[Array, Statistics]:
    """Return weight * (x - mean) / sqrt(variance + eps) + bias, channel by channel.

    While training, mean and variance are those of x itself, taken over the batch and all positions of a
    channel; else they are `running_mean` and `running_var`. Unlike in torch, nothing is changed here: what
    torch writes into the running statistics is returned with the saved values, or computed by
    `update_running`.

    Args:
        x: (N, C) or (N, C, ...).
        running_mean: (C,).
        running_var: (C,).
        weight: (C,), or None for ones.
        bias: (C,), or None for zeros.
        training: normalise with the batch's own statistics; an empty batch has none and changes none.
        momentum: the batch's share in the running statistics that are returned with `Statistics`.
        eps: keeps a constant channel from a division by zero.
        return_saved: return (y, `Statistics`).

    Raises:
        ValueError: shapes that do not fit; or training with a single value in each channel.
    """
    check_float(x=x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    _check_channels(x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    check_number("eps", eps, 0)
    check_number("momentum", momentum)
    own = _uses_batch(running_mean, running_var, training)
    statistics = _measure(x, eps, training) if own else _running(running_mean, running_var, eps)
    scale = statistics.inverse_deviation if weight is None else statistics.inverse_deviation * weight
    if is_numpy(x):
        y = normalization_numpy.normalize(x, statistics.mean, scale, bias)
    else:
        y = (x - _spread(statistics.mean, x)) * _spread(scale, x)
        y = y if bias is None else y + _spread(bias, x)
    if not return_saved:
        return y
    if own and running_mean is not None:
        running = running_mean, running_var
        after = update_running(statistics, *running, momentum) if _count(x) else running
        statistics = statistics._replace(running_mean=after[0], running_var=after[1])
    return y, statistics


def batch_norm_backward(
    grad_output: Array,
    x: Array,
    weight: Array | None = None,
    training: bool = False,
    eps: float = 1e-5,
    *,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    saved: Statistics | None = None,
    needs: Collection[str] = GRADIENTS,
) -> tuple[Array | None, Array | None, Array | None]:
    """Return the gradients of x, weight and bias; None for those that are not in `needs`.

    With z = (x - mean) * r, r = 1 / sqrt(variance + eps), y = weight * z + bias and n values in a channel:

        d bias = sum of dy,   d weight = sum of dy * z
        dx = weight * r * (dy - d bias / n - z * d weight / n)

    The last line is the chain rule with mean and variance themselves functions of every x in the channel:
    d mean / dx = 1 / n gives the second term, d variance / dx = 2 (x - mean) / n the third. Adding a constant
    to a channel, or scaling it, changes no output, so dx has no part in those two directions. With running
    statistics, which are constants, dx = weight * r * dy.

    Args:
        grad_output: of the output's shape.
        x: as in the forward.
        weight: as in the forward.
        training: as in the forward; `saved` tells it by itself.
        eps: as in the forward.
        running_mean: as in the forward; without training, x was normalised with it.
        running_var: likewise.
        saved: what the forward returned with `return_saved=True`; takes the place of the four above.
        needs: out of `x`, `weight`, `bias`.

    Raises:
        ValueError: shapes that do not fit, or neither `saved`, running statistics nor training.
        TypeError: `saved` that is none of the forward's.
    """
    check_float(
        x=x, grad_output=grad_output, running_mean=running_mean, running_var=running_var, weight=weight
    )
    _check_channels(x, running_mean=running_mean, running_var=running_var, weight=weight)
    check_shape("grad_output", grad_output, x.shape)
    check_number("eps", eps, 0)
    wanted = check_needs(needs, GRADIENTS)
    if saved is not None:
        _check_saved(saved, x)
        own = saved.values > 0
    else:
        own = _uses_batch(running_mean, running_var, training)
        saved = _measure(x, eps, training) if own else _running(running_mean, running_var, eps)
    xp = namespace(grad_output, x)
    scale = saved.inverse_deviation if weight is None else saved.inverse_deviation * weight
    numpy_path = is_numpy(grad_output, x)
    if numpy_path:
        grad_bias, grad_weight = normalization_numpy.gradient_sums(grad_output, x, saved)
    else:
        z = (x - _spread(saved.mean, x)) * _spread(saved.inverse_deviation, x)
        grad_bias, grad_weight = (xp.sum(v, axis=_axes(x)) for v in (grad_output, grad_output * z))
    grad_x = None
    if "x" in wanted and not own:
        grad_x = grad_output * _spread(scale, x)
    elif "x" in wanted and numpy_path:
        grad_x = normalization_numpy.gradient_of_x(grad_output, x, saved, scale, grad_bias, grad_weight)
    elif "x" in wanted:
        n = max(1, _count(x))
        along = _spread(grad_bias / n, x) + z * _spread(grad_weight / n, x)
        grad_x = _spread(scale, x) * (grad_output - along)
    return (
        grad_x,
        grad_weight if "weight" in wanted else None,
        grad_bias if "bias" in wanted else None,
    )


def update_running(
    source: Array | Statistics,
    running_mean: Array,
    running_var: Array,
    momentum: float | None = 0.1,
    *,
    num_batches_tracked: int | None = None,
) -> tuple[Array, Array]:
    """Return the running statistics after a batch: (1 - momentum) * old + momentum * new.

    The running variance takes the *unbiased* variance, the squares' sum divided by n - 1, although the batch
    itself was normalised with the one divided by n: an estimate for images not seen should not be too small
    on average. Both are torch's conventions, its momentum included (elsewhere momentum often names the old's
    share).

    Args:
        source: the batch x (N, C, ...), or what `batch_norm` saved of it in training.
        running_mean: (C,).
        running_var: (C,).
        momentum: the new one's share; None for 1 / num_batches_tracked, which makes the running statistics
            the plain mean over all batches.
        num_batches_tracked: how many batches there have been, this one included; needed for that only.

    Raises:
        ValueError: no share and no number of batches, no finite share, or statistics that were not measured
            on a batch.
        TypeError: a share that is no number, or arrays of different dtypes.
    """
    if momentum is None:
        if num_batches_tracked is None:
            raise ValueError("num_batches_tracked: expected the number of batches so far, got None")
        momentum = 1 / check_whole("num_batches_tracked", num_batches_tracked)
    check_number("momentum", momentum)
    statistics = source if isinstance(source, Statistics) else _measure_batch(source)
    check_float(source=statistics.mean, running_mean=running_mean, running_var=running_var)
    check_shape("running_mean", running_mean, statistics.mean.shape)
    check_shape("running_var", running_var, statistics.mean.shape)
    if statistics.values < 2:
        raise ValueError("source: expected a batch, or what batch_norm saved of one in training")
    unbiased = statistics.variance * (statistics.values / (statistics.values - 1))
    mean = (1 - momentum) * running_mean + momentum * statistics.mean
    return mean, (1 - momentum) * running_var + momentum * unbiased


def _measure_batch(x: Array) -> Statistics:
    check_float(source=x)
    _check_dimensions("source", x)
    if _count(x) < 2:
        raise ValueError(f"source: expected more than one value in each channel, got shape {tuple(x.shape)}")
    return _measure(x, 1.0, training=True)  # the deviation, which alone depends on eps, is not asked for


def _measure(x: Array, eps: float, training: bool) -> Statistics:
    if training and _count(x) == 1:
        raise ValueError(
            f"x: expected more than one value in each channel while training, got shape {tuple(x.shape)}; "
            "give at least two images (of a batch size that leaves no single one over), or evaluate"
        )
    xp = namespace(x)
    if not _count(x):
        mean = variance = zeros((x.shape[1],), x)
    elif is_numpy(x):
        mean, variance = normalization_numpy.moments(x)
    else:
        mean = xp.mean(x, axis=_axes(x))
        deviation = x - _spread(mean, x)
        variance = xp.mean(deviation * deviation, axis=_axes(x))
    return Statistics(mean, 1 / xp.sqrt(variance + eps), variance, _count(x))


def _running(running_mean: Array, running_var: Array, eps: float) -> Statistics:
    xp = namespace(running_mean)
    return Statistics(running_mean, 1 / xp.sqrt(running_var + eps), running_var)


def _uses_batch(running_mean: Array | None, running_var: Array | None, training: bool) -> bool:
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_var: expected running_mean and running_var, or neither; got one of them")
    if running_mean is None and not training:
        raise ValueError("running_mean: expected running statistics, or training=True; got neither")
    return training


def _check_saved(saved: Statistics, x: Array) -> None:
    if not isinstance(saved, Statistics):
        raise TypeError(
            f"saved: expected the Statistics that batch_norm returned, got {type(saved).__name__}"
        )
    check_float(**{"x": x, "saved.mean": saved.mean, "saved.inverse_deviation": saved.inverse_deviation})
    for name in ("mean", "inverse_deviation"):
        check_shape(f"saved.{name}", getattr(saved, name), x.shape[1:2])
    if saved.values not in (0, _count(x)):
        raise ValueError(f"saved: expected statistics of {_count(x)} values a channel, got {saved.values}")


def _check_dimensions(name: str, x: Array) -> None:
    if x.ndim < 2:
        raise ValueError(f"{name}: expected (N, C) or (N, C, ...), got shape {tuple(x.shape)}")


def _check_channels(x: Array, **arrays: Array | None) -> None:
    _check_dimensions("x", x)
    for name, array in arrays.items():
        if array is not None:
            check_shape(name, array, x.shape[1:2])


def _axes(x: Array) -> tuple[int, ...]:
    """All axes but that of the channels."""
    return (0, *range(2, x.ndim))


def _count(x: Array) -> int:
    return prod(x.shape[axis] for axis in _axes(x))


def _spread(values: Array, x: Array) -> Array:
    """(C,) as (1, C, 1, ...), to stand beside x."""
    return namespace(values).reshape(values, (1, -1, *(1,) * (x.ndim - 2)))
