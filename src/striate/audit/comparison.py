"""Which candidates are copies: laid over each other, and judged by what remains."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from striate.audit import reading
from striate.audit.alignment import Fit, lay_over
from striate.audit.fingerprints import Candidates
from striate.audit.reading import Images
from striate.data import decode
from striate.data.parallel import Progress, each

STAGE = "laying images over each other"
RESIDUAL = 0.07
"""Of the small pictures of a copy, at most so much of the variance remains."""
FINE_SIDE = 64
"""Where both images have this many pixels a side, they are compared once more, at this side."""
FINE_RESIDUAL = 0.03
FINE_WORST = 0.16
"""Residual of the worst cell of 8 x 8, as a share of the mean variance: something that has moved shows."""
DENSE_COARSE = 0.25
"""Likewise `DENSE_RATIO`, of the coarse pictures that are compared first."""
DENSE_RATIO = 0.08
"""In a set whose images all look alike (digits), a copy is closer than this share of ordinary neighbours."""
DENSE_EVEN, DENSE_WORST = 0.2, 0.04
"""Or closer than the first share where no cell differs by more than the second: noise is everywhere alike."""
GAINS = (0.6, 1.6)
"""Contrast of a copy over that of its original."""
BRIGHTNESS = 0.2
"""Largest difference in mean brightness, as a share of the brighter one's."""
CHROMA = 0.05
"""Largest difference in the share that red, green or blue has in the mean colour."""
_OVERHANG = 0.03
_OVERHANG_PIXELS = 1.2
"""Resizing and cropping to whole pixels shift a picture by up to about a pixel."""
_SMALLER = 0.8
"""A picture less than this wide and high is smaller by resizing: a crop takes less away."""
_COARSE_SIDE = 16
_COARSE_RESIDUAL = 0.3
_CHUNK = 512
_MANY = 4


@dataclass(frozen=True)
class Match:
    """Pairs of images of which one is a copy of the other.

    Attributes:
        pairs: int64 (P, 2).
        mirrored: bool (P,).
        residual: float32 (P,), what remains of the variance.
        scale: float32 (P, 2), the part (width, height) of the larger picture that the other shows.
        gain: float32 (P,), contrast of one over the other.
    """

    pairs: np.ndarray
    mirrored: np.ndarray
    residual: np.ndarray
    scale: np.ndarray
    gain: np.ndarray

    def select(self, chosen: np.ndarray) -> Match:
        """Return the pairs that `chosen`, bool (P,), names."""
        return Match(
            *(getattr(self, name)[chosen] for name in ("pairs", "mirrored", "residual", "scale", "gain"))
        )


def copies(images: Images, candidates: Candidates, progress: Progress | None = None) -> Match:
    """Return those of the candidates that are copies.

    Args:
        images: the images that the pairs name.
        candidates: pairs that are alike.
        progress: is told how many pairs are through.
    """
    candidates = candidates.select(_plausible(images, candidates.pairs))
    pairs, mirrored, dense = candidates.pairs, candidates.mirrored, candidates.dense
    coarse = _coarse(images, pairs, mirrored, progress)
    ordinary = np.ones(len(pairs), np.float32)
    if dense:
        ordinary = _ordinary(pairs, coarse, candidates.usual, len(images))
    chosen = coarse < np.minimum(_COARSE_RESIDUAL, DENSE_COARSE * ordinary if dense else 1.0)
    pairs, mirrored, ordinary = pairs[chosen], mirrored[chosen], ordinary[chosen]
    if dense:
        pictures, rows = _levelled(images, pairs)
        found, worst, overhang = _lay(pictures, rows, mirrored)
        found = replace(found, pairs=pairs)
    else:
        found, worst, overhang = _lay(images.small.astype(np.float32), pairs, mirrored)
    sides = np.minimum(images.width, images.height)[pairs].min(axis=1)
    allowed = np.maximum(_OVERHANG, 2 * _OVERHANG_PIXELS / np.maximum(sides, 1))
    good = (found.residual < RESIDUAL) & (overhang < allowed)
    good &= (found.gain > GAINS[0]) & (found.gain < GAINS[1])
    if dense:
        near = (found.residual < DENSE_EVEN * ordinary) & (worst < DENSE_WORST)
        good &= (found.residual < DENSE_RATIO * ordinary) | near
    found, worst, sides, allowed = found.select(good), worst[good], sides[good], allowed[good]
    return _look_closely(images, found, sides >= FINE_SIDE, allowed, progress)


