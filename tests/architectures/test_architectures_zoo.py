"""The contract of every named net, with every option."""

import numpy as np
import pytest
import torch
from torch import nn

from striate.architectures import (
    Spec,
    build,
    describe,
    initial_weights,
    load_spec,
    names,
    option_names,
    summarize,
    to_logits,
    weight_shapes,
)
from striate.architectures.zoo import NETS
from striate.errors import SpecError

# name, options, parameters (those of the reference documents, or else of the docstring, or None)
CASES = [
    ("mynet", {}, 261_298),
    ("mynet", {"width": 16}, None),
    ("mynet", {"dropout": 0.2}, None),
    ("speed-cnn", {}, 1_972_768),
    ("speed-cnn", {"width": 8, "growth": 2, "kernel": 3}, None),
    ("photo-net", {}, None),
    ("photo-net", {"width": 8, "dropout": 0.2}, None),
    ("simple-cnn", {}, 26_800),
    ("simple-cnn", {"hidden": 16}, None),
    ("custom-cnn", {}, 2_237_610),
    ("vgg6", {}, 5_851_338),
    ("engine-cnn", {}, 183_242),
    ("gray-cnn", {}, 93_322),
    ("gray-cnn", {"head": "flatten"}, 93_322),
    ("gray-cnn", {"head": "average"}, 56_394),
    ("cats-cnn", {}, 307_393),
    ("cats-cnn", {"dropout": 0.5}, 307_393),
    ("stride-cnn", {}, 439_178),
    ("stride-cnn", {"dropout": 0.5}, 439_178),
    ("stride-cnn", {"batch_norm": True}, 440_074),
    ("stride-cnn", {"batch_norm": True, "dropout": 0.5}, 440_074),
    ("stride-simple", {}, 31_530),
    ("stride-simple", {"channels": 8}, None),
    ("stride-simple", {"second_conv": True}, 20_490),
    ("stride-simple", {"pool": True}, 31_530),
    ("stride-simple", {"dropout": 0.5}, 31_530),
    ("stride-simple", {"second_conv": True, "pool": True, "dropout": 0.25}, 20_490),
    ("two-digit", {}, 3_931),
    ("two-digit", {"dropout": 0.3}, 3_931),
    ("fc-net", {}, 7_850),
    ("fc-net", {"hidden": 1000}, 795_010),
    ("fc-net", {"hidden": 1000, "activation": "relu"}, 795_010),
    ("mlp", {}, 1_707_274),
    ("mlp", {"hidden": 100, "dropout": 0.2}, None),
]
every_case = pytest.mark.parametrize(("name", "options", "parameters"), CASES)


def small_shape(name: str, channels: int | None = None) -> tuple[int, int, int]:
    """Return the net's reference size, halved or more where it is costly and counts do not depend on it."""
    own, height, width = NETS[name].input_shape
    side = {"cats-cnn": 60, "stride-cnn": 32}.get(name, height)
    return (channels or own, side, side if side != height else width)


def counted_by_hooks(network: nn.Module, images: torch.Tensor) -> int:
    """Return the multiply-adds of one image: parameters of each convolution and linear layer x positions."""
    total = 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        positions = output[0].numel() // output.shape[1]
        total += positions * sum(parameter.numel() for parameter in module.parameters())

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network(images)
    return total


def test_every_net_and_option_is_among_the_cases():
    assert {name for name, _, _ in CASES} == set(names())
    for name in names():
        tried = {option for case, options, _ in CASES if case == name for option in options}
        assert tried == set(option_names(name))


@every_case
def test_parameters_are_those_of_the_references(name, options, parameters):
    net = NETS[name]
    summary = summarize(load_spec(name, options), net.input_shape, net.num_classes)
    assert parameters is None or summary.parameters == parameters


@pytest.mark.parametrize(
    ("name", "options", "multiply_adds"),
    [
        ("cats-cnn", {}, 234.16e6),
        ("gray-cnn", {"head": "flatten"}, 2.82e6),
        ("gray-cnn", {"head": "average"}, 2.79e6),
    ],
)
def test_multiply_adds_are_those_of_the_references(name, options, multiply_adds):
    net = NETS[name]
    summary = summarize(load_spec(name, options), net.input_shape, net.num_classes)
    assert summary.multiply_adds == pytest.approx(multiply_adds, abs=0.005e6)


def test_gray_cnn_trunk_has_the_reference_counts():
    rows = summarize(load_spec("gray-cnn"), (1, 28, 28), 10).rows
    trunk = [row for row in rows if row.kind == "conv2d"]
    assert sum(row.parameters for row in trunk) == 55_744
    assert sum(row.multiply_adds for row in trunk) == pytest.approx(2.79e6, abs=0.005e6)


