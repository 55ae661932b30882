"""Which pairs are copies where all images of a set look alike, as digits or clothes on black do.

There a small difference proves little: two white shirts differ less than a picture and its JPEG of poor
quality. But a copy is far nearer to its original than the next best image is, as the right match of a point
is in Lowe (2004, Distinctive image features from scale-invariant keypoints, section 7.1). Pictures of 28
pixels are laid over each other at 64, so that interpolation takes nothing away.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from striate.audit import alignment
from striate.audit.reading import Images
from striate.data import decode
from striate.data.parallel import Progress, each

STAGE = "laying images over each other"
SIDE = 64
RATIO = 0.27
"""A copy's residual is at most this share of that of the next best image."""
NEXT = 2
"""So many images may be equally near before the next best one comes: an image may have two copies."""
MOST, SURE = 0.05, 0.0012
"""Residual above which no pair is a copy, and below which each is, whatever else is near."""
WORST = 0.06
"""Residual of the worst cell of 8 x 8, as a share of the mean variance: something that has moved shows."""
BROAD, SOFT, NOISE = 3.0, 7.0, 10.0
"""Frequencies, in half waves a side. What lies below the first (broad) or beyond the last (JPEG's noise)
counts little; the one between parts what is sharp from what a softer copy keeps."""
_KEPT, _CELLS = 24, 8
_FINE_STEPS = 3
_SMALLER = 0.8
"""A picture less than this wide and high is smaller by resizing: a crop takes less away."""
_CHUNK = 64


@dataclass(frozen=True)
class Laid:
    """How well pictures were laid over each other, P pairs, each the better way round.

    Attributes:
        residual: float32 (P,), what is left of the variance at the frequencies that count.
        scale: float32 (P, 2), the part (width, height) of the larger picture that the other shows.
        gain: float32 (P,), contrast of one over the other.
        overhang: float32 (P,), see `alignment.overhang`.
        worst: float32 (P,), the largest residual of one cell of 8 x 8, as a share of the mean variance.
    """

    residual: np.ndarray
    scale: np.ndarray
    gain: np.ndarray
    overhang: np.ndarray
    worst: np.ndarray


