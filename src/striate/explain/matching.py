"""Which classic filter a kernel resembles most: Gabor or Sobel, and how much. NumPy alone.

The score is the cosine similarity of the kernel and the best colour times the filter, whatever its sign; over
the phase of a Gabor and the direction of a Sobel the best is computed, over its other parameters searched.
Small kernels resemble some Gabor by chance: the score that random ones reach is told.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import atan2, degrees, pi

import numpy as np

ANGLES = 12
FREQUENCIES = 6
WIDTHS = (0.2, 0.3, 0.45, 0.8)
"""Deviations of a Gabor's bell, shares of the kernel's side."""
LEAST_WAVE = 0.25
"""Under a bell of fewer periods than this a wave is no more than a spot, and no Gabor is looked for."""
BLURS = (0.15, 0.2, 0.3, 0.5, 5.0)
CHANCE_KERNELS = 500
CHANCE_SHARE = 0.95


@dataclass(frozen=True)
class Filter:
    """A family of classic filters that differ in phase or direction.

    Attributes:
        kind: "gabor", "sobel" or "blur".
        name: with its parameters.
        basis: float64 (kH * kW, 1 or 2), orthonormal: the family is all its combinations.
    """

    kind: str
    name: str
    basis: np.ndarray


TIE = 0.005
"""Difference of scores that is none."""


@dataclass(frozen=True)
class Match:
    """The classic filter that a kernel resembles most.

    Attributes:
        name: of the filter, with its parameters.
        score: cosine similarity, 0 to 1.
        weights: float64 (C, kH, kW), the filter in the kernel's colour and size.
        blur: the score of the nearest Gaussian blur.
    """

    name: str
    score: float
    weights: np.ndarray
    blur: float

    @property
    def is_blur(self) -> bool:
        """Whether a blur resembles the kernel as much: a wave sampled at a few places can be flat, too."""
        return self.blur > 0 and self.blur >= self.score - TIE


def nearest(kernels: np.ndarray) -> list[Match]:
    """Return the Gabor or Sobel filter nearest to each kernel.

    Args:
        kernels: (O, C, kH, kW).
    """
    flat = np.asarray(kernels, np.float64).reshape(*kernels.shape[:2], -1)
    waves, blurs = filters(*kernels.shape[2:])
    scores = _scores(flat, waves)
    best = scores.argmax(axis=1)
    blurred = _scores(flat, blurs).max(axis=1)
    return [
        _match(kernel.reshape(len(kernel), -1), waves[place], float(scores[row, place]), kernels.shape, blur)
        for row, (kernel, place, blur) in enumerate(zip(flat, best, blurred.tolist(), strict=True))
    ]


def chance(shape: Sequence[int], seed: int = 0) -> float:
    """Return the score that only one random kernel in twenty exceeds.

    Args:
        shape: (C, kH, kW), of kernels whose weights are drawn from the normal density.
        seed: of the draws.
    """
    drawn = np.random.default_rng(seed).standard_normal((CHANCE_KERNELS, *shape))
    flat = drawn.reshape(CHANCE_KERNELS, shape[0], -1)
    return float(np.quantile(_scores(flat, filters(*shape[1:])[0]).max(axis=1), CHANCE_SHARE))


@functools.lru_cache
def filters(height: int, width: int) -> tuple[tuple[Filter, ...], tuple[Filter, ...]]:
    """Return the Gabor and Sobel filters of a size, and the blurs."""
    side = max(height, width)
    waves = [Filter("sobel", "Sobel", _orthonormal(_sobel(height, width), _sobel(width, height).T))]
    lengths = np.geomspace(min(0.75 / side, 0.25), 0.5, FREQUENCIES)
    turns = np.arange(ANGLES) * pi / ANGLES
    for frequency, theta, share in product(lengths, turns, WIDTHS):
        if frequency * share * side < LEAST_WAVE:
            continue
        wave = gabor_values(height, width, frequency, theta, share * side)
        name = f"Gabor {degrees(theta):.0f}°, {frequency:.2f} /px, sigma {share * side:.1f}"
        waves.append(Filter("gabor", name, _orthonormal(wave.real, wave.imag)))
    blurs = [
        Filter("blur", "blur", _orthonormal(gabor_values(height, width, 0.0, 0.0, share * side).real))
        for share in BLURS
    ]
    return tuple(waves), tuple(blurs)


def gabor_values(height: int, width: int, frequency: float, theta: float, sigma: float) -> np.ndarray:
    """Return a complex Gabor filter, (height, width): a wave under a bell, both about the middle.

    As scikit-image's, but of any size, even ones too.

    Args:
        height: in pixels.
        width: likewise.
        frequency: periods a pixel.
        theta: direction in which the wave runs, radians from the x axis.
        sigma: deviation of the bell in pixels.
    """
    down, across = np.mgrid[:height, :width] - np.array([height - 1, width - 1])[:, None, None] / 2
    bell = np.exp(-(down**2 + across**2) / (2 * sigma**2))
    along = across * np.cos(theta) + down * np.sin(theta)
    values: np.ndarray = bell * np.exp(2j * pi * frequency * along)
    return values


def _sobel(height: int, width: int) -> np.ndarray:
    """Return Sobel's derivative along x, of any size: binomials across and down, as a pyramid of 3 x 3."""
    return np.outer(_binomial(height), np.convolve(_binomial(width - 1), (-1, 1)) if width > 1 else [0.0])


