"""Maps of transformers: their tokens are a grid, and the numbers are those of a naive reshape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import SwinTransformer, VisionTransformer

from conftest import PREPROCESS, SHAPES, SIDE, draw
from striate import backbones
from striate.errors import UserError
from striate.explain import Subject, activations, class_maps
from striate.explain.arrangement import Grids
from striate.explain.layers import channels_of, default_layer, last_tokens
from striate.explain.subject import held

TOLERANCE = 1e-4
"""Relative: float32 sums in another order."""
PIXELS, _ = draw(3, seed=3)
INPUT = (3, SIDE, SIDE)
Reshape = Callable[[Tensor], Tensor]


def without_class_token(tensor: Tensor) -> Tensor:
    """pytorch-grad-cam's `reshape_transform` for ViT (its `usage_examples/vit_example.py`), 4 x 4 tokens."""
    result = tensor[:, 1:, :].reshape(tensor.size(0), 4, 4, tensor.size(2))
    return result.transpose(2, 3).transpose(1, 2)


def channels_first(tensor: Tensor) -> Tensor:
    """pytorch-grad-cam's `reshape_transform` for Swin (`swinT_example.py`)."""
    return tensor.transpose(2, 3).transpose(1, 2)


def learned(network: nn.Module) -> nn.Module:
    """Give all weights values: heads and tokens of torchvision begin at zero."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for one in network.parameters():
            one.copy_(torch.randn(one.shape, generator=generator) * 0.3)
    return network.eval()


def vit() -> Subject:
    network = VisionTransformer(SIDE, 6, num_layers=2, num_heads=2, hidden_dim=12, mlp_dim=20, num_classes=3)
    return Subject("vit", learned(network), "logits", SHAPES, PREPROCESS)


def swin() -> Subject:
    network = SwinTransformer([2, 2], 10, [2, 2], [2, 2], [3, 3], stochastic_depth_prob=0.0, num_classes=3)
    return Subject("swin", learned(network), "logits", SHAPES, PREPROCESS)


def seen(subject: Subject, layer: str, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return what a layer puts out, and the gradient of the classes' scores for it."""
    kept: list[Tensor] = []
    handle = subject.network.get_submodule(layer).register_forward_hook(lambda m, i, out: kept.append(out))
    try:
        raw = subject.network(subject.tensor(PIXELS).requires_grad_())
    finally:
        handle.remove()
    total = raw[torch.arange(len(labels)), torch.from_numpy(labels)].sum()
    return kept[-1].detach(), torch.autograd.grad(total, kept[-1])[0]


CASES = [(vit, "encoder.layers.encoder_layer_1.ln_1", without_class_token), (swin, "norm", channels_first)]


@pytest.mark.parametrize(("make", "layer", "reshape"), CASES)
@pytest.mark.parametrize("method", ["grad-cam", "layer-cam"])
def test_maps_are_those_of_reshaped_tokens(make: Any, layer: str, reshape: Reshape, method: str) -> None:
    subject = make()
    found = class_maps(subject, PIXELS, [0, 1, 2], method)
    maps, gradients = (reshape(one) for one in seen(subject, layer, found.classes))
    weights = gradients.mean(dim=(2, 3), keepdim=True) if method == "grad-cam" else gradients.relu()
    expected = (weights * maps).sum(dim=1).numpy()

    assert found.layer == layer
    assert found.values.shape == expected.shape
    assert np.abs(found.values - expected).max() <= TOLERANCE * np.abs(expected).max()
    assert np.ptp(found.values, axis=(1, 2)).min() > 0


@pytest.mark.parametrize(("make", "layer", "reshape"), CASES)
def test_the_network_computes_as_before_while_its_tokens_are_opened(
    make: Any, layer: str, reshape: Reshape
) -> None:
    subject = make()
    with held(subject.network), torch.no_grad():
        raw = subject.network(subject.tensor(PIXELS)).numpy()
    for method in ("grad-cam", "score-cam", "grad-cam++"):
        found = class_maps(subject, PIXELS, [0, 1, 2], method)
        np.testing.assert_allclose(found.scores, raw, rtol=1e-4, atol=1e-4)
        assert np.isfinite(found.values).all()