@every_case
def test_summary_agrees_with_the_torch_module(name, options, parameters):
    net, shape = NETS[name], small_shape(name)
    network = build(name, shape, net.num_classes, **options).eval()
    summary = summarize(network.spec, shape, net.num_classes)
    assert summary.parameters == sum(parameter.numel() for parameter in network.parameters())
    seen = {}
    for row in summary.rows:
        hook = lambda _, __, output, row=row: seen.update({row.name: tuple(output.shape[1:])})  # noqa: E731
        network.get_submodule(row.name).register_forward_hook(hook)
    assert summary.multiply_adds == counted_by_hooks(network, torch.zeros(1, *shape))
    assert seen == {row.name: row.output_shape for row in summary.rows}


@every_case
def test_summary_agrees_with_torchinfo(name, options, parameters):
    torchinfo = pytest.importorskip("torchinfo")
    net, shape = NETS[name], small_shape(name)
    network = build(name, shape, net.num_classes, **options)
    counted = torchinfo.summary(network, input_size=(1, *shape), verbose=0, mode="eval", device="cpu")
    summary = summarize(network.spec, shape, net.num_classes)
    # torchinfo counts a batch norm's parameters as multiply-adds too; ours are convolutions and linear layers
    norms = sum(row.parameters for row in summary.rows if row.kind == "batch_norm")
    assert (summary.parameters, summary.multiply_adds + norms) == (
        counted.total_params,
        counted.total_mult_adds,
    )


@every_case
@pytest.mark.parametrize("channels", [1, 3])
def test_outputs_are_logits_for_each_class_and_trainable(name, options, parameters, channels):
    net, shape = NETS[name], small_shape(name, channels)
    network = build(name, shape, net.num_classes, **options)
    raw = network(torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)))
    assert raw.shape == (2, 1 if net.num_classes == 2 else net.num_classes)
    assert to_logits(raw, network.output).shape == (2, net.num_classes)
    raw.sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


@every_case
def test_outputs_are_what_the_spec_says(name, options, parameters):
    net, shape = NETS[name], small_shape(name)
    network = build(name, shape, net.num_classes, **options).eval()
    raw = network(torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)))
    if network.output == "log_probabilities":
        torch.testing.assert_close(raw.exp().sum(dim=1), torch.ones(4))
    if network.output == "probability":
        assert ((raw >= 0) & (raw <= 1)).all()


@every_case
def test_weights_are_deterministic_and_named_as_in_torch(name, options, parameters):
    net, shape = NETS[name], small_shape(name)
    network = build(name, shape, net.num_classes, seed=3, **options)
    weights = initial_weights(network.spec, shape, net.num_classes, seed=3)
    state = network.state_dict()
    assert list(weights) == list(state)
    assert weight_shapes(network.spec, shape, net.num_classes) == {
        k: tuple(v.shape) for k, v in state.items()
    }
    for key, values in weights.items():
        np.testing.assert_array_equal(values, state[key].numpy())


@every_case
def test_spec_survives_yaml_and_dict(name, options, parameters):
    spec = load_spec(name, options)
    assert Spec.from_yaml(spec.to_yaml()) == spec
    assert Spec.from_dict(spec.to_dict()) == spec


@every_case
def test_options_change_the_net(name, options, parameters):
    are_defaults = options.items() <= option_names(name).items()
    assert (load_spec(name, options) == load_spec(name)) == are_defaults


@pytest.mark.parametrize("name", names())
def test_description_is_one_line(name):
    assert describe(name).endswith(".")
    assert len(describe(name)) < 110


@pytest.mark.parametrize("name", names())
def test_net_for_the_wrong_number_of_classes_is_refused_or_adapts(name):
    net, shape = NETS[name], small_shape(name)
    if net.num_classes == 2:
        with pytest.raises(SpecError, match="tells 2 classes apart; there are 3"):
            summarize(load_spec(name), shape, 3)
    else:
        assert summarize(load_spec(name), shape, 3).rows[-1].output_shape == (3,)


@pytest.mark.parametrize("side", [8, 9, 28, 32, 33, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_mynet_works_on_all_small_images(side, channels):
    network = build("mynet", (channels, side, side), 10).eval()
    assert network(torch.zeros(1, channels, side, side)).shape == (1, 10)


def test_mynet_is_cheap_at_28_pixels():
    summary = summarize(load_spec("mynet"), (1, 28, 28), 10)
    assert 10e6 <= summary.multiply_adds <= 35e6
    assert summary.parameters <= 1e6


def test_gray_cnn_on_images_too_small_names_layer_and_shapes():
    with pytest.raises(
        SpecError, match=r"gray-cnn.*layer conv3 \(conv2d\), input \(64, 2, 2\): its window of 3 x 3"
    ):
        summarize(load_spec("gray-cnn"), (1, 16, 16), 10)
