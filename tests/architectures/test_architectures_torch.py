import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from striate.architectures import Spec, build, initial_weights, load_spec
from striate.architectures.blocks import Parallel, Residual, Sequential
from striate.architectures.layers import Conv2d, Flatten, Linear, ReLU
from striate.architectures.pooling import MaxPool2d
from striate.architectures.to_torch import ReLU6, load_weights, read_weights, to_torch
from striate.errors import SpecError

END = (Flatten(), Linear("num_classes"))


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def activation(network, name, inputs):
    seen = []
    handle = network.get_submodule(name).register_forward_hook(lambda _, __, output: seen.append(output))
    network(inputs)
    handle.remove()
    return seen[0]


def test_network_equals_the_same_layers_written_by_hand():
    network = build("simple-cnn", (3, 32, 32), 10)
    layers = [nn.Conv2d(3, 10, 3, padding=1), nn.ReLU(), nn.Conv2d(10, 10, 3, padding=1), nn.ReLU()]
    by_hand = nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2560, 10))
    by_hand.load_state_dict(dict(zip(by_hand.state_dict(), network.state_dict().values(), strict=True)))
    inputs = images(4, 3, 32, 32)
    assert torch.equal(network(inputs), by_hand(inputs))


def test_children_are_torch_layers_under_the_specs_names():
    network = build("mynet", (1, 28, 28), 10)
    assert [name for name, _ in network.named_children()] == [layer.name for layer in network.spec.layers]
    assert isinstance(network.get_submodule("residual1.conv1"), nn.Conv2d)
    assert isinstance(network.batch_norm1, nn.BatchNorm2d)
    assert network.output == "logits"
    assert isinstance(build("custom-cnn", (3, 32, 32), 10).batch_norm9, nn.BatchNorm1d)


def test_residual_adds_layers_and_shortcut():
    shortcut = [Conv2d(4, 1, stride=2)]
    spec = Spec(
        "res", (Residual([Conv2d(4, 3, stride=2, padding=1), ReLU()], shortcut), Residual([ReLU()]), *END)
    )
    network, inputs = build(spec, (3, 8, 8), 5), images(2, 3, 8, 8)
    block = network.residual1
    first = block.relu1(block.conv1(inputs)) + block.shortcut.conv1(inputs)
    assert torch.equal(activation(network, "residual1", inputs), first)
    assert torch.equal(activation(network, "residual2", inputs), first.relu() + first)


def test_parallel_concatenates_its_branches():
    spec = Spec("par", (Parallel([[Conv2d(4, 1)], [MaxPool2d(3, 1, 1), Conv2d(2, 1)], []]), *END))
    network, inputs = build(spec, (3, 8, 8), 5), images(2, 3, 8, 8)
    block = network.parallel1
    second = block.branch2.conv1(block.branch2.pool1(inputs))
    expected = torch.cat([block.branch1.conv1(inputs), second, inputs], dim=1)
    assert torch.equal(activation(network, "parallel1", inputs), expected)


def test_four_sided_padding_is_zeros_around_the_image():
    spec = Spec("sides", (Conv2d(4, 3, stride=2, padding=((0, 1), (2, 3)), name="stem"), *END))
    network, inputs = build(spec, (3, 8, 8), 5), images(2, 3, 8, 8)
    padded = nn.functional.pad(inputs, (2, 3, 0, 1))
    expected = nn.functional.conv2d(padded, network.stem.weight, network.stem.bias, stride=2)
    torch.testing.assert_close(activation(network, "stem", inputs), expected)
    assert set(network.stem.state_dict()) == {"weight", "bias"}


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kernel", [2, 3, (4, 5)])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_same_padding_is_torchs(kernel, dilation):
    spec = Spec("same", (Conv2d(4, kernel, padding="same", dilation=dilation), *END))
    network, inputs = build(spec, (3, 8, 9), 5), images(2, 3, 8, 9)
    conv = network.conv1
    expected = nn.functional.conv2d(inputs, conv.weight, conv.bias, padding="same", dilation=dilation)
    torch.testing.assert_close(activation(network, "conv1", inputs), expected)


def test_groups_and_missing_bias_reach_torch():
    spec = Spec("dw", (Conv2d(8, 3, groups=4, bias=False), Sequential([Conv2d(8, 1)]), *END))
    network = build(spec, (4, 8, 8), 5)
    assert network.conv1.groups == 4
    assert network.conv1.bias is None
    assert network.block1.conv1.weight.shape == (8, 8, 1, 1)


