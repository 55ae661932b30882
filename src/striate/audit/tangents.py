"""Which images that look alike differ by what a crop does: a shift and a scale, across and down.

Simard et al. (1993, Efficient pattern recognition using a new transformation distance): small changes of an
image move its description along a few directions, its tangents. What of the difference of two descriptions
lies along the tangents, halfway between both images, a crop explains; what is left tells copies from others
among images that all look alike, for the price of a few products.
"""

from __future__ import annotations

import numpy as np

from striate.audit.fingerprints import MIRROR, Candidates, coefficients

SHIFT_ACROSS, COUNT = 0, 4
"""Tangents: shift across and down, scale across and down. Mirroring turns the first round."""
PER_IMAGE, MOST = 3, 70_000
"""Pairs that are laid over each other, by image and together: one takes 0.7 ms."""
_CHUNK = 8192
_DAMPING = 1e-4


def closest(small: np.ndarray, prints: np.ndarray, scale: np.ndarray, wide: Candidates) -> Candidates:
    """Return those of the pairs of a dense set of which a crop explains most.

    Args:
        small: uint8 (N, S, S), grey.
        prints: float32 (N, D), their descriptions.
        scale: float32 (N, D), what they were divided by.
        wide: pairs of them.
    """
    left = unexplained(prints, tangents(small, scale), wide.pairs, wide.mirrored)
    count = min(len(left), PER_IMAGE * len(small), MOST)
    return wide.select(np.sort(np.argpartition(left, count - 1)[:count])) if count else wide


def tangents(small: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return float32 (N, 4, D): how the description of each image changes with shift and scale.

    Args:
        small: uint8 (N, S, S), grey.
        scale: float32 (N, D), what the description divides the coefficients by.
    """
    side = small.shape[1]
    centres = ((np.arange(side, dtype=np.float32) + 0.5) / side) * 2 - 1
    found = np.empty((len(small), COUNT, scale.shape[1]), np.float32)
    for start in range(0, len(small), _CHUNK):
        part = slice(start, start + _CHUNK)
        down, across = np.gradient(small[part].astype(np.float32), axis=(1, 2))
        for place, moved in enumerate((across, down, across * centres, down * centres[:, None])):
            found[part, place] = coefficients(moved) / scale[part]
    return found


def unexplained(prints: np.ndarray, moves: np.ndarray, pairs: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Return float32 (P,): the squared difference of each pair that no shift, scale or contrast explains.

    Args:
        prints: float32 (N, D), descriptions.
        moves: float32 (N, 4, D), their tangents.
        pairs: int64 (P, 2).
        mirrored: bool (P,), whether the first image is to be mirrored.
    """
    turned = np.ones((COUNT, 1), np.float32)
    turned[SHIFT_ACROSS] = -1
    left = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        part = slice(start, start + _CHUNK)
        first, second = pairs[part].T
        sign = np.where(mirrored[part, None], MIRROR, np.float32(1))
        own, moved = prints[first] * sign, moves[first] * sign[:, None]
        moved[mirrored[part]] *= turned
        basis = np.concatenate([(moved + moves[second]) / 2, own[:, None]], axis=1)
        difference = prints[second] - own
        products = basis @ basis.transpose(0, 2, 1)
        diagonal = np.einsum("pkk->pk", products)
        diagonal += _DAMPING * diagonal + 1e-9
        along = basis @ difference[:, :, None]
        explained = along.transpose(0, 2, 1) @ np.linalg.solve(products, along)
        left[part] = np.square(difference).sum(axis=1) - explained[:, 0, 0]
    return left
