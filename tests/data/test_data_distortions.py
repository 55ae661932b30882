"""Distortions of images, against SciPy and by what they must leave alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from striate.data.distortions import DISTORTIONS, distort

ROUNDING = 1.0  # of 255: values are rounded to whole numbers once


@pytest.fixture
def images():
    generator = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(generator.uniform(0, 255, (6, 3, 20, 24)), (0, 0, 2, 2))
    return np.rint(np.clip(4 * (smooth - 128) + 128, 0, 255)).astype(np.uint8)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_every_level_but_the_neutral_one_changes_images_and_keeps_their_form(name, images):
    found = DISTORTIONS[name]
    for level in found.levels:
        changed = distort(images, found, level, np.arange(6))
        assert (changed.dtype, changed.shape) == (np.uint8, images.shape)
        assert np.array_equal(changed, images) == (level == found.neutral), level


@pytest.mark.parametrize("name", DISTORTIONS)
def test_what_an_image_gets_depends_on_its_index_and_not_on_the_batch(name, images):
    found = DISTORTIONS[name]
    level = found.levels[-1] if found.levels[-1] != found.neutral else found.levels[0]
    whole = distort(images, found, level, np.arange(6), seed=3)
    alone = distort(images[4:5], found, level, np.array([4]), seed=3)
    np.testing.assert_array_equal(whole[4:5], alone)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_grey_images_are_distorted_too(name, images):
    found = DISTORTIONS[name]
    assert distort(images[:, :1], found, found.levels[1], np.arange(6)).shape == (6, 1, 20, 24)


def test_scaling_is_scipys_affine_transform(images):
    found = distort(images, DISTORTIONS["scale"], 1.5, np.arange(6))
    centre = np.array([9.5, 11.5])
    for ours, image in zip(found.reshape(-1, 20, 24), images.reshape(-1, 20, 24), strict=True):
        theirs = ndimage.affine_transform(
            image.astype(float), np.eye(2) / 1.5, centre - centre / 1.5, order=1, mode="nearest"
        )
        np.testing.assert_allclose(ours, theirs, atol=ROUNDING)


def test_rotation_by_90_degrees_turns_the_pixels_to_one_side_or_the_other():
    square = np.random.default_rng(1).integers(0, 256, (20, 1, 8, 8)).astype(np.uint8)
    turned = distort(square, DISTORTIONS["rotation"], 90.0, np.arange(20))
    sides = [
        [np.allclose(after[0], np.rot90(before[0], k), atol=ROUNDING) for k in (1, 3)]
        for before, after in zip(square, turned, strict=True)
    ]
    assert all(sum(side) == 1 for side in sides)
    assert {tuple(side) for side in sides} == {(True, False), (False, True)}


def test_a_shift_moves_every_image_by_that_share_of_the_side():
    spot = np.zeros((40, 1, 41, 41), np.uint8)
    spot[:, :, 18:23, 18:23] = 250
    moved = distort(spot, DISTORTIONS["shift"], 0.2, np.arange(40)).astype(float)
    grid = np.arange(41) - 20.0
    mass = moved.sum(axis=(1, 2, 3))
    y = (moved.sum(axis=(1, 3)) * grid).sum(axis=1) / mass
    x = (moved.sum(axis=(1, 2)) * grid).sum(axis=1) / mass
    np.testing.assert_allclose(np.hypot(y, x), 0.2 * 41, atol=0.1)
    assert len({(a > 0, b > 0) for a, b in zip(y, x, strict=True)}) == 4  # in all directions


def test_blur_is_scipys_gaussian(images):
    found = distort(images, DISTORTIONS["blur"], 0.05, np.arange(6))
    theirs = ndimage.gaussian_filter(images.astype(float), (0, 0, 1.0, 1.0), mode="nearest")
    np.testing.assert_allclose(found, theirs, atol=ROUNDING)


def test_noise_has_the_deviation_asked_for():
    grey = np.full((4, 3, 64, 64), 128, np.uint8)
    noisy = distort(grey, DISTORTIONS["noise"], 0.08, np.arange(4)).astype(float)
    assert noisy.std() / 255 == pytest.approx(0.08, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=0.5)


def test_brightness_multiplies_and_clips(images):
    found = distort(images, DISTORTIONS["brightness"], 1.7, np.arange(6))
    np.testing.assert_allclose(found, np.clip(images * 1.7, 0, 255), atol=ROUNDING)
