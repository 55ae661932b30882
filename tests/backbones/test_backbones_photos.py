"""A real network on real photos: what NumPy sees on them is what torch sees."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from striate.engine import watching

FLOAT32 = 1e-4
"""Of the largest value of each layer: float32 sums in other orders, through 49 convolutions."""
CATS = {"tabby", "tiger cat", "Egyptian cat"}


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("shape", [(300, 451), (512, 224), (60, 75)])
def test_preprocessing_is_resize_bicubic_and_centre_crop(lite0, shape, mode):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)).convert(mode)
    reference = v2.Compose(
        [
            v2.Resize(256, v2.InterpolationMode.BICUBIC),
            v2.CenterCrop(224),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )
    expected = reference(image.convert("RGB")).numpy()
    np.testing.assert_allclose(lite0.preprocess([image])[0], expected, atol=1e-6)


def test_numpy_names_the_cat_the_coffee_and_the_rocket(lite0, photos):
    best = lite0.top(lite0.build("numpy").predict(lite0.preprocess(photos)), 3)
    assert {name for name, _ in best[0]} == CATS
    assert best[1][0][0] == "espresso"
    assert best[2][0][0] == "missile"
    for row in best:
        probabilities = [probability for _, probability in row]
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0 < sum(probabilities) <= 1


def test_every_activation_is_torchs(lite0, photos):
    x = lite0.preprocess(photos)
    ours, theirs = lite0.build("numpy"), lite0.build("torch")
    expected = {}
    for path, module in theirs.named_modules():
        module.register_forward_hook(lambda _, __, output, path=path: expected.update({path: output}))
    with torch.no_grad(), watching(ours) as seen:
        theirs(torch.from_numpy(x))
        ours.forward(x)
    assert set(seen.outputs) == set(expected) - {""}
    for path, found in seen.outputs.items():
        reference = expected[path].numpy()
        worst = np.abs(found - reference).max() / np.abs(reference).max()
        assert worst < FLOAT32, (path, worst)


def test_numpy_sees_at_least_one_image_a_second(lite0, photos):
    network, x = lite0.build("numpy"), lite0.preprocess(photos)
    network.predict(x)
    start = time.perf_counter()
    network.predict(x)
    assert time.perf_counter() - start < len(x)
