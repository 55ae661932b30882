"""What layers put out is what they put out, by torch and by the glass box."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import striate
from conftest import PREPROCESS, SHAPES, SPEC, draw
from striate import bundle, cli
from striate.architectures import Spec
from striate.architectures.to_torch import read_weights
from striate.bundle import TrainingData
from striate.data import ArrayPixels, ImageSet
from striate.errors import UserError
from striate.explain import Subject, activations, most_responsive
from striate.explain.layer_outputs import layer_names
from striate.inference import Classifier

TOLERANCE = 1e-5
"""Relative to the largest value: float32 sums in another order."""
PIXELS, _ = draw(5, seed=3)


@pytest.fixture(scope="module", params=["torch", "numpy"])
def classifier(
    request: pytest.FixtureRequest, shapes: Subject, tmp_path_factory: pytest.TempPathFactory
) -> Classifier:
    folder = tmp_path_factory.mktemp("model")
    bundle.write(
        folder,
        read_weights(shapes.network),
        name="little",
        spec=Spec.from_yaml(SPEC).to_dict(),
        class_names=SHAPES,
        preprocess=PREPROCESS,
        data=TrainingData(name="shapes", fingerprint="0", samples=1),
    )
    return striate.load(folder, engine=request.param)


@pytest.mark.parametrize(
    ("layer", "steps"), [("relu2", 5), ("conv3", 6), ("linear1", 10), (0, 1), ("-1", 10)]
)
def test_outputs_are_the_networks(
    classifier: Classifier, shapes: Subject, layer: str | int, steps: int
) -> None:
    (seen,) = activations(classifier, PIXELS, layer).values()
    with torch.no_grad():
        expected = nn.Sequential(*list(shapes.network.children())[:steps])(shapes.tensor(PIXELS)).numpy()
    assert np.abs(seen.values.reshape(expected.shape) - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_both_engines_number_layers_alike(classifier: Classifier, shapes: Subject) -> None:
    assert layer_names(classifier) == [name for name, _ in shapes.network.named_children()]


def test_network_computes_as_before(classifier: Classifier) -> None:
    before = classifier.predict_logits(PIXELS.transpose(0, 2, 3, 1))
    activations(classifier, PIXELS, ["conv1", "relu3"])
    with pytest.raises(UserError, match="did you mean 'conv1'"):
        activations(classifier, PIXELS, "conv11")
    assert np.array_equal(classifier.predict_logits(PIXELS.transpose(0, 2, 3, 1)), before)


def test_dead_channels_are_those_that_never_change(classifier: Classifier) -> None:
    (seen,) = activations(classifier, PIXELS, "relu2").values()
    still = [number for number in range(16) if np.unique(seen.values[:, number]).size == 1]
    assert seen.dead.tolist() == still


def test_channels_that_tell_two_images_apart_differ_most(classifier: Classifier) -> None:
    (seen,) = activations(classifier, PIXELS[:2], "relu3").values()
    best, *_, worst = seen.telling_apart(16)
    size = np.abs(seen.values).max(axis=(0, 2, 3))
    gaps = np.abs(seen.means[0] - seen.means[1]) / np.where(size > 0, size, 1)
    assert gaps[best] == gaps.max()
    assert gaps[worst] == gaps.min()
    (one,) = activations(classifier, PIXELS[:1], "relu3").values()
    with pytest.raises(UserError, match="two images are needed"):
        one.telling_apart()


def test_most_responsive_images_are_those_with_the_largest_values(classifier: Classifier) -> None:
    pixels, labels = draw(40, seed=9)
    images = ImageSet(tuple(f"{number}" for number in range(40)), labels, ArrayPixels(pixels))
    found = most_responsive(classifier, images, "relu3", 3, count=4)
    (seen,) = activations(classifier, pixels, "relu3").values()
    peaks = seen.values[:, 3].max(axis=(1, 2))
    assert [value for _, value, _ in found] == pytest.approx(np.sort(peaks)[::-1][:4].tolist(), rel=1e-4)
    path, value, (row, column) = found[0]
    assert seen.values[int(path), 3, row, column] == pytest.approx(value, rel=1e-4)
    with pytest.raises(UserError, match="channel 16 is out of range: relu3 has 16"):
        most_responsive(classifier, images, "relu3", 16)


def test_grid_has_a_panel_for_each_channel_and_image(classifier: Classifier, tmp_path: Path) -> None:
    (seen,) = activations(classifier, PIXELS[:2], "relu2", ["one", "two"]).values()
    figure = seen.figure()
    assert len([axes for axes in figure.axes if axes.images]) == 2 * 16
    assert len([axes for axes in seen.figure([3, 5]).axes if axes.images]) == 2 * 2
    assert seen._repr_png_().startswith(b"\x89PNG")


def test_pretrained_network_is_known_by_its_name(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(PIXELS[0].transpose(1, 2, 0)).save(photo)
    seen = striate.show_activations("lite0", photo, "stem_conv", out=tmp_path / "channels.png")
    assert seen.values.shape == (1, 32, 112, 112)
    with pytest.raises(UserError, match="is an image that is read"):
        striate.show_activations("lite0", photo, "stem_conv", out=photo)
    with pytest.raises(UserError, match="expected a name that ends in"):
        striate.show_activations("lite0", photo, "stem_conv", out=tmp_path / "channels.gif")
    with pytest.raises(UserError, match="lite0 runs on torch alone"):
        striate.show_activations("lite0", photo, "stem_conv", engine="numpy")


def test_every_number_is_written_as_it_is(tmp_path: Path) -> None:
    photo, numbers = tmp_path / "=photo.png", tmp_path / "numbers.csv"
    Image.fromarray(PIXELS[0].transpose(1, 2, 0)).save(photo)
    command = ["explain", "lite0", str(photo), "--activations", "stem_conv", "--out", str(numbers), "-q"]
    assert cli.run(command) == 0
    read = list(csv.DictReader(numbers.read_text().splitlines()))
    assert {row["image"] for row in read} == {"'=photo.png"}  # no formula for a spreadsheet
    seen = striate.show_activations("lite0", photo, "stem_conv", channels=[5, 2], out=numbers)
    places = tuple(np.array([int(row[name]) for row in read]) for name in ("channel", "row", "column"))
    found = np.array([row["value"] for row in read], np.float32)
    assert np.array_equal(seen.values[0][places], found)
    assert len(set(zip(*map(np.ndarray.tolist, places), strict=True))) == seen.values.size
    assert {line.split(",")[1] for line in numbers.read_text().splitlines()[1:]} == {"2", "5"}
    with pytest.raises(UserError, match="channel 32 is out of range"):
        striate.show_activations("lite0", photo, "stem_conv", channels=[32], out=numbers)
