"""Adaptive pooling: as many windows as asked for, spread over the map.

Along an axis of length L, window i of n reaches from floor(i L / n) to ceil((i + 1) L / n), the end excluded;
neighbours may overlap by one element. Where n divides L these are plain windows of size and stride L / n.
"""

from __future__ import annotations

from math import prod

from striate.engine.backend import (
    Array,
    check_dtype,
    check_float,
    check_ndim,
    check_shape,
    check_whole,
    namespace,
    zeros,
)
from striate.engine.functional.average_pooling import avg_pool2d, avg_pool2d_backward
from striate.engine.functional.max_pooling import max_pool2d, max_pool2d_backward

OutputSize = int | None | tuple[int | None, int | None]
"""One number for height and width or one for each; None leaves an axis as it is."""

Spans = list[tuple[int, int]]
"""Where windows begin and end along one axis."""


def adaptive_avg_pool2d(x: Array, output_size: OutputSize) -> Array:
    """Return the mean of each of `output_size` windows; 1 is global average pooling.

    That idea is from Lin et al. 2014, sec. 3.2. The mean over a rectangle is the mean over its rows of the
    means over its columns.

    Args:
        x: (N, C, H, W) or (C, H, W).
        output_size: (H', W').
    """
    size = _output_size(x, output_size)
    kernel = _even_windows(x, size)
    if kernel is not None:
        return avg_pool2d(x, kernel)
    xp = namespace(x)
    wide = [xp.mean(x[..., a:b], axis=-1) for a, b in spans(x.shape[-1], size[1])]
    columns = xp.stack(wide, axis=-1)
    tall = [xp.mean(columns[..., a:b, :], axis=-2) for a, b in spans(x.shape[-2], size[0])]
    return xp.stack(tall, axis=-2)


def adaptive_avg_pool2d_backward(grad_output: Array, x: Array, output_size: OutputSize) -> Array:
    """Return each window's gradient, divided among its elements, and summed where windows overlap.

    Args:
        grad_output: of the output's shape.
        x: as in the forward; only its shape counts.
        output_size: as in the forward.
    """
    size = _check_backward(grad_output, x, output_size)
    kernel = _even_windows(x, size)
    if kernel is not None:
        return avg_pool2d_backward(grad_output, x, kernel)
    columns = zeros((*x.shape[:-2], size[0], x.shape[-1]), x)
    for i, (a, b) in enumerate(spans(x.shape[-1], size[1])):
        columns[..., a:b] += grad_output[..., i : i + 1] / (b - a)
    grad_x = zeros(x.shape, x)
    for i, (a, b) in enumerate(spans(x.shape[-2], size[0])):
        grad_x[..., a:b, :] += columns[..., i : i + 1, :] / (b - a)
    return grad_x


def adaptive_max_pool2d(
    x: Array, output_size: OutputSize, return_indices: bool = False, *, return_saved: bool = False
) -> Array | tuple[Array, Array]:
    """Return the maximum of each of `output_size` windows; of equal values the first in reading order counts.

    A NaN wins over everything, and the last one over those before it, as in torch.

    Args:
        x: (N, C, H, W) or (C, H, W).
        output_size: (H', W').
        return_indices: return (y, indices): each maximum's place in its map, row * W + column, int64.
        return_saved: the same, for the backward.
    """
    size = _output_size(x, output_size)
    return_indices = return_indices or return_saved
    kernel = _even_windows(x, size)
    if kernel is not None:
        return max_pool2d(x, kernel, return_indices=return_indices)
    xp = namespace(x)
    maxima, indices = [], []
    for top, bottom in spans(x.shape[-2], size[0]):
        for left, right in spans(x.shape[-1], size[1]):
            elements = (bottom - top) * (right - left)
            window = xp.reshape(x[..., top:bottom, left:right], (*x.shape[:-2], elements))
            place = _first_largest(window)
            maxima.append(xp.max(window, axis=-1))
            row, column = place // (right - left), place % (right - left)
            indices.append((top + row) * x.shape[-1] + left + column)
    shape = (*x.shape[:-2], *size)
    y = xp.reshape(xp.stack(maxima, axis=-1), shape)
    return (y, xp.reshape(xp.stack(indices, axis=-1), shape)) if return_indices else y


