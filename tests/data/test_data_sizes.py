"""Training images that enter small at first."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate.config import TrainConfig, make
from striate.data import ImageSet
from striate.data.images import ArrayPixels
from striate.data.loaders import Batches, shrink
from striate.errors import UserError
from striate.schemas import Preprocess
from striate.workflows.train import sides_of

PREPROCESS = Preprocess(channels=3, height=16, width=16, mean=(0.0,) * 3, std=(1.0,) * 3)


def batches(sides):
    pixels = np.random.default_rng(0).integers(0, 255, (6, 3, 16, 16)).astype(np.uint8)
    images = ImageSet(tuple("abcdef"), np.arange(6) % 2, ArrayPixels(pixels))
    return Batches(images, PREPROCESS, 3, shuffle=True, num_classes=2, sides=sides)


def test_each_epoch_has_its_side():
    made = batches([8, 12, 16])
    for epoch, side in enumerate((8, 12, 16)):
        made.set_epoch(epoch)
        assert {tuple(batch.inputs.shape) for batch in made} == {(3, 3, side, side)}


def test_the_last_side_is_the_image_as_it_is():
    made, plain = batches([8, 16]), batches([])
    made.set_epoch(1)
    plain.set_epoch(1)
    for one, other in zip(made, plain, strict=True):
        assert torch.equal(one.inputs, other.inputs)


def test_shrinking_keeps_the_mean_and_leaves_even_images_even():
    images = torch.full((2, 3, 16, 16), 77, dtype=torch.uint8)
    assert torch.equal(shrink(images, 8), torch.full((2, 3, 8, 8), 77, dtype=torch.uint8))
    halves = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    halves[..., 8:] = 200
    assert shrink(halves, 8).float().mean() == pytest.approx(100, abs=1)


@pytest.mark.parametrize("sizes", ["128,64", "64,64", "64,big", "", "0,64"])
def test_sizes_that_do_not_rise_are_refused(sizes):
    with pytest.raises(UserError, match="64,96,128"):
        make(TrainConfig, {"data": "x", "sizes": sizes})


def test_sizes_share_the_epochs_and_end_at_the_size_of_the_input():
    config = make(TrainConfig, {"data": "x", "sizes": "64,96,128", "epochs": 6})
    assert sides_of(config, 128) == [64, 64, 96, 96, 128, 128]
    with pytest.raises(UserError, match="--image-size 128"):
        sides_of(config, 224)
    with pytest.raises(UserError, match="train longer"):
        sides_of(config.model_copy(update={"epochs": 2}), 128)