@pytest.mark.parametrize(("make", "layer", "reshape"), CASES)
def test_activations_of_tokens_are_maps(make: Any, layer: str, reshape: Reshape) -> None:
    subject = make()
    (found,) = activations(subject, PIXELS, layer).values()
    expected, _ = seen(subject, layer, np.zeros(3, np.int64))
    np.testing.assert_allclose(found.values, reshape(expected).numpy(), rtol=1e-4, atol=1e-5)
    assert channels_of(subject.network, INPUT, layer) == found.values.shape[1]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("timm/test_vit", "blocks.5.norm1"),
        ("timm/test_convnext", None),
        ("resnet18", "layer4"),
        ("convnext_tiny", None),
    ],
)
def test_the_default_layer_is_deep(name: str, layer: str | None) -> None:
    """Of a ViT with a class token what goes into its last attention; of a ConvNeXt still maps."""
    network, _ = backbones.find(name, size=(64, 64)).start((3, 64, 64), 3)
    found = default_layer(network, (3, 64, 64))
    assert found == (layer or found)
    assert "stem" not in found
    assert "features.0" not in found


class ChannelsLast(nn.Module):
    """A linear layer and a normalisation over the channels of maps, which come last meanwhile."""

    def __init__(self, channels: int, made: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, made)
        self.norm = nn.LayerNorm(made)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.linear(x.movedim(1, -1)))


def test_maps_of_convolutions_are_never_taken_for_another_order() -> None:
    grids = Grids.of(nn.Sequential(nn.Conv2d(3, 8, 1), ChannelsLast(8, 8)), (3, 8, 8))
    assert grids.arrangement((8, 8, 8)).kind == "maps"  # there is a convolution of 8
    assert Grids.of(nn.Conv2d(3, 5, 1), (3, 5, 7)).arrangement((5, 5, 7)).kind == "maps"
    grids = Grids.of(nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), ChannelsLast(4, 8)), (3, 8, 8))
    assert grids.arrangement((4, 4, 8)).kind == "channels last"
    assert grids.arrangement((4, 4, 4)).kind == "maps"
    assert grids.arrangement((1, 16, 8)).kind == "maps"  # nothing works over its last axis
    assert grids.arrangement((16, 8)).before == 0
    assert grids.arrangement((17, 8)).before == 1
    assert grids.arrangement((18, 8)) is None
    assert Grids.of(ChannelsLast(3, 8), (3, 8, 16)).arrangement((16, 8)) is None
    assert Grids.of(ChannelsLast(3, 8), (3, 1, 1)).arrangement((1, 1, 8)).kind == "maps"


class Joined(nn.Module):
    """Maps as wide as the normalisation in its head, with as many channels as no convolution puts out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.ConvTranspose2d(3, 8, 1)
        self.joined = nn.Identity()
        self.head = nn.Sequential(nn.Linear(16, SIDE), nn.LayerNorm(SIDE), nn.Linear(SIDE, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.joined(torch.cat([self.first(x), self.second(x)], 1)).mean((2, 3)))


def test_a_normalisation_in_the_head_says_nothing_of_maps() -> None:
    subject = Subject("joined", learned(Joined()), "logits", SHAPES, PREPROCESS)
    (found,) = activations(subject, PIXELS, "joined").values()
    assert found.values.shape == (len(PIXELS), 16, SIDE, SIDE)
    assert class_maps(subject, PIXELS, layer="joined").values.shape[1:] == (SIDE, SIDE)


class Frozen(nn.Module):
    """Tokens that are computed without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), ChannelsLast(4, 8))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).mean((1, 2))


def test_tokens_without_gradients_are_no_default_layer() -> None:
    assert last_tokens(Frozen().eval(), INPUT) is None
    assert default_layer(Frozen().eval(), INPUT) == "body.0"


def test_values_that_are_no_grid_are_refused() -> None:
    with pytest.raises(UserError, match="or tokens of a square grid"):
        class_maps(vit(), PIXELS, layer="heads.head")