def _binomial(count: int) -> np.ndarray:
    row = np.ones(1)
    for _ in range(count - 1):
        row = np.convolve(row, (1, 1))
    return row


def _orthonormal(*parts: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis, (P, 1 or 2), of what two filters combine to."""
    columns = np.stack([part.ravel() for part in parts], axis=1)
    basis, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    kept: np.ndarray = basis[:, sizes > 1e-6 * sizes[0]]
    return kept


def _scores(flat: np.ndarray, families: Sequence[Filter]) -> np.ndarray:
    """Return the cosine similarity, (O, F), of kernels (O, C, P) and the best of each family."""
    size = np.linalg.norm(flat, axis=(1, 2))
    found = [_largest_singular(flat @ one.basis) for one in families]
    scores: np.ndarray = np.stack(found, axis=1) / np.where(size > 0, size, 1)[:, None]
    return scores


def _largest_singular(matrices: np.ndarray) -> np.ndarray:
    """Return the largest singular value, (O,), of matrices (O, C, 1 or 2), by the roots of their Gram's."""
    first, last = matrices[:, :, 0], matrices[:, :, -1]
    if matrices.shape[2] == 1:
        return np.asarray(np.linalg.norm(first, axis=1))
    ends = (first**2).sum(axis=1), (last**2).sum(axis=1)
    middle = (first * last).sum(axis=1)
    apart = np.hypot((ends[0] - ends[1]) / 2, middle)
    return np.asarray(np.sqrt((ends[0] + ends[1]) / 2 + apart))


def _match(flat: np.ndarray, one: Filter, score: float, shape: Sequence[int], blur: float) -> Match:
    """Return the best of a family: the first singular pair of the kernel's shadow on it."""
    colours, sizes, mixtures = np.linalg.svd(flat @ one.basis, full_matrices=False)
    pattern = one.basis @ mixtures[0]
    weights = np.outer(colours[:, 0] * sizes[0], pattern).reshape(shape[1:])
    name = one.name
    if one.kind == "sobel":
        name = f"Sobel {_direction(pattern.reshape(shape[2:])):.0f}°"
    return Match(name, score, weights, blur)


def _direction(pattern: np.ndarray) -> float:
    """Return where a Sobel filter points, in degrees from the x axis, 0 to 180."""
    height, width = pattern.shape
    along_x, along_y = _sobel(height, width), _sobel(width, height).T
    angle = degrees(
        atan2(
            (pattern * along_y).sum() / (along_y**2).sum() ** 0.5,
            (pattern * along_x).sum() / (along_x**2).sum() ** 0.5,
        )
    )
    return round(angle) % 180
