"""The trust card says yes to a map that explains a trained network, and no where it should."""

from __future__ import annotations

from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from conftest import SHAPES, draw, untrained
from striate.architectures import Spec, build
from striate.architectures.to_torch import to_torch
from striate.architectures.weights import initial_weights
from striate.explain import Request, Subject, explain_images, trust
from striate.explain.framing import enlarge
from striate.explain.trust import randomised

IMAGES = 8
MANY = 40


def explained(subject: Subject, cue: bool = False, count: int = IMAGES) -> list[trust.Verdict]:
    pixels, _ = draw(count, seed=5, cue=cue)
    items = [image.transpose(1, 2, 0) for image in pixels]
    verdicts = [one.verdict for one in explain_images(subject, items, Request())]
    return [verdict for verdict in verdicts if verdict is not None]


def test_trained_network_gets_good_cards(shapes: Subject) -> None:
    levels = Counter(verdict.level for verdict in explained(shapes, count=MANY))
    assert levels["good"] > MANY / 2
    assert levels["bad"] < MANY / 8  # the network, trained for seconds, differs from processor to processor


@pytest.mark.parametrize("seed", range(3))
def test_random_weights_get_bad_cards(seed: int) -> None:
    verdicts = explained(untrained(seed), count=3)
    assert {verdict.level for verdict in verdicts} == {"bad"}
    assert "hardly depends on what is on the picture" in verdicts[0].text


def test_planted_border_cue_gets_bad_cards(border: Subject) -> None:
    verdicts = explained(border, cue=True)
    assert {verdict.level for verdict in verdicts} == {"bad"}
    assert all("the network decides by the border" in " ".join(verdict.reasons) for verdict in verdicts)


def test_map_that_ignores_the_network_gets_a_bad_card(shapes: Subject) -> None:
    pixels, labels = draw(1, seed=5)
    edges = np.abs(np.diff(pixels[0].astype(float).mean(axis=0), axis=0, append=0))
    measures = trust.measure(shapes, pixels[0], int(labels[0]), edges, lambda subject, image, label: edges)
    assert measures.head_similarity == measures.block_similarity == pytest.approx(1)
    assert "stays the same when the head gets random weights" in trust.judge(measures).text


def test_random_maps_hardly_ever_get_a_good_card(shapes: Subject) -> None:
    pixels, labels = draw(6, seed=5)
    levels = []
    generator = np.random.default_rng(0)
    for image, label in zip(pixels, labels, strict=True):
        noise = generator.random((12, 12), np.float32)
        measures = trust.measure(
            shapes, image, int(label), noise, lambda *_: generator.random((12, 12), np.float32)
        )
        levels.append(trust.judge(measures).level)
    assert levels.count("good") <= 1


def test_card_is_the_same_for_the_same_seed(shapes: Subject) -> None:
    first, second = (explained(shapes, count=1) for _ in range(2))
    assert first == second


def test_network_keeps_its_weights(shapes: Subject) -> None:
    before = {name: tensor.clone() for name, tensor in shapes.network.state_dict().items()}
    explained(shapes, count=1)
    assert all(tensor.equal(before[name]) for name, tensor in shapes.network.state_dict().items())


def test_head_and_deepest_block_are_found() -> None:
    network = untrained().network
    assert randomised.head(network) is network.get_submodule("linear1")
    assert deepest(network) is network.get_submodule("conv3")


def deepest(network: nn.Module, side: int = 24) -> nn.Module:
    return randomised.deepest_block(network, (3, side, side))


RESIDUAL = """
- residual:
    layers:
      - conv2d: {out_channels: 8, kernel_size: 3, padding: 1}
      - relu
      - conv2d: {out_channels: 8, kernel_size: 3, padding: 1}
    shortcut:
      - conv2d: {out_channels: 8, kernel_size: 1}
"""
PARALLEL = """
- parallel:
    branches:
      - [conv2d: {out_channels: 4, kernel_size: 3, padding: 1}, relu]
      - [conv2d: {out_channels: 4, kernel_size: 1}, relu]
"""


