"""What a summary counts: every parameter once, every product that torch computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import striate
from striate import backbones, bundle
from striate.architectures import initial_weights, load_spec
from striate.bundle import TrainingData
from striate.errors import UserError
from striate.schemas import Preprocess

SHARE_OF_BIASES = 3e-3
"""torchvision publishes products without the additions of biases; the largest share is a transformer's."""


def published(name: str) -> tuple[int, float]:
    """Return what torchvision publishes of a network: parameters, and products in thousand millions."""
    import torchvision

    meta = torchvision.models.get_model_weights(name).DEFAULT.meta
    return meta["num_params"], meta["_ops"]


@pytest.mark.parametrize("name", ["vit_b_16", "swin_t", "convnext_tiny", "resnet18"])
def test_counts_are_those_that_torchvision_publishes(name: str) -> None:
    parameters, products = published(name)
    numbers = striate.summary(f"torchvision/{name}", num_classes=1000)
    assert numbers.parameters == parameters
    assert numbers.multiply_adds / 1e9 == pytest.approx(products, rel=SHARE_OF_BIASES, abs=6e-4)


def test_rows_of_parameters_outside_of_layers_come_first_and_sum_up() -> None:
    numbers = striate.summary("torchvision/vit_b_16")
    assert numbers.rows[0].name == "(network)"
    assert numbers.rows[0].parameters == 768  # the class token
    assert numbers.parameters == sum(row.parameters for row in numbers.rows)
    assert "those of attention" in str(numbers)


