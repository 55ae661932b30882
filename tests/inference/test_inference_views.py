"""Logits averaged over mirrored and shifted images."""

from __future__ import annotations

import numpy as np
import pytest

from striate.inference.views import TEST_VIEWS, averaged


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 2, 5, 6)).astype(np.uint8)


def flat(pixels: np.ndarray) -> np.ndarray:
    """A linear function of an image that tells all its pixels apart: (B, C * H * W)."""
    return pixels.reshape(len(pixels), -1).astype(np.float32)


@pytest.mark.parametrize("name", TEST_VIEWS)
def test_weights_add_up_to_one(name: str) -> None:
    assert sum(weight for _, weight in TEST_VIEWS[name]) == 1


def test_one_view_is_the_network_itself(pixels: np.ndarray) -> None:
    assert np.array_equal(averaged(flat, pixels, "one"), flat(pixels))


def test_flip_averages_the_image_and_its_mirror_image(pixels: np.ndarray) -> None:
    expected = (flat(pixels) + flat(pixels[..., ::-1])) / 2
    assert np.allclose(averaged(flat, pixels, "flip"), expected)


def test_shift_averages_shifts_by_one_pixel_that_reflect_at_the_border(pixels: np.ndarray) -> None:
    height, width = pixels.shape[2:]
    moved = {}
    for step in (1, -1):
        rows = np.abs(np.arange(height) - step)
        columns = np.abs(np.arange(width) - step)
        rows[rows >= height] = height - 2
        columns[columns >= width] = width - 2
        moved[step] = flat(pixels[:, :, rows][..., columns])
    expected = flat(pixels) / 2 + (moved[1] + moved[-1]) / 4
    assert np.allclose(averaged(flat, pixels, "shift"), expected)


@pytest.mark.parametrize("name", ["flip", "flip-shift"])
def test_with_flips_left_and_right_weigh_the_same(name: str, pixels: np.ndarray) -> None:
    mean = averaged(flat, pixels, name).reshape(pixels.shape)
    assert np.allclose(mean, mean[..., ::-1])
