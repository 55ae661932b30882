"""One way from a pretrained network's preprocessing to the settings of an image's way in."""

from __future__ import annotations

import numpy as np
from PIL import Image

from striate import backbones
from striate.backbones.preprocessing import Preprocessing
from striate.explain import Subject
from striate.workflows import receptive_fields

OWN = Preprocessing((24, 24), 0.875, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), "bilinear")


def test_settings_keep_everything() -> None:
    settings = OWN.as_input()
    assert (settings.height, settings.width, settings.crop_share) == (24, 24, 0.875)
    assert (settings.mean, settings.std) == (OWN.mean, OWN.std)
    assert (settings.interpolation, settings.fit) == ("bilinear", "crop")
    assert OWN.as_input((32, 16)).input_shape == (3, 32, 16)


def test_a_subject_and_a_drawing_keep_the_interpolation() -> None:
    assert Subject.of_backbone(backbones.load("lite0")).preprocess.interpolation == "bicubic"
    network = receptive_fields._find("resnet18", (3, 64, 64), 3, None)
    _, preprocess, _ = receptive_fields._with_values(network)
    known = backbones.find("resnet18").preprocessing
    assert preprocess == known.as_input((64, 64))
    assert preprocess.interpolation == known.interpolation


def test_the_way_in_is_as_before() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8))
    whole = Preprocessing((24, 24), 1.0, OWN.mean, OWN.std)
    np.testing.assert_allclose(
        whole([image])[0], whole.as_input().normalize(whole.cut(image)[None])[0], rtol=1e-6
    )
