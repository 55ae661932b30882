"""Networks of torchvision and timm on the page: followed operation by operation, against torch's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from in_node import as_node, as_tensor, compute
from torch import nn
from torch.nn import functional as F

import striate
from striate import backbones, bundle
from striate.backbones import building
from striate.backbones.tracing import trace
from striate.errors import BundleError
from striate.lesson.graph import cut_graph
from striate.lesson.network import MAX_VALUES, MAX_WORK
from striate.schemas import Preprocess

TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}  # float32 sums in another order, over many layers
AT_224 = {
    "resnet18": 4,
    "squeezenet1_1": 29,
    "mobilenet_v2": 83,
    "densenet121": 10,
}  # layers, as the docs say


class Everything(nn.Module):
    """Every layer and function that can be followed, and layers that are called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, (3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 1), groups=3)
        self.norm, self.relu, self.same = nn.BatchNorm2d(6, eps=0.01), nn.ReLU(inplace=True), nn.Identity()
        self.plain_norm = nn.BatchNorm2d(6, affine=False)
        self.second = nn.Conv2d(6, 6, 3, padding="valid", bias=False)
        self.pools = nn.ModuleList(
            [
                nn.MaxPool2d(3, 2, padding=1, ceil_mode=True),
                nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=False),
            ]
        )
        self.bends = nn.Sequential(
            nn.ReLU6(), nn.LeakyReLU(0.3), nn.GELU(), nn.GELU("tanh"), nn.Tanh(), nn.Sigmoid()
        )
        self.wide, self.most = nn.AdaptiveAvgPool2d((None, 3)), nn.AdaptiveMaxPool2d(3)
        self.drop, self.flat = nn.Dropout(0.5), nn.Flatten()
        self.head, self.last = nn.Linear(3 * 3 * 12 + 12, 5), nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.same(self.relu(self.norm(self.first(x))))
        around = x
        x = self.relu(self.plain_norm(x) + around)
        x += around
        x = torch.relu(self.second(x))
        x = torch.cat([pool(x) for pool in self.pools], dim=1)
        x = self.bends(torch.add(x, x))
        means = torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1)
        maps = self.flat(self.most(self.wide(x)))
        x = F.relu(self.head(self.drop(torch.cat((maps, means.view(means.size(0), -1)), -1))))
        return self.last(F.dropout(x, training=self.training))


