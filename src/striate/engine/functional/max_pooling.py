"""Max pooling: the largest value of every window."""

from __future__ import annotations

from math import prod

import numpy as np

from striate.engine import parallel
from striate.engine.backend import (
    Array,
    Pair,
    arange,
    check_dtype,
    check_float,
    check_shape,
    from_numpy,
    full,
    is_numpy,
    namespace,
    zeros,
)
from striate.engine.elementwise import keep_where
from striate.engine.functional.windows import Windows, as_images, as_maps, lay_windows
from striate.engine.parallel import pieces, run

MANY_PIECES = 6
"""Of two megabytes, from which on threads gain more by sharing windows than they lose by waiting."""


def max_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    return_saved: bool = False,
) -> Array | tuple[Array, Array]:
    """Return the maximum of each window.

        y[p, q] = max over i, j of x[p s + i d - pad, q s + j d - pad]

    Padding counts as minus infinity, so it never wins. Of equal values the first one in reading order wins,
    and a NaN wins over everything, both as in torch.

    Args:
        x: (N, C, H, W) or (C, H, W).
        kernel_size: of a window.
        stride: from one window to the next; None for the window's size.
        padding: around the map, at most half of a window.
        dilation: from one element of a window to the next.
        ceil_mode: a last window may hang over the end.
        return_indices: return (y, indices) too: each maximum's place in its map, row * W + column, int64.
        return_saved: return (y, saved) instead: each maximum's place in its window, a small whole number.

    Returns:
        (N, C, H', W') or (C, H', W'); see `lay_windows` for the sizes.

    Raises:
        ValueError: the arguments do not fit, or both `return_indices` and `return_saved`.
    """
    check_float(x=x)
    if return_indices and return_saved:
        raise ValueError("return_saved: expected return_indices or return_saved, got both")
    windows = lay_windows(x, kernel_size, stride, padding, dilation, ceil_mode)
    (maps,) = as_maps(x)
    pooled = (_pool_numpy if is_numpy(x) else _pool)(maps, windows)
    y, choice = (as_images(array, x.shape[:-2]) for array in pooled)
    if return_saved:
        return y, choice
    return (y, _flat_indices(choice, windows)) if return_indices else y


def max_pool2d_backward(
    grad_output: Array,
    x: Array,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    *,
    saved: Array | None = None,
) -> Array:
    """Return grad_output sent back to where each maximum stood.

    A window's output changes with its largest element alone, with slope 1; the others do not matter. An
    element that is the maximum of several windows gets the sum of their gradients.

    Args:
        grad_output: of the output's shape.
        x: as in the forward; only its shape counts if `saved` is given.
        kernel_size: as in the forward.
        stride: as in the forward.
        padding: as in the forward.
        dilation: as in the forward.
        ceil_mode: as in the forward.
        saved: what the forward returned with `return_saved=True`; no flat indices.

    Raises:
        ValueError: the shapes do not fit.
        TypeError: `saved` of another dtype than the forward's.
    """
    check_float(x=x, grad_output=grad_output)
    windows = lay_windows(x, kernel_size, stride, padding, dilation, ceil_mode)
    check_shape("grad_output", grad_output, (*x.shape[:-2], *windows.counts))
    if saved is None:
        saved = max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode, return_saved=True)[1]
    check_shape("saved", saved, grad_output.shape)
    check_dtype("saved", saved, _choice_dtype(windows).name, "what max_pool2d returns with return_saved=True")
    scatter = _scatter_numpy if is_numpy(grad_output, saved) else _scatter
    grads, choice = as_maps(grad_output, saved)
    return as_images(scatter(grads, choice, windows), x.shape[:-2])


def _pool(maps: Array, windows: Windows) -> tuple[Array, Array]:
    """Return maxima and their places in the windows, both (P, H', W', D), in any array library.

    All windows' first elements form one strided slice of the map, all second elements another, and so on: the
    maximum of all windows takes as many steps as a window has elements, each over the whole map.
    """
    xp = namespace(maps)
    padded = windows.pad(maps, -float("inf"))
    shape = (maps.shape[0], *windows.counts, maps.shape[3])
    best = full(shape, -float("inf"), maps)
    choice = xp.broadcast_to(from_numpy(_first_inside(windows), maps), shape)
    for number, place in windows.offsets():
        values = padded[place]
        better = (values > best) | xp.isnan(values)
        best = xp.where(better, values, best)
        choice = xp.where(better, xp.full_like(choice, number), choice)
    return best, choice


def _scatter(grads: Array, choice: Array, windows: Windows) -> Array:
    """Return grads (P, H', W', D) at the places that `choice` names, summed: (P, H, W, D)."""
    xp = namespace(grads)
    padded = zeros((grads.shape[0], *windows.padded_size, grads.shape[3]), grads)
    nothing = xp.zeros_like(grads)
    for number, place in windows.offsets():
        padded[place] += xp.where(choice == number, grads, nothing)
    return padded[windows.body]