def adaptive_max_pool2d_backward(
    grad_output: Array, x: Array, output_size: OutputSize, *, saved: Array | None = None
) -> Array:
    """Return grad_output sent back to where each maximum stood, summed where windows share it.

    Args:
        grad_output: of the output's shape.
        x: as in the forward; only its shape counts if `saved` is given.
        output_size: as in the forward.
        saved: what the forward returned with `return_saved=True`.
    """
    size = _check_backward(grad_output, x, output_size)
    kernel = _even_windows(x, size)
    if kernel is not None and saved is None:
        return max_pool2d_backward(grad_output, x, kernel)
    if saved is None:
        saved = adaptive_max_pool2d(x, size, return_saved=True)[1]
    check_shape("saved", saved, grad_output.shape)
    check_dtype("saved", saved, "int64", "what adaptive_max_pool2d returns with return_saved=True")
    xp = namespace(x)
    shape = (prod(x.shape[:-2]), *size)
    grads, places = xp.reshape(grad_output, shape), xp.reshape(saved, shape)
    grad_x = zeros((grads.shape[0], *x.shape[-2:]), x)
    width = x.shape[-1]
    for i, (top, bottom) in enumerate(spans(x.shape[-2], size[0])):
        for j, (left, right) in enumerate(spans(width, size[1])):
            place = places[:, i, j][:, None, None]
            rows = xp.arange(top, bottom, dtype=place.dtype, device=place.device)[:, None]
            columns = xp.arange(left, right, dtype=place.dtype, device=place.device)
            chosen = rows * width + columns == place
            grad = grads[:, i, j][:, None, None]
            grad_x[:, top:bottom, left:right] += xp.where(chosen, grad, xp.zeros_like(grad))
    return xp.reshape(grad_x, x.shape)


def _first_largest(window: Array) -> Array:
    """Return the place (...) of the first largest of n elements (..., n), or of the last NaN."""
    xp = namespace(window)
    undefined = xp.isnan(window)
    backwards = xp.astype(xp.flip(undefined, axis=-1), xp.int8)
    last = window.shape[-1] - 1 - xp.argmax(backwards, axis=-1)
    return xp.where(xp.any(undefined, axis=-1), last, xp.argmax(window, axis=-1))


def spans(length: int, count: int) -> Spans:
    """Return where each of `count` windows along an axis begins and ends (excluded)."""
    return [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


def _output_size(x: Array, output_size: OutputSize) -> tuple[int, int]:
    check_float(x=x)
    check_ndim("x", x, (3, 4), "(N, C, H, W) or (C, H, W)")
    asked = check_output_size(output_size)
    lengths = (int(x.shape[-2]), int(x.shape[-1]))
    if min(lengths) < 1:
        raise ValueError(f"x: expected maps of at least 1 x 1, got {lengths}")
    rows, columns = (length if one is None else one for one, length in zip(asked, lengths, strict=True))
    return (rows, columns)


def check_output_size(output_size: OutputSize) -> tuple[int | None, int | None]:
    """Return `output_size` as (height, width), or refuse what is none."""
    both = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size, output_size)
    if len(both) != 2:
        raise ValueError(f"output_size: expected one number or two (height, width), got {output_size!r}")
    rows, columns = (None if one is None else check_whole("output_size", one) for one in both)
    return (rows, columns)


def _check_backward(grad_output: Array, x: Array, output_size: OutputSize) -> tuple[int, int]:
    size = _output_size(x, output_size)
    check_float(x=x, grad_output=grad_output)
    check_shape("grad_output", grad_output, (*x.shape[:-2], *size))
    return size


def _even_windows(x: Array, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the size of plain windows that do the same, where there are such."""
    if x.shape[-2] % size[0] or x.shape[-1] % size[1]:
        return None
    return (x.shape[-2] // size[0], x.shape[-1] // size[1])
