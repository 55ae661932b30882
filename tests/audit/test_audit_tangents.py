"""What a crop explains of the difference between two images that look alike."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from striate.audit import fingerprints, tangents

SIDE = 32


def smooth(n, seed=0):
    """Random pictures without fine details, uint8 (n, 32, 32), around a bright middle that all share."""
    noise = np.random.Generator(np.random.PCG64(seed)).normal(size=(n, SIDE, SIDE))
    across = np.linspace(-1, 1, SIDE)
    middle = np.exp(-3 * (across**2 + across[:, None] ** 2))
    pictures = gaussian_filter(noise, (0, 3, 3)) * 250 + 130 * middle + 60
    return np.clip(pictures, 0, 255).astype(np.uint8)


def cropped(picture, left, top, right, bottom):
    image = Image.fromarray(picture)
    box = (left, top, SIDE - right, SIDE - bottom)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box))


def unexplained(pictures, pairs, mirrored):
    prints, scale = fingerprints.fingerprints(pictures)
    moves = tangents.tangents(pictures, scale)
    sign = np.where(np.array(mirrored)[:, None], fingerprints.MIRROR, 1)
    first, second = np.array(pairs).T
    plain = np.square(prints[second] - prints[first] * sign).sum(axis=1)
    return tangents.unexplained(prints, moves, np.array(pairs), np.array(mirrored)), plain


def test_a_crop_is_explained_and_another_picture_is_not():
    pictures = smooth(40)
    crops = np.stack([cropped(picture, 1.5, 0, 0.5, 1) for picture in pictures[:10]])
    everything = np.concatenate([pictures, crops])
    true = [(number, 40 + number) for number in range(10)]
    false = [(number, number + 1) for number in range(30)]
    left, plain = unexplained(everything, true + false, [False] * 40)
    assert (left[:10] < 0.2 * plain[:10]).all()
    assert left[:10].max() < 0.2 * left[10:].min()


def test_mirrored_crops_are_explained_likewise():
    pictures = smooth(40)
    crops = np.stack([cropped(picture[:, ::-1], 1.5, 0, 0.5, 1) for picture in pictures[:10]])
    everything = np.concatenate([pictures, crops])
    left, plain = unexplained(everything, [(number, 40 + number) for number in range(10)], [True] * 10)
    assert (left < 0.2 * plain).all()


def test_the_pairs_that_a_crop_explains_are_kept(monkeypatch):
    monkeypatch.setattr(tangents, "MOST", 2)
    pictures = smooth(30)
    everything = np.concatenate([pictures, np.stack([cropped(pictures[n], 1, 0, 0, 1) for n in (3, 8)])])
    pairs = np.array([(0, 1), (3, 30), (4, 5), (8, 31), (6, 7)])
    wide = fingerprints.Candidates(pairs, np.zeros(5, bool), True)
    found = tangents.closest(everything, *fingerprints.fingerprints(everything), wide)
    assert found.pairs.tolist() == [[3, 30], [8, 31]]