@pytest.mark.parametrize("stem", ["- conv2d: {out_channels: 4, kernel_size: 3}\n- relu", ""])
@pytest.mark.parametrize(("block", "name"), [(RESIDUAL, "residual1"), (PARALLEL, "parallel1")])
def test_deepest_block_holds_shortcut_and_branches(stem: str, block: str, name: str) -> None:
    end = "- adaptive_avg_pool2d\n- flatten\n- linear: {out_features: num_classes}\n"
    spec = Spec.from_yaml(f"name: joined\nlayers:\n{stem}\n{block}{end}")
    network = to_torch(spec, (3, 24, 24), 3, initial_weights(spec, (3, 24, 24), 3, 0)).eval()
    assert deepest(network) is network.get_submodule(name)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("resnet18", ["layer4.0", "layer4.1"]),  # a shortcut without weights passes the second by
        ("googlenet", ["inception5b"]),
        ("densenet121", ["features.transition3", "features.denseblock4"]),
        ("squeezenet1_1", ["features.12"]),
        ("mobilenet_v3_small", ["features.12"]),
    ],
)
def test_deepest_block_of_known_networks(model: str, names: list[str]) -> None:
    options = {"init_weights": False} if model == "googlenet" else {}
    network = torchvision.models.get_model(model, **options).eval()
    found = deepest(network, 64)
    blocks = [found] if len(names) == 1 else list(found.children())
    assert blocks == [network.get_submodule(name) for name in names]


def test_deepest_block_of_a_transformer_is_not_its_patches() -> None:
    torch.manual_seed(0)
    sizes = {"image_size": 64, "patch_size": 16, "num_layers": 2, "num_heads": 2}
    vit = torchvision.models.VisionTransformer(**sizes, hidden_dim=16, mlp_dim=32, num_classes=5).eval()
    torch.nn.init.normal_(vit.heads.head.weight)  # 0 at first: nothing counts for the score
    assert deepest(vit, 64) is vit.encoder
    windows = {"patch_size": [4, 4], "depths": [2, 2], "num_heads": [2, 2], "window_size": [4, 4]}
    swin = torchvision.models.SwinTransformer(**windows, embed_dim=16, num_classes=5).eval()
    names = ["features.2", "features.3.0", "features.3.1"]  # back to what merges patches
    assert list(deepest(swin, 64).children()) == [swin.get_submodule(name) for name in names]


def test_what_passes_a_residual_block_by_is_forgotten_with_it() -> None:
    network = build("mynet", (1, 28, 28), 10).eval()
    found = randomised.deepest_block(network, (1, 28, 28))
    assert list(found.children()) == [network.get_submodule(name) for name in ("conv3", "residual2")]


class Holder(nn.Module):
    """A name for layers that the network calls one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)


class Namespaced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.inner = Holder()
        self.head = nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.inner.conv(self.stem(images)).mean(dim=(2, 3)))


def test_layers_of_a_module_that_is_never_called_are_a_block() -> None:
    network = Namespaced().eval()
    assert deepest(network) is network.inner


def test_wrapped_network_is_not_its_own_deepest_block() -> None:
    body = torchvision.models.resnet18()
    body.fc = nn.Identity()
    network = nn.Sequential(OrderedDict(body=body, head=nn.Linear(512, 3))).eval()
    found = deepest(network, 64)
    assert list(found.children()) == [network.get_submodule(f"body.layer4.{number}") for number in (0, 1)]


def test_deletion_of_a_perfect_map_falls_at_once(shapes: Subject) -> None:
    pixels, labels = draw(1, seed=5)
    (one,) = explain_images(shapes, [pixels[0].transpose(1, 2, 0)])
    assert one.measures is not None
    curves = one.measures.curves
    assert curves.deletion[0] == curves.insertion[-1] == 1
    assert curves.deletion[-1] == curves.insertion[0] == 0
    assert curves.gain > 0.3
    assert one.label == SHAPES[labels[0]]


def test_enlarged_map_keeps_its_mean() -> None:
    values = np.random.default_rng(0).random((7, 7), np.float32)
    assert enlarge(values, (56, 56)).mean() == pytest.approx(values.mean(), abs=0.02)
