"""How much of the images a crop leaves out, and that it is said."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from striate.config import DataConfig
from striate.data import decode, prepare
from striate.data.geometry import cut_away, describe_cut
from striate.schemas import Preprocess

WIDTHS, HEIGHTS = np.array([400, 300, 200, 100]), np.array([300, 300, 400, 800])


def square(fit="crop", share=1.0, width=200):
    return Preprocess(channels=1, height=200, width=width, fit=fit, crop_share=share, mean=(0.0,), std=(1.0,))


@pytest.mark.parametrize(("share", "width"), [(1.0, 200), (0.875, 200), (0.5, 100)])
def test_the_share_that_is_cut_is_that_of_the_pixels_that_change_nothing(share, width):
    """A pixel is seen if the input changes with it: counted on stripes across and down."""
    preprocess = square(share=share, width=width)
    for given_width, given_height in zip(WIDTHS, HEIGHTS, strict=True):
        seen = []
        for axis, side in enumerate((given_height, given_width)):
            ramp = np.linspace(0, 255, side).astype(np.uint8)
            image = np.broadcast_to(ramp[:, None] if axis == 0 else ramp, (given_height, given_width))
            pixels = decode.fit(Image.fromarray(np.ascontiguousarray(image)), preprocess)[0]
            seen.append((float(pixels.max()) - float(pixels.min())) / 255)
        found = cut_away(np.array([given_width]), np.array([given_height]), preprocess)[0]
        assert found == pytest.approx(1 - seen[0] * seen[1], abs=0.02)  # of 200 values, some at the border


def test_other_fits_cut_nothing_and_nothing_is_said():
    for fit in ("squash", "pad"):
        assert not cut_away(WIDTHS, HEIGHTS, square(fit)).any()
        assert describe_cut(WIDTHS, HEIGHTS, square(fit)) is None
    assert describe_cut(np.array([80, 300]), np.array([80, 300]), square()) is None


def test_a_crop_says_how_much_of_the_images_it_cuts_off(write_pictures, tmp_path):
    folder = write_pictures(tmp_path / "photos", {"a": 8, "b": 8}, size=(40, 30))
    sets = prepare(DataConfig(data=str(folder), fit="crop", image_size=16))
    (said,) = [text for text in sets.messages if "--fit crop" in text]
    assert "cuts off 25 % of the area" in said
    assert not any("--fit" in text for text in prepare(DataConfig(data=str(folder), image_size=16)).messages)


def test_images_of_several_shapes_get_median_and_range():
    assert "cuts off 38 % (median; 0 to 88 %)" in describe_cut(WIDTHS, HEIGHTS, square())