def test_building_leaves_torchs_random_state_alone():
    before = torch.get_rng_state()
    build("custom-cnn", (3, 32, 32), 10)
    assert torch.equal(before, torch.get_rng_state())


def test_weights_are_copied_not_shared():
    spec = load_spec("simple-cnn")
    weights = initial_weights(spec, (3, 32, 32), 10)
    network = to_torch(spec, (3, 32, 32), 10, weights)
    kept = weights["conv1.weight"].copy()
    with torch.no_grad():
        network.conv1.weight.zero_()
    np.testing.assert_array_equal(weights["conv1.weight"], kept)
    read = read_weights(network)
    read["conv1.weight"] += 1
    assert not network.conv1.weight.any()


def test_weights_move_out_and_in_without_loss():
    source, target = (build("mynet", (1, 12, 12), 10, seed=seed) for seed in (1, 2))
    source(images(8, 1, 12, 12))  # moves the running statistics
    target.to(memory_format=torch.channels_last)
    load_weights(target, read_weights(source))
    inputs = images(4, 1, 12, 12, seed=1)
    torch.testing.assert_close(source.eval()(inputs), target.eval()(inputs))
    for name, tensor in source.state_dict().items():
        assert torch.equal(tensor, target.state_dict()[name])
    assert all(values.flags.c_contiguous for values in read_weights(target).values())


def test_weights_of_another_net_are_refused():
    network = build("simple-cnn", (3, 32, 32), 10)
    with pytest.raises(SpecError, match="do not fit the network"):
        load_weights(network, read_weights(build("simple-cnn", (3, 32, 32), 5)))


@pytest.mark.parametrize("name", ["forward", "training", "spec", "children", "float"])
def test_names_that_torch_needs_are_refused(name):
    with pytest.raises(SpecError, match=f"cannot be called {name}"):
        build(Spec("taken", (ReLU(name=name), *END)), (1, 4, 4), 2)


@pytest.mark.parametrize("name", ["mynet", "custom-cnn", "fc-net"])
def test_autocast_and_channels_last_stay_close(name):
    network = build(name, (3, 32, 32), 10).eval()
    inputs = images(4, 3, 32, 32)
    expected = network(inputs)
    network.to(memory_format=torch.channels_last)
    fast = inputs.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network(fast), expected, rtol=1e-4, atol=1e-4)  # order of sums, float32
    with torch.autocast("cpu", torch.bfloat16):
        low = network(fast)
    torch.testing.assert_close(low.float(), expected, rtol=0.1, atol=0.1)  # bfloat16 keeps 8 bits


def test_relu6_in_training_is_torchs_value_and_gradient_and_keeps_its_output_alone():
    values = torch.cat([images(500) * 6, torch.tensor([0.0, -0.0, 6.0, torch.inf, -torch.inf, torch.nan])])
    found, kept = [], []
    for module in (nn.ReLU6(), ReLU6()):
        kept.clear()
        x = values.clone().requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda _: kept[0]):
            y = module(x)
        (grad,) = torch.autograd.grad(y, x, torch.arange(len(x), dtype=torch.float32))
        found.append((y.detach(), grad))
    for ours, expected in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=0, equal_nan=True)
    assert [tensor.data_ptr() for tensor in kept] == [y.data_ptr()]


def test_network_can_be_copied():
    network = build("mynet", (1, 8, 8), 3).eval()
    twin = copy.deepcopy(network)
    inputs = images(2, 1, 8, 8)
    assert torch.equal(network(inputs), twin(inputs))
    assert twin.spec == network.spec


def test_build_takes_specs_names_and_files(tmp_path):
    spec = load_spec("simple-cnn", {"hidden": 4})
    path = tmp_path / "own.yaml"
    path.write_text(spec.to_yaml())
    by_spec, by_file = build(spec, (1, 8, 8), 3, seed=5), build(str(path), (1, 8, 8), 3, seed=5)
    by_name = build("simple-cnn", (1, 8, 8), 3, seed=5, hidden=4)
    inputs = images(2, 1, 8, 8)
    assert torch.equal(by_spec(inputs), by_file(inputs))
    assert torch.equal(by_spec(inputs), by_name(inputs))
    with pytest.raises(TypeError, match="a Spec has none"):
        build(spec, (1, 8, 8), 3, hidden=3)


def test_descriptions_summaries_and_weights_do_not_load_torch():
    code = (
        "import sys, striate.architectures as a\n"
        "a.summarize(a.load_spec('mynet'), (1, 28, 28), 10).table()\n"
        "a.initial_weights(a.load_spec('mynet'), (1, 28, 28), 10)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
