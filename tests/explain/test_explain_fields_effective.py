"""The effective field, and receptive fields drawn."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from striate import bundle, figure_style
from striate.architectures import build, load_spec, read_weights
from striate.bundle import TrainingData
from striate.errors import UserError
from striate.explain import receptive_fields
from striate.explain.fields.effective import EffectiveField, effective_field
from striate.explain.fields.figures import COURSE, fields_on_photo, windows_drawn
from striate.schemas import Preprocess
from striate.workflows.receptive_fields import draw_receptive_fields
from striate.workflows.receptive_fields import receptive_fields as named_fields

SHAPE = (1, 33, 33)


@pytest.fixture(scope="module")
def layers() -> nn.Sequential:
    """Five unpadded 3x3 convolutions with all weights one third of one: gradients are known."""
    network = nn.Sequential(*(nn.Conv2d(1, 1, 3, bias=False) for _ in range(5)))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1 / 9)
    return network.eval()


def _images(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, *SHAPE)).astype(np.float32)


def test_the_effective_field_is_the_size_of_the_gradient(layers: nn.Sequential) -> None:
    fields = receptive_fields(layers, SHAPE)
    found = effective_field(layers, fields, "4", _images())
    line = np.ones(1)
    for _ in range(5):
        line = np.convolve(line, np.ones(3) / 3)
    expected = np.zeros(SHAPE[1:])
    top, left, bottom, right = fields["4"].box(*found.place)
    expected[top : bottom + 1, left : right + 1] = np.outer(line, line)
    np.testing.assert_allclose(found.influence, expected / expected.max(), atol=1e-6)


def test_the_effective_size_is_four_deviations_of_the_influence(layers: nn.Sequential) -> None:
    """The sum of five draws from {-1, 0, 1} has the variance 5 * 2 / 3."""
    found = effective_field(layers, receptive_fields(layers, SHAPE), "4", _images())
    assert found.size == pytest.approx((4 * np.sqrt(10 / 3),) * 2, rel=1e-5)
    assert found.centre == pytest.approx((16, 16), abs=1e-4)


def test_random_signs_estimate_the_mean_square_over_channels() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 6, 3)).eval()
    fields = receptive_fields(network, (1, 5, 5))
    found = effective_field(network, fields, "0", np.zeros((1, 1, 5, 5), np.float32), draws=500)
    weight = network[0].weight.detach().numpy()
    expected = np.sqrt((weight**2).sum(axis=(0, 1)))
    inner = found.influence[1:4, 1:4]
    np.testing.assert_allclose(inner / inner.max(), expected / expected.max(), rtol=0.2)


def test_mode_gradients_and_hooks_stay_as_they_were() -> None:
    network = build("mynet", (1, 16, 16), 3).train()
    fields = receptive_fields(network, (1, 16, 16))
    effective_field(network, fields, "residual1", np.zeros((1, 1, 16, 16), np.float32), draws=1)
    assert all(module.training and not module._forward_hooks for module in network.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_a_frozen_network_works(layers: nn.Sequential) -> None:
    frozen = nn.Sequential(*layers).requires_grad_(False)
    assert effective_field(frozen, receptive_fields(frozen, SHAPE), "0", _images()).influence.any()


@pytest.mark.parametrize(
    ("layer", "place", "text"),
    [
        ("conv_2", None, "did you mean 'conv2'"),
        ("linear1", None, "no maps"),
        ("conv2", (99, 0), "the maps of conv2 are 32 x 32"),
    ],
)
def test_bad_layers_and_places_are_told(layer: str, place: tuple[int, int] | None, text: str) -> None:
    network = build("simple-cnn", (3, 32, 32), 10)
    fields = receptive_fields(network, (3, 32, 32))
    with pytest.raises(UserError, match=text):
        effective_field(network, fields, layer, np.zeros((1, 3, 32, 32), np.float32), place=place)


# Drawings


def _texts(figure: Figure) -> str:
    return figure_style.svg(figure).decode()


def test_the_photo_shows_fields_and_their_sizes() -> None:
    fields = receptive_fields("mynet", (1, 28, 28))
    effective = EffectiveField(fields["residual2"], (3, 3), np.eye(28))
    photo = np.zeros((40, 40, 3), np.uint8)
    text = _texts(fields_on_photo(fields, photo, effective=effective, note="random weights"))
    for part in ("conv1: 3 x 3", "pool1: 6 x 6", "theoretical: 36 x 36", "(random weights)"):
        assert part in text
    assert "conv3: 18 x 18" in _texts(fields_on_photo(fields, photo[..., 0], layers=["conv3"]))


def test_layers_that_see_everything_are_not_drawn() -> None:
    fields = receptive_fields("mynet", (1, 28, 28))
    photo = np.zeros((28, 28), np.uint8)
    with pytest.raises(UserError, match="pool3 sees the whole image"):
        fields_on_photo(fields, photo, layers=["pool3"])
    with pytest.raises(UserError, match="no field to draw"):
        fields_on_photo(receptive_fields("mlp", (3, 32, 32)), photo)


def test_the_courses_five_pairs_are_drawn_with_their_fields() -> None:
    text = _texts(windows_drawn(COURSE))
    sizes = ("5 x 5", "7 x 7", "7 x 7", "6 x 6", "7 x 7")
    for title, size in zip(COURSE, sizes, strict=True):
        assert f"{title}: {size}" in text


# The workflow


@pytest.fixture
def photo(tmp_path) -> str:
    Image.fromarray(np.full((30, 40, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_a_bundle_is_drawn_on_what_it_gets_to_see(tmp_path, photo: str) -> None:
    spec = load_spec("simple-cnn")
    network = build(spec, (1, 20, 24), 3)
    preprocess = Preprocess(channels=1, height=20, width=24, mean=(0.5,), std=(0.5,))
    bundle.write(
        tmp_path / "model",
        weights=read_weights(network),
        name="simple",
        spec=spec.to_dict(),
        class_names=("a", "b", "c"),
        preprocess=preprocess,
        data=TrainingData(name="none", fingerprint="0", samples=1),
    )
    assert named_fields(tmp_path / "model").input_shape == (1, 20, 24)
    drawn = draw_receptive_fields(tmp_path / "model", photo, object_size="12,12")
    assert drawn.layer == "pool1"
    assert "smaller than the object (12 x 12)" in drawn.remarks[0]
    picture = Image.open(io.BytesIO(figure_style.png(drawn.figure, dpi=40)))
    assert picture.width > 100
    with pytest.raises(UserError, match="leave out --input"):
        named_fields(tmp_path / "model", input="3,32,32")


def test_networks_by_name_come_from_the_zoo_and_from_libraries(photo: str) -> None:
    assert named_fields("vgg6", input="3,32,32")["pool2"].size == (16, 16)
    assert named_fields("lite0").deepest.size == (851, 851)
    library = named_fields("timm/resnet18", input=(3, 64, 64))
    assert (library.name, library.deepest.size) == ("resnet18", (435, 435))
    with pytest.raises(UserError, match="did you mean"):
        named_fields("mynett")


def test_bad_photos_and_sizes_are_told(tmp_path, photo: str) -> None:
    (tmp_path / "no.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"no\.png cannot be used"):
        draw_receptive_fields("simple-cnn", tmp_path / "no.png")
    with pytest.raises(UserError, match="expected height,width"):
        draw_receptive_fields("simple-cnn", photo, object_size="12")
    with pytest.raises(UserError, match="no maps"):
        draw_receptive_fields("mlp", photo)