def counted_by_hooks(network: nn.Module, shape: tuple[int, ...]) -> int:
    """One for each weight and bias at each output position, of convolutions and linear layers."""
    total = 0

    def add(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        weights = layer.weight[0].numel() + (layer.bias is not None)
        total += output.numel() * weights

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(add)
    with torch.no_grad():
        network.eval()(torch.zeros(1, *shape))
    return total


@pytest.mark.parametrize(
    "name", ["timm/test_resnet", "mobilenet_v3_small", "timm/ghostnet_050", "squeezenet1_1"]
)
def test_convolutions_and_linear_layers_count_weights_and_biases(name: str) -> None:
    shape = (3, 64, 64)
    model = backbones.find(name, size=shape[1:])
    network, _ = model.start(shape, 5)
    assert model.summarize(shape, 5).multiply_adds == counted_by_hooks(network, shape)


class Odd(nn.Module):
    """Layers that are called twice, shared weights, a token of its own, an LSTM, attention, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU()
        self.token = nn.Parameter(torch.zeros(1, 1, 24))
        self.lstm = nn.LSTM(24, 6, batch_first=True)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.first, self.second = nn.Linear(6, 4), nn.Linear(6, 4)
        self.second.weight = self.first.weight
        self.late = nn.LazyLinear(3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.relu(self.conv(self.relu(self.conv(x))))
        steps, _ = self.lstm(x.permute(0, 2, 1, 3).flatten(2) + self.token)
        steps, _ = self.attention(steps, steps, steps)
        return {"first": self.first(steps[:, -1]), "second": self.second(steps[:, 0])}


def test_any_module_is_counted() -> None:
    network = Odd().train()
    numbers = striate.summary(network, input=(3, 8, 8))
    known = [one for one in network.parameters() if not isinstance(one, nn.UninitializedParameter)]
    convolution = 2 * 8 * 8 * 3 * (27 + 1)
    lstm = 8 * 4 * 6 * (24 + 6)
    attention = 8 * 6 * 6 * 4 + 2 * 8 * 8 * 6  # in, out; queries with keys, their shares with values
    linear = 2 * 4 * (6 + 1)
    rows = {row.name: row for row in numbers.rows}

    assert numbers.parameters == sum(one.numel() for one in known)
    assert numbers.multiply_adds == convolution + lstm + attention + linear
    assert rows["relu"].kind == "ReLU, 2 calls"
    assert rows["conv"].multiply_adds == convolution
    assert rows["attention"].multiply_adds == attention
    assert rows["(network)"].parameters == 24
    assert all(module.training for module in network.modules())
    assert all(
        not module._forward_hooks and not module._forward_pre_hooks for module in known_modules(network)
    )
    assert torch.backends.mha.get_fastpath_enabled()


def known_modules(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if not isinstance(module, nn.LazyLinear)]


def test_attention_of_a_whole_block_is_not_lost_to_the_fast_path() -> None:
    block = nn.TransformerEncoderLayer(12, 3, 20, batch_first=True)
    numbers = striate.summary(nn.Sequential(nn.Flatten(2), nn.Linear(16, 12), block), input=(5, 4, 4))
    attention = 5 * 12 * 12 * 4 + 2 * 5 * 5 * 12  # in, out; queries with keys, their shares with values
    linear = 5 * 12 * (16 + 1) + 5 * 20 * (12 + 1) + 5 * 12 * (20 + 1)
    assert numbers.multiply_adds == attention + linear
    assert numbers.parameters == sum(one.numel() for one in block.parameters()) + 17 * 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"give input=\(3, 224, 224\)"),
        ({"input": (1, 8, 8)}, "cannot work on images of"),
        ({"input": (3, 8, 8), "strategy": "head"}, "leave out strategy"),
        ({"input": (3, 8, 8), "num_classes": 3}, "leave out num_classes"),
    ],
)
def test_what_does_not_go_with_a_module_is_said(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        striate.summary(Odd(), **settings)
    with pytest.raises(TypeError, match="expected a name, a path or a torch module"):
        striate.summary(3, input=(3, 8, 8))


def test_a_module_without_parameters_is_counted() -> None:
    assert striate.summary(nn.Flatten(), input=(3, 4, 4)).rows[0].output_shape == (48,)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    spec = load_spec("simple-cnn")
    bundle.write(
        tmp_path / "model",
        initial_weights(spec, (3, 16, 16), 3, 0),
        name="simple",
        spec=spec.to_dict(),
        class_names=("a", "b", "c"),
        preprocess=Preprocess(channels=3, height=16, width=16, mean=(0.5,) * 3, std=(0.5,) * 3),
        data=TrainingData(name="none", fingerprint="0", samples=1),
    )
    return tmp_path / "model"


def test_a_bundle_is_counted_with_its_own_input_and_classes(folder: Path) -> None:
    numbers = striate.summary(folder)
    assert numbers == striate.summary("simple-cnn", input=(3, 16, 16), num_classes=3)
    assert striate.summary(folder, strategy="head").parameters == numbers.parameters
    with pytest.raises(UserError, match="leave out head_hidden"):
        striate.summary(folder, head_hidden=4)
    with pytest.raises(UserError, match="a network for 3 classes, not 5"):
        striate.summary(folder, num_classes=5)
    with pytest.raises(UserError, match="leave out --input"):
        striate.summary(folder, input=(3, 32, 32))


def test_a_network_that_gets_no_new_head_is_counted_with_its_own() -> None:
    numbers = striate.summary("timm/levit_128s")
    assert numbers.rows[-1].output_shape == (1000,)
    assert "With its own 1,000 classes" in str(numbers)
    with pytest.raises(UserError, match="2 last layers"):
        striate.summary("timm/levit_128s", head_hidden=8)


class Queries(nn.Module):
    """A layer that takes a view of a parameter, as learned queries do."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, 4))
        self.linear = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.query.expand(len(x), -1))


def test_a_view_of_a_parameter_goes_through_a_layer() -> None:
    network = Queries()
    network.query.requires_grad_(False)
    assert striate.summary(network, input=(3, 8, 8)).multiply_adds == 4 * 2 + 2
    assert striate.summary(Queries(), input=(3, 8, 8)).parameters == 4 + 4 * 2 + 2
    assert [one.requires_grad for one in network.parameters()] == [False, True, True]


def test_biases_of_transposed_convolutions_count() -> None:
    upwards = nn.ConvTranspose2d(3, 8, 4, stride=2, padding=1)
    assert striate.summary(upwards, input=(3, 10, 10)).multiply_adds == 3 * 8 * 16 * 100 + 8 * 20 * 20


@pytest.mark.parametrize("size", [8, (3.5, 8, 8), None, ("a", 8, 8), (3, 8)])
def test_an_input_that_is_no_shape_is_refused(size: object) -> None:
    with pytest.raises(UserError, match="input"):
        striate.summary(nn.Conv2d(3, 8, 3), input=size)
