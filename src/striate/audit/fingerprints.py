"""Candidates for duplicates: pairs of images whose lowest frequencies look alike.

An image is described by 44 coefficients of its cosine transform. Each is divided by its deviation over the
data set, so that all count alike, and the whole is scaled to length 1; the mirror image has the same
coefficients with some signs changed. The idea of a perceptual hash (Zauner 2010), kept as numbers instead of
bits: their product tells nearly equal images apart from others by far more than a Hamming distance does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from striate.data.parallel import Progress

STAGE = "comparing images"
_ORDER = 9
_ROWS, _COLUMNS = (
    np.array(index)
    for index in zip(
        *[(v, u) for v in range(_ORDER) for u in range(_ORDER) if 0 < u + v < _ORDER], strict=True
    )
)
MIRROR = np.where(_COLUMNS % 2, -1, 1).astype(np.float32)
"""float32 (44,): what mirroring left to right does to each coefficient."""
LEAST = 0.75
"""Pairs less alike than this (cosine) are no candidates."""
DENSE = 0.4
"""Where a tenth of all pairs are more alike than this, all images of the set look alike, as with digits: a
set of photos reaches 0.2, one of digits or clothes on black 0.5 to 0.7."""
DENSE_PER_IMAGE, DENSE_PAIRS = 300.0, 3e6
"""In a dense set so many, by image and together, are looked at for what a crop explains (`tangents`)."""
MOST_PER_IMAGE = 60.0
"""Pairs an image in any other set, so that thousands of copies of one image cannot fill the memory."""
FLAT = 3.0
"""An image whose grey values deviate less than this from their mean (0 to 255) shows nothing to compare."""
_BLOCK = 2048
_SAMPLE = 1024
_FEW = 20
"""Fewer images are never called dense: a handful may all be copies of one."""


def coefficients(images: np.ndarray) -> np.ndarray:
    """Return float32 (N, 44), the low frequencies of the cosine transform of float32 images (N, S, S)."""
    from scipy.fft import dctn

    found: np.ndarray = dctn(images, axes=(1, 2), norm="ortho")[:, _ROWS, _COLUMNS]
    return found


def fingerprints(small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 (N, 44) of length 1 for uint8 grey images (N, S, S), and what they were divided by."""
    parts = [
        coefficients(small[start : start + _BLOCK].astype(np.float32))
        for start in range(0, len(small), _BLOCK)
    ]
    found = np.concatenate(parts)
    deviation = found.std(axis=0) if len(found) > 2 else np.ones(len(MIRROR), np.float32)
    deviation = np.maximum(deviation, 1e-3 * max(float(deviation.max()), 1e-6))
    length = np.linalg.norm(found / deviation, axis=1, keepdims=True)
    scale: np.ndarray = deviation * np.maximum(length, 1e-12)
    return found / scale, scale


@dataclass(frozen=True)
class Candidates:
    """Pairs of images that may be copies.

    Attributes:
        pairs: int64 (P, 2), numbers of images, the lower first.
        mirrored: bool (P,), whether the first is alike when it is mirrored.
        dense: whether the images of the set all look alike, so being alike proves little.
    """

    pairs: np.ndarray
    mirrored: np.ndarray
    dense: bool

    def select(self, chosen: np.ndarray) -> Candidates:
        """Return the pairs that `chosen`, bool (P,), names."""
        return Candidates(self.pairs[chosen], self.mirrored[chosen], self.dense)


def alike(prints: np.ndarray, progress: Progress | None = None) -> Candidates:
    """Return the pairs of images whose descriptions are alike, as they are or one mirrored.

    Every two images are compared, as blocks of a matrix product: 60,000 in seconds, and four times as long
    for twice as many.
    """
    least, dense = _thresholds(prints)
    pairs: list[np.ndarray] = []
    mirrored: list[np.ndarray] = []
    for start in range(0, len(prints), _BLOCK):
        block = prints[start : start + _BLOCK]
        rest = prints[start:].T
        for flips in (False, True):
            products = (block * MIRROR if flips else block) @ rest
            places = np.flatnonzero(products > least)
            first, second = np.divmod(places, products.shape[1])
            later = second > first
            pairs.append(np.stack((first[later], second[later]), axis=1) + start)
            mirrored.append(np.full(int(later.sum()), flips))
        if progress is not None:
            progress(STAGE, min(start + _BLOCK, len(prints)), len(prints))
    return Candidates(np.concatenate(pairs), np.concatenate(mirrored), dense)


def _thresholds(prints: np.ndarray) -> tuple[float, bool]:
    """Return the cosine above which pairs are candidates, and whether the set is dense."""
    n = len(prints)
    sample = prints[np.linspace(0, n - 1, min(n, _SAMPLE)).astype(int)]
    products = (sample @ prints.T).ravel()
    dense = n >= _FEW and bool(np.quantile(products, 0.9) > DENSE)
    per_image = min(DENSE_PER_IMAGE, DENSE_PAIRS / n) if dense else MOST_PER_IMAGE
    wanted = round(len(sample) * (per_image + 1))  # itself, too
    if wanted >= len(products):
        return LEAST, dense
    return max(LEAST, float(np.partition(products, -wanted)[-wanted])), dense
