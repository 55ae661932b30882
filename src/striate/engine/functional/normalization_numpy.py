"""Batch normalisation's sums and products on NumPy arrays, a few images at a time and on all threads.

The formulas are those of `normalization`. Sums over an image are taken in its own precision, sums over images
in float64, and always in the same order, so that results repeat to the bit.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from striate.engine.parallel import pieces, run

if TYPE_CHECKING:
    from striate.engine.functional.normalization import Statistics


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of each channel of x (N, C, ...), both (C,), in one pass over memory.

    Each image gives a mean m_i and a sum of squared deviations s_i per channel. With the mean m of all, the
    whole sum is sum(s_i) + n sum((m_i - m)^2): exact, and safe where the mean is far larger than the
    deviation (Chan, Golub & LeVeque 1983, eq. 2.1).
    """
    images, positions = _as_images(x)
    means = np.empty(images.shape[:2], np.float64)
    squares = np.empty(images.shape[:2], np.float64)

    def work(part: slice) -> None:
        block = images[part]
        mean = block.mean(axis=2)
        deviation = block - mean[:, :, None]
        means[part] = mean
        squares[part] = np.einsum("ncs,ncs->nc", deviation, deviation)
        means[part] += deviation.mean(axis=2)  # what rounding took from the mean

    run(work, pieces(len(images), images[:1].nbytes))
    mean = means.mean(axis=0)
    total = squares.sum(axis=0) + positions * ((means - mean) ** 2).sum(axis=0)
    return mean.astype(x.dtype), (total / (len(images) * positions)).astype(x.dtype)


def normalize(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Return (x - mean) * scale + bias, each (C,), in the shape of x."""
    images, _ = _as_images(x)
    y = np.empty_like(images)
    centre, factor = mean[:, None], scale[:, None]
    shift = None if bias is None else bias[:, None]

    def work(part: slice) -> None:
        np.subtract(images[part], centre, out=y[part])
        y[part] *= factor
        if shift is not None:
            y[part] += shift

    run(work, pieces(len(images), images[:1].nbytes))
    return _as_before(y, x)


def gradient_sums(grad: np.ndarray, x: np.ndarray, saved: Statistics) -> tuple[np.ndarray, np.ndarray]:
    """Return sum(grad) and sum(grad * z) over each channel, both (C,), z being the normalised x."""
    images, _ = _as_images(x)
    grads, _ = _as_images(grad)
    sums = np.empty(images.shape[:2], np.float64)
    products = np.empty(images.shape[:2], np.float64)
    mean = saved.mean[:, None]

    def work(part: slice) -> None:
        sums[part] = grads[part].sum(axis=2)
        products[part] = np.einsum("ncs,ncs->nc", grads[part], images[part] - mean)

    run(work, pieces(len(images), images[:1].nbytes))
    weighted = products.sum(axis=0) * saved.inverse_deviation
    return sums.sum(axis=0).astype(x.dtype), weighted.astype(x.dtype)


def gradient_of_x(
    grad: np.ndarray,
    x: np.ndarray,
    saved: Statistics,
    scale: np.ndarray,
    grad_bias: np.ndarray,
    grad_weight: np.ndarray,
) -> np.ndarray:
    """Return scale * (grad - grad_bias / n - z * grad_weight / n) in the shape of x."""
    images, positions = _as_images(x)
    grads, _ = _as_images(grad)
    n = max(1, len(images) * positions)
    grad_x = np.empty_like(images)
    mean, factor = saved.mean[:, None], scale[:, None]
    slope = (saved.inverse_deviation * grad_weight / n)[:, None]
    constant = (grad_bias / n)[:, None]

    def work(part: slice) -> None:
        out = grad_x[part]
        np.subtract(mean, images[part], out=out)
        out *= slope
        out += grads[part]
        out -= constant
        out *= factor

    run(work, pieces(len(images), images[:1].nbytes))
    return _as_before(grad_x, x)


def _as_images(x: np.ndarray) -> tuple[np.ndarray, int]:
    """Return x (N, C, ...) as (images, C, positions), C-contiguous, and the positions.

    A matrix (N, C) becomes one image with N positions, so that sums run along rows.
    """
    if x.ndim == 2:
        return np.ascontiguousarray(x.T)[None], len(x)
    positions = prod(x.shape[2:])
    return np.ascontiguousarray(x).reshape(len(x), x.shape[1], positions), positions


def _as_before(images: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return `images` in the shape that x had before `_as_images`."""
    return np.ascontiguousarray(images[0].T) if x.ndim == 2 else images.reshape(x.shape)
