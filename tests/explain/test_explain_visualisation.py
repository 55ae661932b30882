"""Gradient ascent raises its objective, for every channel of a layer at once."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import untrained
from striate.errors import UserError
from striate.explain import Subject
from striate.explain.visualisation import Ascent, visualise

QUICK = {"steps": 12, "octaves": 2}


@pytest.mark.parametrize("parametrisation", ["fourier", "pixel"])
def test_ascent_raises_each_channel(shapes: Subject, parametrisation: str) -> None:
    made = visualise(shapes, "conv3", how=Ascent(parametrisation=parametrisation, steps=40))
    assert made.channels == tuple(range(16))
    assert (made.after > made.before).all()
    assert made.images.shape == (16, 3, 24, 24)
    assert made.images.dtype == np.uint8


def test_same_seed_gives_the_same_images(shapes: Subject) -> None:
    first, second = (visualise(shapes, "conv2", [3, 5], Ascent(**QUICK)).images for _ in range(2))
    assert np.array_equal(first, second)


def test_total_variation_smooths(shapes: Subject) -> None:
    def roughness(variation: float) -> float:
        images = visualise(shapes, "conv2", [1, 2], Ascent("pixel", variation=variation, **QUICK)).images
        return float(np.abs(np.diff(images.astype(float), axis=3)).mean())

    assert roughness(20.0) < roughness(0.0)


def test_network_is_as_before_and_bad_input_is_refused() -> None:
    subject = untrained()
    for layer, channels, text in (
        ("conv9", None, "no layer 'conv9'"),
        ("conv2", [16], "channel 16 is"),
    ):
        with pytest.raises(UserError, match=text):
            visualise(subject, layer, channels)
    with pytest.raises(UserError, match="expected 'fourier' or 'pixel'"):
        visualise(subject, "conv2", how=Ascent("wavelet"))
    assert not any(module._forward_hooks for module in subject.network.modules())
    assert all(parameter.requires_grad for parameter in subject.network.parameters())


def test_grid_shows_every_image(shapes: Subject) -> None:
    made = visualise(shapes, "conv2", [0, 1, 2], Ascent(steps=1, octaves=1))
    assert sum(bool(axes.images) for axes in made.figure().axes) == 3
