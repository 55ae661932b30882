"""Which candidates are copies: laid over each other, and judged by what remains."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from striate.audit import lookalikes, reading
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
GAINS = (0.6, 1.6)
"""Contrast of a copy over that of its original."""
BRIGHTNESS = 0.2
"""Largest difference in mean brightness, as a share of the brighter one's."""
CHROMA = 0.05
"""Largest difference in the share that red, green or blue has in the mean colour."""
_OVERHANG = 0.03
_OVERHANG_PIXELS = 1.2
"""Resizing and cropping to whole pixels shift a picture by up to about a pixel."""
_COARSE_SIDE = 16
_COARSE_RESIDUAL = 0.3
_CHUNK = 512


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
    found, overhang = _alike(images, candidates, progress)
    sides = np.minimum(images.width, images.height)[found.pairs].min(axis=1)
    allowed = np.maximum(_OVERHANG, 2 * _OVERHANG_PIXELS / np.maximum(sides, 1))
    good = (overhang < allowed) & (found.gain > GAINS[0]) & (found.gain < GAINS[1])
    return _look_closely(images, found.select(good), sides[good] >= FINE_SIDE, allowed[good], progress)


def _alike(images: Images, candidates: Candidates, progress: Progress | None) -> tuple[Match, np.ndarray]:
    """Return the candidates of which one explains the other well enough, and their `overhang`."""
    pairs, mirrored = candidates.pairs, candidates.mirrored
    if candidates.dense:
        laid = lookalikes.lay(images, pairs, mirrored, progress)
        found, overhang = Match(pairs, mirrored, laid.residual, laid.scale, laid.gain), laid.overhang
        good = lookalikes.far_nearer(pairs, laid.residual) & (laid.worst < lookalikes.WORST)
        return found.select(good), overhang[good]
    good = _coarse(images, pairs, mirrored, progress) < _COARSE_RESIDUAL
    found, _, overhang = _lay(images.small.astype(np.float32), pairs[good], mirrored[good])
    good = found.residual < RESIDUAL
    return found.select(good), overhang[good]


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
