"""How well one picture can be laid over another: shifted, scaled by width and height, and brightened.

Lucas and Kanade (1981), for many pairs at once: the shift and scale that a crop may have caused, with a gain
and an offset of the grey values, found by a few Gauss-Newton steps on the pixels' squared difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEPS = 6
LARGEST_SHIFT = 0.12
"""In half sides. A crop of 5 % a side shifts by at most 0.05; the rest is room for the search."""
SCALES = (0.86, 1.16)
_STEP = 0.06
_BLUR = 1.0
"""Deviation of the Gaussian, in pixels, that takes the noise of JPEG away before pictures are compared."""
_BROAD = 0.1
"""Deviation of the Gaussian, as a share of the side, whose result is taken away: what is broad (sky above
sea, a bright middle) is alike in many images that are no copies."""
_CELLS = 8


@dataclass(frozen=True)
class Fit:
    """How well the first picture of each of P pairs was laid over the second.

    Attributes:
        scale: float32 (P, 2), width and height: the part of the first picture that the second shows.
        shift: float32 (P, 2), right and down, in half sides: where in the first picture its middle lies.
        residual: float32 (P,): what is left of the second picture's variance; 0 for a perfect copy.
        worst: float32 (P,): the largest residual of one cell of 8 x 8, as a share of the mean variance.
        gain: float32 (P,): contrast of the second picture over that of the first.
    """

    scale: np.ndarray
    shift: np.ndarray
    residual: np.ndarray
    worst: np.ndarray
    gain: np.ndarray

    def overhang(self) -> np.ndarray:
        """Return float32 (P,): `overhang` of the pictures."""
        return overhang(self.scale, self.shift)


def overhang(scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return float32 (P,): how far, in half sides, the second picture reaches out of the first.

    Of a copy or a crop: nothing. Two photos taken one after the other overhang each other.
    """
    out: np.ndarray = np.maximum(0, (np.abs(shift) + scale - 1).max(axis=1))
    return out


def lay_over(first: np.ndarray, second: np.ndarray) -> Fit:
    """Fit each of `first` to its partner in `second`, both float32 (P, S, S), S a multiple of 8."""
    scale, shift = register(first, second)
    inside = [np.abs(_positions(scale[:, axis], shift[:, axis], first.shape[2])) <= 1 for axis in (0, 1)]
    seen = inside[1][:, :, None] & inside[0][:, None, :]
    residual, worst, gain = _remainder(warp(first, scale, shift), second, seen)
    return Fit(scale, shift, residual, worst, gain)


def register(
    first: np.ndarray,
    second: np.ndarray,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    steps: int = STEPS,
) -> tuple[np.ndarray, np.ndarray]:
    """Return `scale` and `shift` of `Fit`, both float32 (P, 2), after so many `steps` from `start`."""
    scale, shift = start or (np.ones((len(first), 2), np.float32), np.zeros((len(first), 2), np.float32))
    for _ in range(steps):
        scale, shift = _step(first, second, scale, shift)
    return scale, shift


def _positions(scale: np.ndarray, shift: np.ndarray, side: int) -> np.ndarray:
    """Return (P, S): where along an axis, -1 to 1, each pixel's centre is taken from."""
    centres = ((np.arange(side, dtype=np.float32) + 0.5) / side) * 2 - 1
    positions: np.ndarray = scale[:, None] * centres + shift[:, None]
    return positions


def _sampling(scale: np.ndarray, shift: np.ndarray, side: int) -> np.ndarray:
    """Return float32 (P, S, S): bilinear weights of every source pixel for every target pixel."""
    places = np.clip((_positions(scale, shift, side) + 1) / 2 * side - 0.5, 0, side - 1)
    weights: np.ndarray = np.maximum(0, 1 - np.abs(places[:, :, None] - np.arange(side, dtype=np.float32)))
    return weights.astype(np.float32)


def warp(images: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return (P, S, S): the part of each image that `scale` and `shift` name; both axes are independent."""
    side = images.shape[2]
    down, across = (_sampling(scale[:, axis], shift[:, axis], side) for axis in (1, 0))
    warped: np.ndarray = down @ images @ across.transpose(0, 2, 1)
    return warped


def _step(
    first: np.ndarray, second: np.ndarray, scale: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One Gauss-Newton step: the least-squares change of scale, shift, gain and offset."""
    pairs, side = len(first), first.shape[2]
    warped = warp(first, scale, shift)
    slope_down, slope_across = (np.gradient(warped, axis=axis) * np.float32(side / 2) for axis in (1, 2))
    centres = ((np.arange(side, dtype=np.float32) + 0.5) / side) * 2 - 1
    terms = (slope_across * centres, slope_down * centres[:, None], slope_across, slope_down, warped)
    basis = np.stack((*terms, np.ones_like(warped)), axis=1).reshape(pairs, 6, side * side)
    solved = solve(basis, second.reshape(pairs, side * side), 1e-3, 1e-2)
    gain = np.maximum(solved[:, 4:5], 0.3)
    change = np.clip(solved[:, :4] / gain, -_STEP, _STEP)
    shift = np.clip(shift + scale * change[:, 2:], -LARGEST_SHIFT, LARGEST_SHIFT)
    return np.clip(scale * (1 + change[:, :2]), *SCALES), shift


def solve(basis: np.ndarray, target: np.ndarray, relative: float, absolute: float) -> np.ndarray:
    """Return (P, K): least squares of `target` (P, n) by `basis` (P, K, n), slightly damped."""
    products = basis @ basis.transpose(0, 2, 1)
    diagonal = np.einsum("pkk->pk", products)
    diagonal += relative * diagonal + absolute
    solved: np.ndarray = np.linalg.solve(products, basis @ target[:, :, None])[:, :, 0]
    return solved


def _remainder(
    warped: np.ndarray, second: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return `residual`, `worst` and `gain` of `Fit`, counted where `seen`, bool (P, S, S).

    Only details count, without noise and what is broad. The first picture enters once more, blurred again: so
    far as a copy differs by being softer or sharper (another size, another quality), that explains it.
    """
    from scipy.ndimage import gaussian_filter

    pairs, side = len(warped), warped.shape[2]
    weights = seen.reshape(pairs, side * side).astype(np.float32)
    count = weights.sum(axis=1, keepdims=True)

    def centred(images: np.ndarray) -> np.ndarray:
        flat = images.reshape(pairs, side * side)
        result: np.ndarray = (flat - (flat * weights).sum(axis=1, keepdims=True) / count) * weights
        return result

    def blur(images: np.ndarray, sigma: float) -> np.ndarray:
        blurred: np.ndarray = gaussian_filter(images, (0, sigma, sigma), mode="nearest")
        return blurred

    def details(images: np.ndarray) -> np.ndarray:
        clean = blur(images, _BLUR)
        clean -= blur(clean, _BROAD * side)
        return clean

    sharp = details(warped)
    target = centred(details(second))
    basis = np.stack((centred(sharp), centred(blur(sharp, _BLUR))), axis=1)
    solved = solve(basis, target, 1e-3, 1.0)
    error = (target - (solved[:, None] @ basis)[:, 0]) ** 2
    variance = np.maximum((target**2).sum(axis=1), 1e-6)
    cells = error.reshape(pairs, _CELLS, side // _CELLS, _CELLS, side // _CELLS).mean(axis=(2, 4))
    worst = cells.reshape(pairs, _CELLS**2).max(axis=1) / (variance / count[:, 0])
    return error.sum(axis=1) / variance, worst, solved.sum(axis=1)