def _levelled(images: Images, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures, float32 (M, S, S), and which two of them, int64 (P, 2), are compared for each pair.

    Of two images of very unlike size, the smaller below S, the larger is taken through the size of the
    smaller: what a copy of half the size has lost is then missing in both.
    """
    sizes = np.stack((images.width, images.height), axis=1)[pairs]  # (P, 2, 2)
    smaller = np.minimum(sizes[:, 0], sizes[:, 1])[:, None]
    through = (smaller < _SMALLER * sizes).all(axis=2) & (smaller < reading.SIDE).any(axis=2)
    wanted = np.where(through[:, :, None], np.broadcast_to(smaller, sizes.shape), 0)
    keys = np.concatenate((pairs[:, :, None], wanted), axis=2).reshape(-1, 3)
    distinct, rows = np.unique(keys, axis=0, return_inverse=True)
    pictures = images.small[distinct[:, 0]].astype(np.float32)
    for row in np.flatnonzero(distinct[:, 1]):
        number, width, height = distinct[row].tolist()
        reduced = Image.fromarray(images.small[number]).resize((width, height), Image.Resampling.BILINEAR)
        pictures[row] = reading.shrink(reduced, reading.SIDE)
    return pictures, rows.reshape(-1, 2)


def _coarse(images: Images, pairs: np.ndarray, mirrored: np.ndarray, progress: Progress | None) -> np.ndarray:
    """Return float32 (P,): the residual of each pair at 16 x 16 pixels."""
    n, side = len(images), _COARSE_SIDE
    step = reading.SIDE // side
    pictures = images.small.reshape(n, side, step, side, step).mean((2, 4), dtype=np.float32)
    residual = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        part = slice(start, start + _CHUNK)
        residual[part] = _fit(pictures, pairs[part], mirrored[part]).residual
        if progress is not None:
            progress(STAGE, min(start + _CHUNK, len(pairs)), len(pairs))
    return residual


def _fit(pictures: np.ndarray, pairs: np.ndarray, mirrored: np.ndarray) -> Fit:
    first, second = pictures[pairs[:, 0]], pictures[pairs[:, 1]]
    second[mirrored] = second[mirrored][:, :, ::-1]
    return lay_over(first, second)


def _lay(
    pictures: np.ndarray, pairs: np.ndarray, mirrored: np.ndarray
) -> tuple[Match, np.ndarray, np.ndarray]:
    """Return the better of both ways to lay each pair, with `worst` and `overhang` of the fit."""
    columns: list[list[np.ndarray]] = [[] for _ in range(5)]
    for start in range(0, max(len(pairs), 1), _CHUNK):
        part = slice(start, start + _CHUNK)
        ways = [_fit(pictures, way, mirrored[part]) for way in (pairs[part], pairs[part][:, ::-1])]
        better = ways[1].residual + ways[1].overhang() < ways[0].residual + ways[0].overhang()
        for column, values in zip(columns, zip(*map(_columns, ways), strict=True), strict=True):
            chosen = better if values[0].ndim == 1 else better[:, None]
            column.append(np.where(chosen, values[1], values[0]))
    residual, scale, gain, worst, overhang = (np.concatenate(column) for column in columns)
    return Match(pairs, mirrored, residual, scale, gain), worst, overhang


def _columns(fit: Fit) -> tuple[np.ndarray, ...]:
    return fit.residual, fit.scale, fit.gain, fit.worst, fit.overhang()


def _plausible(images: Images, pairs: np.ndarray) -> np.ndarray:
    """Return bool (P,): whether contrast, brightness and mean colours could be those of a copy."""
    first, second = pairs[:, 0], pairs[:, 1]
    shares = images.colour / np.maximum(images.colour.sum(axis=1, keepdims=True), 1e-3)
    brightness = images.colour.mean(axis=1)
    contrast = images.small.reshape(len(images), -1).std(axis=1)
    ratio = contrast[first] / np.maximum(contrast[second], 1e-6)
    difference = np.abs(brightness[first] - brightness[second])
    plausible: np.ndarray = np.abs(shares[first] - shares[second]).max(axis=1) < CHROMA
    plausible &= (ratio > GAINS[0]) & (ratio < GAINS[1])
    plausible &= difference < BRIGHTNESS * np.maximum(brightness[first], brightness[second]) + 0.02
    return plausible


def _ordinary(pairs: np.ndarray, residual: np.ndarray, usual: np.ndarray, n: int) -> np.ndarray:
    """Return float32 (P,): the residual of an ordinary neighbour, of the `usual`, of each pair's images."""
    largest, count = np.zeros(n, np.float32), np.zeros(n, np.int64)
    for column in (0, 1):
        np.maximum.at(largest, pairs[usual, column], residual[usual])
        np.add.at(count, pairs[usual, column], 1)
    many = count >= _MANY
    typical = float(np.median(largest[many])) if many.any() else 1.0
    neighbour = np.where(many, np.minimum(largest, typical), typical).astype(np.float32)
    ordinary: np.ndarray = neighbour[pairs].min(axis=1)
    return ordinary


def _look_closely(
    images: Images, found: Match, large: np.ndarray, allowed: np.ndarray, progress: Progress | None
) -> Match:
    """Compare the pairs that are `large`, bool (P,), at `FINE_SIDE`; keep those that pass, and all others."""
    numbers = np.unique(found.pairs[large])
    if not len(numbers):
        return found
    row = np.full(len(images), -1)
    row[numbers] = np.arange(len(numbers))
    draw = functools.partial(_picture, images)
    with decode.quiet():
        pictures = np.stack(list(each(draw, numbers.tolist(), "looking closely", progress)))
    fine, worst, overhang = _lay(pictures, row[found.pairs[large]], found.mirrored[large])
    passed = (fine.residual < FINE_RESIDUAL) & (worst < FINE_WORST) & (overhang < allowed[large])
    kept = np.ones(len(found.pairs), bool)
    kept[large] = passed
    for values, finer in (
        (found.residual, fine.residual),
        (found.scale, fine.scale),
        (found.gain, fine.gain),
    ):
        values[large] = finer
    return found.select(kept)


def _picture(images: Images, number: int) -> np.ndarray:
    return reading.grey(images.open(number, FINE_SIDE), FINE_SIDE)