def lay(images: Images, pairs: np.ndarray, mirrored: np.ndarray, progress: Progress | None = None) -> Laid:
    """Lay the images of each pair, int64 (P, 2), over each other, the second turned where `mirrored`."""
    pictures, rows = levelled(images, pairs, progress)
    work = functools.partial(_lay_some, pictures, rows, mirrored)
    columns = list(each(work, range(0, max(len(pairs), 1), _CHUNK), STAGE, progress))
    return Laid(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def far_nearer(pairs: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Return bool (P,): which pairs are copies, by how near the next best images of both are.

    Args:
        pairs: int64 (P, 2), numbers of images; each image's nearest others are among them.
        residual: float32 (P,).
    """
    number = pairs.T.ravel()
    own = np.tile(residual, 2)
    order = np.lexsort((own, number))
    number, own = number[order], own[order]
    last = np.append(number[1:] != number[:-1], True)[: len(number)]
    following = np.append(own[1:], 0)[: len(own)]
    typical = float(np.median(own[1:][~last[:-1]])) if (~last).any() else 1.0
    jump = own / np.maximum(np.where(last, typical, following), 1e-9)
    jump[np.arange(len(number)) - np.searchsorted(number, number) >= NEXT] = 1
    for _ in range(NEXT - 1):
        jump = np.where(last, jump, np.minimum(jump, np.append(jump[1:], 1)[: len(jump)]))
    of_pair = np.empty_like(jump)
    of_pair[order] = jump
    ratio = of_pair.reshape(2, -1).max(axis=0)
    copies: np.ndarray = (residual < SURE) | ((ratio < RATIO) & (residual < MOST))
    return copies


def levelled(
    images: Images, pairs: np.ndarray, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures, uint8 (M, S, S), and which two of them, int64 (P, 2), are compared for each pair.

    Of two images of very unlike size, the smaller below S, the larger is taken through the size of the
    smaller: what a copy of half the size has lost is then missing in both.
    """
    sizes = np.stack((images.width, images.height), axis=1)[pairs]  # (P, 2, 2)
    smaller = np.minimum(sizes[:, 0], sizes[:, 1])[:, None]
    through = (smaller < _SMALLER * sizes).all(axis=2) & (smaller < SIDE).any(axis=2)
    wanted = np.where(through[:, :, None], np.broadcast_to(smaller, sizes.shape), 0)
    keys = np.concatenate((pairs[:, :, None], wanted), axis=2).reshape(-1, 3)
    distinct, rows = np.unique(keys, axis=0, return_inverse=True)
    with decode.quiet():
        drawn: Iterable[np.ndarray] = each(
            functools.partial(_draw, images), distinct.tolist(), STAGE, progress
        )
        pictures = np.array(list(drawn), np.uint8).reshape(-1, SIDE, SIDE)
    return pictures, rows.reshape(-1, 2)


def _draw(images: Images, key: list[int]) -> np.ndarray:
    """Return uint8 (S, S), grey: an image by its number, through a width and height unless they are 0."""
    number, width, height = key
    image = images.open(number, SIDE).convert("L")
    if width:
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _lay_some(
    pictures: np.ndarray, rows: np.ndarray, mirrored: np.ndarray, start: int
) -> tuple[np.ndarray, ...]:
    """Return the fields of `Laid` of a chunk: fitted at half the side, the better way at the whole."""
    part = slice(start, start + _CHUNK)
    first, second = (pictures[rows[part, place]].astype(np.float32) for place in (0, 1))
    second[mirrored[part]] = second[mirrored[part]][:, :, ::-1]
    halves = [_halved(first), _halved(second)]
    ways = (_fit(halves[0], halves[1]), _fit(halves[1], halves[0]))
    turned = ways[1][0] + ways[1][3] < ways[0][0] + ways[0][3]
    pick = turned[:, None]
    near = (np.where(pick, ways[1][1], ways[0][1]), np.where(pick, ways[1][5], ways[0][5]))
    whole, part_of_it = (np.where(pick[:, :, None], *two) for two in ((second, first), (first, second)))
    return _fit(whole, part_of_it, near, _FINE_STEPS)[:5]


def _fit(
    first: np.ndarray,
    second: np.ndarray,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    steps: int = alignment.STEPS,
) -> tuple[np.ndarray, ...]:
    """Return the fields of `Laid`, then the shift, of the first pictures laid over the second."""
    scale, shift = alignment.register(first, second, start, steps)
    residual, gain, worst = _remainder(alignment.warp(first, scale, shift), second)
    return residual, scale, gain, alignment.overhang(scale, shift), worst, shift


def _halved(pictures: np.ndarray) -> np.ndarray:
    p, side, _ = pictures.shape
    halved: np.ndarray = pictures.reshape(p, side // 2, 2, side // 2, 2).mean((2, 4))
    return halved


def _remainder(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return `residual`, `gain` and `worst` of `Laid` for pictures that lie over each other, (P, S, S).

    The first picture enters as it is and softened, which explains a copy that is softer or sharper.
    """
    from scipy.fft import dctn

    count, p = _KEPT, len(first)
    radius = np.hypot(*np.mgrid[:count, :count])
    weight = np.exp(-((radius / NOISE) ** 2)) * (1 - np.exp(-((radius / BROAD) ** 2)))
    soft = np.exp(-((radius / SOFT) ** 2)).astype(np.float32).ravel()
    own, target = (
        (dctn(pictures, axes=(1, 2), norm="ortho")[:, :count, :count] * weight.astype(np.float32)).reshape(
            p, count**2
        )
        for pictures in (first, second)
    )
    basis = np.stack((own, own * soft), axis=1)
    solved = alignment.solve(basis, target, 1e-3, 1.0)
    error = target - (solved[:, None] @ basis)[:, 0]
    variance = np.maximum(np.square(target).sum(axis=1), 1e-6)
    residual = np.square(error).sum(axis=1) / variance
    return residual, solved.sum(axis=1), _largest_cell(error.reshape(p, count, count)) / variance


def _largest_cell(error: np.ndarray) -> np.ndarray:
    """Return float32 (P,): 64 times the largest sum of squares of one cell, of coefficients (P, K, K)."""
    from scipy.fft import idctn

    p, step = len(error), _KEPT // _CELLS
    squares = np.square(idctn(error, axes=(1, 2), norm="ortho")).reshape(p, _CELLS, step, _CELLS, step)
    largest: np.ndarray = squares.sum(axis=(2, 4)).reshape(p, _CELLS**2).max(axis=1) * _CELLS**2
    return largest