def with_statistics(network: nn.Module, seed: int = 0) -> nn.Module:
    """Batch norm as after a training: with means and variances that are not 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


def arrays_of(network: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy() for name, value in network.state_dict().items()}


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_everything_that_can_be_followed_computes_what_torch_does(tmp_path):
    torch.manual_seed(0)
    network = with_statistics(Everything())
    shape = (3, 13, 18)
    nodes = trace(network, shape)
    assert cut_graph(nodes, 10**9, 10**9)[1] is None
    assert len({node.path for node in nodes}) == len(nodes)
    x = draw(*shape)
    weights = arrays_of(network)
    values = compute([{"input": as_tensor(x), "nodes": [as_node(one, weights) for one in nodes]}], tmp_path)
    assert [value.shape for value in values] == [one.shape for one in nodes]
    with torch.no_grad():
        expected = network(torch.from_numpy(x[None]))[0]
    np.testing.assert_allclose(values[-1], expected, **TOLERANCE)


def test_a_tool_that_wraps_torchs_functions_changes_nothing():
    torchlens = pytest.importorskip("torchlens")
    torchlens.trace(nn.Identity(), torch.zeros(1))
    assert cut_graph(trace(with_statistics(Everything()), (3, 13, 18)), 10**9, 10**9)[1] is None


def keeper(outputs: dict[str, np.ndarray], path: str):
    """What keeps the first output of a layer: a copy, since a ReLU may change what it is given."""

    def keep(layer, given, out) -> None:
        outputs.setdefault(path, out[0].detach().numpy().copy())

    return keep


@pytest.mark.parametrize(
    "name", ["resnet18", "squeezenet1_1", "mobilenet_v2", "densenet121", "timm/resnet10t"]
)
def test_first_layers_of_a_library_are_torchs(name, tmp_path):
    shape = (3, 48, 48)
    network = with_statistics(backbones.find(name).start(shape, 5, weights="random").network)
    nodes, _ = cut_graph(trace(network, shape), 150_000, 10**8)
    assert len(nodes) > 10
    outputs: dict[str, np.ndarray] = {}
    paths = {node.path for node in nodes}
    for path, layer in network.named_modules():
        if path in paths:
            layer.register_forward_hook(keeper(outputs, path))
    x = draw(*shape)
    with torch.no_grad():
        network(torch.from_numpy(x[None]))
    weights = arrays_of(network)
    values = compute([{"input": as_tensor(x), "nodes": [as_node(one, weights) for one in nodes]}], tmp_path)
    compared = [
        (value, outputs[one.path]) for value, one in zip(values, nodes, strict=True) if one.path in outputs
    ]
    assert len(compared) > len(nodes) // 2
    for value, expected in compared:
        np.testing.assert_allclose(value, expected, **TOLERANCE)


@pytest.mark.parametrize(("name", "layers"), AT_224.items())
def test_so_many_layers_fit_at_224_pixels(name, layers):
    network = building.on_meta(backbones.find(name).description, (3, 224, 224), 5)
    shown, cut = cut_graph(trace(network, (3, 224, 224)), MAX_VALUES, MAX_WORK)
    assert len(shown) - 1 == layers
    assert cut.reason == "work"


@pytest.mark.parametrize(
    ("name", "unknown"),
    [("efficientnet_b0", "SiLU"), ("regnet_y_400mf", "mul()"), ("convnext_tiny", "permute()")],
)
def test_what_is_not_known_is_named(name, unknown):
    network = building.on_meta(backbones.find(name).description, (3, 224, 224), 5)
    _, cut = cut_graph(trace(network, (3, 224, 224)), MAX_VALUES, MAX_WORK)
    assert (cut.reason, cut.kind) == ("unknown", unknown)


def test_code_that_decides_by_values_cannot_be_followed():
    class Deciding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) if x.sum() > 0 else x

    assert trace(Deciding(), (3, 4, 4)) is None


# ---- The page


@pytest.fixture
def library_bundle(tmp_path):
    def write(name: str, side: int):
        model = backbones.find(name)
        network = with_statistics(model.start((3, side, side), 3, weights="random").network)
        bundle.write(
            tmp_path / "bundle",
            arrays_of(network),
            name=model.name,
            class_names=("a", "b", "c"),
            preprocess=Preprocess(channels=3, height=side, width=side, mean=(0.4,) * 3, std=(0.2,) * 3),
            data=bundle.TrainingData(name="none", fingerprint="0", samples=1),
            **model.for_bundle(),
        )
        return tmp_path / "bundle"

    return write


def test_page_of_a_library_shows_its_first_layers_and_says_what_is_left_out(
    library_bundle, open_page, tmp_path
):
    model = library_bundle("resnet18", 64)
    page_file = striate.lesson(model, out=tmp_path / "lesson.html")
    page = open_page(page_file, "#screen=network")
    assert "weights at most" in page.inner_text("#net-message")
    assert "layer3.0.conv1" in page.inner_text("#net-message")
    layers = page.locator("#net-layers button").all_inner_texts()
    assert [text.split("\n")[0] for text in layers[:4]] == ["Picture", "conv1", "bn1", "relu"]
    page.get_by_role("button", name="layer1.0.add").click()
    page.wait_for_function("() => document.getElementById('net-kind').textContent === 'layer1.0.add'")
    assert page.locator("#net-terms .term").count() == 2
    assert "no answer" in page.inner_text("#net-bars")
    assert page.locator("#tabs a").count() == 6


@pytest.mark.parametrize("width", [360, 1600])
@pytest.mark.parametrize("name", ["resnet18", "alexnet"])  # kernels of 7 and 11
def test_large_kernels_stay_in_their_place(library_bundle, open_page, tmp_path, name, width):
    page_file = striate.lesson(library_bundle(name, 64), out=tmp_path / "lesson.html")
    page = open_page(page_file, "#screen=network", width=width)
    page.wait_for_function("() => document.querySelectorAll('#net-terms td').length > 0")
    table, after = page.locator("#net-terms table").bounding_box(), page.locator("#net-field").bounding_box()
    assert after["y"] >= table["y"] + table["height"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("#net-terms table").evaluate("(table) => table.offsetLeft") >= 0


def test_a_small_network_of_a_library_is_shown_whole_with_its_answer(library_bundle, open_page, tmp_path):
    model = library_bundle("squeezenet1_1", 32)
    page = open_page(striate.lesson(model, out=tmp_path / "lesson.html"), "#screen=network")
    pixels = np.array(page.evaluate("Array.from(net.base)")).reshape(3, 32, 32)
    image = np.rint(255 * pixels).astype(np.uint8).transpose(1, 2, 0)
    expected = striate.load(model).predict_proba([image])[0]
    np.testing.assert_allclose(page.evaluate("probabilities()"), expected, atol=1e-4)
    assert page.locator("#net-message").is_hidden()


def test_a_network_that_cannot_be_followed_leaves_the_picture_and_a_sentence(
    library_bundle, open_page, tmp_path, monkeypatch
):
    monkeypatch.setattr("striate.backbones.tracing.trace", lambda network, shape: None)
    page_file = striate.lesson(library_bundle("squeezenet1_1", 32), out=tmp_path / "lesson.html")
    page = open_page(page_file, "#screen=network")
    assert "could not be followed" in page.inner_text("#net-message")
    assert page.locator("#net-layers button").count() == 1
    for link in page.locator("#tabs a").all():
        link.click()


def test_weights_of_another_network_are_refused(library_bundle, tmp_path):
    model = library_bundle("squeezenet1_1", 32)
    record, weights = bundle.read(model)
    weights.pop("features.0.bias")
    bundle.write(
        tmp_path / "other",
        weights,
        name=record.name,
        class_names=record.class_names,
        preprocess=record.preprocess,
        data=bundle.TrainingData(name="none", fingerprint="0", samples=1),
        backbone=record.backbone,
    )
    with pytest.raises(BundleError, match=r"does not fit together: .* features\.0\.bias is missing"):
        striate.lesson(tmp_path / "other", out=tmp_path / "lesson.html")
