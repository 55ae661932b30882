"""Features averaged over views of an image, from the pixels to the bundle that answers alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import striate
from striate.data import ArrayPixels
from striate.data.views import VIEWS, WHOLE, View, show
from striate.errors import UserError
from striate.features import Frozen, cached_features, extractors, onnx_file
from striate.schemas import Preprocess

SIDE = 16
PREPROCESS = Preprocess(channels=3, height=SIDE, width=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3)
ROUNDING = 1e-5  # of float32 sums in another order
AGREES = 2e-3  # of a logit: ONNX Runtime and torch round differently


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def no_export(monkeypatch):
    """Torch computes in these tests: exporting takes seconds, and is tested elsewhere."""
    make = onnx_file.make
    monkeypatch.setattr(
        onnx_file,
        "make",
        lambda key, module, images, written: (
            extractors.TorchExtractor(module) if written is None else make(key, module, images, written)
        ),
    )


def pictures(n=5):
    return np.random.Generator(np.random.PCG64(0)).integers(0, 256, (n, 3, SIDE, SIDE), dtype=np.uint8)


def digests(n=5):
    return np.arange(n * 32, dtype=np.uint8).reshape(n, 32)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten()).eval()


def features_of(images, views):
    preprocess = PREPROCESS.model_copy(update={"views": views})
    found = cached_features(ArrayPixels(images), digests(len(images)), preprocess, Frozen("a" * 64, network))
    return found.values, found.computed


def direct(images):
    with torch.inference_mode():
        return network()(torch.from_numpy(PREPROCESS.normalize(images))).numpy()


def test_features_of_views_are_the_mean_of_those_of_each():
    images = pictures()
    for name, views in VIEWS.items():
        expected = np.mean([direct(show(images, view)) for view in views], axis=0)
        np.testing.assert_allclose(features_of(images, name)[0], expected, atol=ROUNDING)


def test_a_view_that_is_kept_is_not_computed_again(monkeypatch):
    images, seen = pictures(), []
    features_of(images, "flip")
    compute = extractors.TorchExtractor.__call__
    monkeypatch.setattr(
        extractors.TorchExtractor, "__call__", lambda self, inputs: seen.append(1) or compute(self, inputs)
    )
    assert features_of(images, "one")[1] == features_of(images, "flip")[1] == 0
    assert features_of(images, "flip-crops")[1] == len(images)
    assert len(seen) == 8 * len(images)


def test_the_whole_image_comes_first_and_mirroring_twice_changes_nothing():
    images = pictures()
    assert all(views[0] == WHOLE for views in VIEWS.values())
    np.testing.assert_array_equal(show(images, WHOLE), images)
    mirror = View(mirrored=True)
    np.testing.assert_array_equal(show(images, mirror), images[..., ::-1])
    np.testing.assert_array_equal(show(show(images, mirror), mirror), images)


def test_a_corner_is_seven_eighths_of_the_image_enlarged():
    images = np.zeros((1, 3, 64, 64), np.uint8)
    images[..., :8, :8] = 255  # the 8 pixels that the opposite corner leaves out
    assert show(images, View((1, 1))).max() < 60  # but for what interpolation carries over
    shown = show(images, View((0, 0)))
    assert shown.shape == images.shape
    assert int((shown[0, 0] > 127).any(axis=1).sum()) == 9  # 8 / 0.875


@pytest.fixture
def photos(tmp_path):
    generator = np.random.Generator(np.random.PCG64(0))
    for name, low in (("dark", 0), ("light", 90)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            pixels = generator.integers(low, low + 150, (64, 80, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def test_the_bundle_averages_views_as_the_training_did(photos, tmp_path):
    settings = {"image_size": 32, "audit": False, "strategy": "features"}
    run = striate.train(photos, out=tmp_path / "flip", feature_views="flip", **settings)
    plain = striate.train(photos, out=tmp_path / "one", **settings)
    stored = run.predictions("test")
    assert not np.allclose(stored.logits, plain.predictions("test").logits, atol=10 * AGREES)
    classifier = striate.load(run.model)
    assert classifier.preprocess.views == "flip"
    paths = [photos / image for image in stored.images]
    found = classifier.predict_logits(paths) * classifier.record.temperature
    np.testing.assert_allclose(found, stored.logits, atol=AGREES)
    mirrored = [Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT) for path in paths]
    again = classifier.predict_logits(mirrored) * classifier.record.temperature
    np.testing.assert_allclose(again, found, atol=AGREES)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"strategy": "head"}, "an option of --strategy features, not of head"),
        ({"strategy": "features", "permute_pixels": 1}, "leave out --feature-views"),
    ],
)
def test_views_without_features_or_pictures_are_refused(photos, tmp_path, settings, says):
    with pytest.raises(UserError, match=says):
        striate.train(photos, out=tmp_path / "run", feature_views="crops", **settings)