def _choice_dtype(windows: Windows) -> np.dtype:
    """Return the smallest type for an element's number in a window."""
    return np.min_scalar_type(prod(windows.kernel) - 1)


def _first_inside(windows: Windows) -> np.ndarray:
    """Return (H', W', 1): the number of each window's first element that is not padding.

    It is the choice where all values are minus infinity, and so none is larger than the start.
    """
    rows, columns = (
        np.maximum(0, -(windows.starts(axis) // windows.dilation[axis])) for axis in (0, 1)
    )  # the smallest i with start + i * dilation >= 0
    numbers: np.ndarray = rows[:, None] * windows.kernel[1] + columns[None, :]
    return numbers[:, :, None].astype(_choice_dtype(windows))


def _flat_indices(choice: Array, windows: Windows) -> Array:
    """Return places in maps, row * W + column, int64, for places in windows (..., H', W')."""
    xp = namespace(choice)
    wide = xp.astype(choice, xp.int64)
    steps = (wide // windows.kernel[1], wide % windows.kernel[1])
    row_starts = arange(windows.counts[0], choice) * windows.stride[0] - windows.padding[0]
    column_starts = arange(windows.counts[1], choice) * windows.stride[1] - windows.padding[1]
    rows = row_starts[:, None] + steps[0] * windows.dilation[0]
    return rows * windows.size[1] + column_starts + steps[1] * windows.dilation[1]


def _pool_numpy(maps: np.ndarray, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Do what `_pool` does, a few maps at a time."""
    shape = (len(maps), *windows.counts, maps.shape[3])
    y, choice = np.empty(shape, maps.dtype), np.empty(shape, _choice_dtype(windows))
    simple = windows.inside and choice.dtype == np.uint8

    def work(part: slice) -> None:
        if not simple or not _pool_inside(maps[part], windows, y[part], choice[part]):
            y[part], choice[part] = _pool(maps[part], windows)

    run(work, pieces(len(maps), maps[:1].nbytes, 2 * parallel.PIECE_BYTES), least=MANY_PIECES)
    return y, choice


def _pool_inside(maps: np.ndarray, windows: Windows, y: np.ndarray, choice: np.ndarray) -> bool:
    """Fill `y` and `choice` (uint8) for windows without padding; return False if there is a NaN.

    Each of a window's elements is first copied from its places, a pixel at a time, so that all arithmetic
    runs along memory. They come in reading order, so the choice is the largest number of an element that beat
    all before it: a maximum of bytes, which is much faster than choosing by a mask.
    """
    values, better, number_where_better = np.empty_like(y), np.empty(y.shape, bool), np.empty_like(choice)
    pixels, copied, beaten = _pixels(maps), _pixels(values), better.view(np.uint8)
    for number, place in windows.offsets():
        if number == 0:
            _pixels(y)[...] = pixels[place[:3]]
            choice[...] = 0
            continue
        copied[...] = pixels[place[:3]]
        if number == 1:
            np.greater(values, y, out=choice.view(bool))
        else:
            np.greater(values, y, out=better)
            np.multiply(beaten, number, out=number_where_better)
            np.maximum(choice, number_where_better, out=choice)
        np.maximum(values, y, out=y)
    return not np.isnan(np.min(y, initial=0))


def _scatter_numpy(grads: np.ndarray, choice: np.ndarray, windows: Windows) -> np.ndarray:
    """Do what `_scatter` does, a few maps at a time, without sums where windows lie apart."""
    grad_x = np.empty((len(grads), *windows.size, grads.shape[3]), grads.dtype)
    if windows.inside and windows.apart:
        fill = _place
    else:

        def fill(grads: np.ndarray, choice: np.ndarray, windows: Windows, grad_x: np.ndarray) -> None:
            grad_x[...] = _scatter(grads, choice, windows)

    run(
        lambda part: fill(grads[part], choice[part], windows, grad_x[part]),
        pieces(len(grads), grad_x[:1].nbytes, 2 * parallel.PIECE_BYTES),
    )
    return grad_x


def _place(grads: np.ndarray, choice: np.ndarray, windows: Windows, grad_x: np.ndarray) -> None:
    """Fill grad_x (P, H, W, D) where each element belongs to one window at most."""
    if windows.kernel != windows.stride or windows.reach != windows.size:
        grad_x[...] = 0  # some elements belong to none
    passed, chosen, pixels = np.empty_like(grads), np.empty(choice.shape, bool), _pixels(grad_x)
    copied = _pixels(passed)
    for number, place in windows.offsets():
        np.equal(choice, number, out=chosen)
        keep_where(grads, chosen, passed)
        pixels[place[:3]] = copied


def _pixels(maps: np.ndarray) -> np.ndarray:
    """View maps (P, H, W, D) as (P, H, W): a pixel is one item, which NumPy copies at once."""
    if maps.shape[3] == 1:
        return maps[..., 0]
    return maps.view(np.dtype((np.void, maps.shape[3] * maps.itemsize)))[..., 0]
