from collections import OrderedDict

import numpy as np
import pytest
import torch

from striate.engine import layers, optim
from striate.engine.blocks import Parallel, Residual, Sequential
from striate.engine.fit import clip_gradients
from striate.engine.gradcheck import gradcheck
from striate.engine.losses import Loss
from striate.engine.network import Network, watching


def network(seed=0, p=0.5):
    generator = np.random.default_rng(seed)
    return Network(
        {
            "conv1": layers.Conv2d(1, 2, 3, padding=1, generator=generator),
            "batch_norm1": layers.BatchNorm2d(2),
            "residual1": Residual(
                {"conv1": layers.Conv2d(2, 2, 1, generator=generator), "relu1": layers.ReLU()}
            ),
            "flatten1": layers.Flatten(),
            "dropout1": layers.Dropout(p, generator=generator),
            "linear1": layers.Linear(32, 3, generator=generator),
        }
    )


def images(n=5, seed=1):
    return np.random.default_rng(seed).standard_normal((n, 1, 4, 4)).astype(np.float32)


def test_state_dict_has_torchs_names_and_order():
    assert list(network().state_dict()) == [
        *("conv1.weight", "conv1.bias", "batch_norm1.weight", "batch_norm1.bias"),
        *("batch_norm1.running_mean", "batch_norm1.running_var", "batch_norm1.num_batches_tracked"),
        *("residual1.conv1.weight", "residual1.conv1.bias", "linear1.weight", "linear1.bias"),
    ]


def test_loaded_weights_give_the_same_outputs():
    one, other = network(0), network(1)
    one.forward(images())  # moves the running statistics
    other.load_state_dict(one.state_dict())
    assert np.array_equal(one.predict(images()), other.predict(images()))
    assert other.state_dict()["batch_norm1.num_batches_tracked"] == 1


def test_state_dict_is_a_copy_both_ways():
    one = network()
    saved = one.state_dict()
    saved["linear1.bias"] += 1
    assert not np.array_equal(one.state_dict()["linear1.bias"], saved["linear1.bias"])
    one.load_state_dict(saved)
    saved["linear1.bias"] += 1
    assert not np.array_equal(one.state_dict()["linear1.bias"], saved["linear1.bias"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("linear1.bias"), r"arrays: expected linear1.bias of shape \(3,\), got none"),
        (lambda w: w.update(extra=np.ones(1)), "arrays: expected those of this network's layers, got extra"),
        (lambda w: w.update({"conv1.bias": np.ones(3)}), r"conv1.bias: expected shape \(2,\), got \(3,\)"),
    ],
)
def test_weights_that_do_not_fit_change_nothing(change, message):
    one = network()
    weights = network(1).state_dict()
    change(weights)
    with pytest.raises(ValueError, match=message):
        one.load_state_dict(weights)
    for name, array in network().state_dict().items():
        assert np.array_equal(one.state_dict()[name], array)


def test_train_and_eval_reach_all_layers():
    one = network().eval()
    assert not any(layer.training for _, layer in one.walk())
    one.train()
    assert all(layer.training for _, layer in one.walk())


def test_predict_evaluates_keeps_nothing_and_leaves_the_mode():
    one = network()
    one.layers["dropout1"].eval()
    predicted = one.predict(images())
    assert one.training
    assert not one.layers["dropout1"].training
    assert all(layer._kept is None for _, layer in one.walk())
    assert np.array_equal(predicted, one.eval().forward(images()))


def test_seed_fixes_dropout_by_path():
    one = network()
    outputs = []
    for entropy in ((3, 1), (3, 1), (3, 2)):
        one.seed(*entropy)
        outputs.append(one.forward(images()))
    assert np.array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])


def test_gradients_of_two_halves_accumulate_to_that_of_the_whole():
    one = network(p=0.0).eval().map_arrays(lambda array: array.astype(np.float64))
    x, grad = images(6).astype(np.float64), np.random.default_rng(2).standard_normal((6, 3))
    one.forward(x)
    one.backward(grad)
    whole = {name: parameter.grad for name, parameter in one.parameters().items()}
    one.zero_grad()
    for half in (slice(0, 2), slice(2, 6)):
        one.forward(x[half])
        one.backward(grad[half])
    for name, parameter in one.parameters().items():
        np.testing.assert_allclose(parameter.grad, whole[name], atol=1e-12)


def test_watching_sees_every_layer_and_ends():
    one = network()
    with watching(one) as seen:
        y = one.forward(images())
        one.backward(np.ones_like(y))
    paths = [path for path, _ in one.walk() if path]
    assert set(seen.outputs) == set(paths) == set(seen.input_grads)
    assert np.array_equal(seen.outputs["linear1"], y)
    assert seen.input_grads["conv1"].shape == (5, 1, 4, 4)
    one.forward(images(2))
    assert len(seen.outputs["conv1"]) == 5


def test_what_was_seen_stays_when_a_layer_behind_changes_its_gradient():
    class Spoiling(layers.ReLU):
        def backward(self, grad_output):
            grad_output *= 3
            return super().backward(grad_output)

    network = Network({"spoiling": Spoiling(), "relu": layers.ReLU()})
    with watching(network) as seen:
        grad = np.ones_like(network.forward(images()))
        network.backward(grad)
    assert seen.input_grads["relu"].max() == 1
    assert seen.input_grads["spoiling"].max() == 3


def test_layers_without_names_are_numbered():
    plain = Network([layers.Flatten(), layers.Linear(16, 2, generator=np.random.default_rng(0))])
    assert list(plain.parameters()) == ["1.weight", "1.bias"]
    assert plain(images()).shape == (5, 2)


# A layer used twice, and parameters that layers share


def linear(generator=None):
    return layers.Linear(16, 16, generator=generator or np.random.default_rng(0))


@pytest.mark.parametrize(
    ("build", "places"),
    [
        (
            lambda one: Network({"a": one, "r": layers.ReLU(), "b": one}),
            "a again as b; .*b.weight = a.weight",
        ),
        (lambda one: Sequential([one, one]), "0 again as 1"),
        (lambda one: Network({"a": one, "in": Sequential({"b": one})}), "a again as in.b"),
        (lambda one: Network({"r": Residual({"b": one}), "a": one}), "r.b again as a"),
        (lambda one: Residual({"a": one}, {"b": one}), "a again as shortcut.b"),
        (lambda one: Parallel([{"a": one}, {"b": one}]), "branch1.a again as branch2.b"),
        (
            lambda one: Network(dict.fromkeys("ab", Sequential({"c": one}))),
            "a again as b; .*c.weight = a.c.w",
        ),
    ],
    ids=["network", "list", "nested", "inside first", "shortcut", "branches", "block"],
)
def test_a_layer_used_twice_is_refused_with_both_places(build, places):
    with pytest.raises(ValueError, match=f"layers: expected each layer once, got the .* {places}"):
        build(linear())


def test_a_layer_without_parameters_used_twice_is_refused_without_advice_to_share():
    relu = layers.ReLU()
    with pytest.raises(ValueError, match=r"ReLU 0 again as 2; .* Make a second one$"):
        Network([relu, linear(), relu])


def test_what_is_no_layer_is_refused_by_name():
    with pytest.raises(TypeError, match="layers: expected a Layer for 'act', got str"):
        Network({"act": "relu"})


def tied():
    """Two layers with the same weights, and the same network in torch."""
    generator = np.random.default_rng(3)
    one = Network(
        {
            "flatten": layers.Flatten(),
            "a": linear(generator),
            "tanh": layers.Tanh(),
            "b": linear(generator),
            "out": layers.Linear(16, 3, generator=generator),
        }
    ).map_arrays(lambda array: array.astype(np.float64))
    one.layers["b"].weight = one.layers["a"].weight
    other = torch.nn.Sequential(
        OrderedDict(
            flatten=torch.nn.Flatten(),
            a=torch.nn.Linear(16, 16),
            tanh=torch.nn.Tanh(),
            b=torch.nn.Linear(16, 16),
            out=torch.nn.Linear(16, 3),
        )
    ).double()
    other.b.weight = other.a.weight
    other.load_state_dict({name: torch.from_numpy(array) for name, array in one.state_dict().items()})
    return one, other


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    [
        (optim.SGD, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
        (optim.Adam, torch.optim.Adam, {"lr": 0.01}),
        (optim.AdamW, torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    ],
)
@pytest.mark.parametrize("clip", [None, 0.5])
def test_shared_parameters_take_torchs_steps(ours, theirs, settings, clip):
    one, other = tied()
    parameters = one.parameters()
    assert list(parameters) == [name for name, _ in other.named_parameters()]
    named = {**parameters, "b.weight": one.layers["b"].weight}  # a second name makes no second step
    optimizer, reference = ours(named, **settings), theirs(other.parameters(), **settings)
    x, labels = images(7).astype(np.float64), np.array([0, 1, 2, 0, 1, 2, 0])
    loss = Loss()
    for _ in range(5):
        optimizer.zero_grad()
        reference.zero_grad()
        one.backward(loss.backward(one.forward(x), labels))
        torch.nn.functional.cross_entropy(other(torch.from_numpy(x)), torch.from_numpy(labels)).backward()
        if clip is not None:
            clip_gradients(named, clip)
            torch.nn.utils.clip_grad_norm_(other.parameters(), clip)
        optimizer.step()
        reference.step()
    for name, tensor in other.state_dict().items():
        np.testing.assert_allclose(one.state_dict()[name], tensor, atol=1e-12, err_msg=name)


def test_shared_parameters_are_saved_for_each_layer_loaded_and_still_shared():
    one, _ = tied()
    saved = one.state_dict()
    np.testing.assert_array_equal(saved["a.weight"], saved["b.weight"])
    changed = {name: array + 1 for name, array in saved.items()}
    one.load_state_dict(changed)
    assert one.layers["a"].weight is one.layers["b"].weight
    np.testing.assert_array_equal(one.state_dict()["b.weight"], changed["b.weight"])
    assert [name for name in one.parameters() if name.endswith("weight")] == ["a.weight", "out.weight"]


def test_arrays_of_shared_parameters_are_mapped_once():
    one, _ = tied()
    before = one.state_dict()["a.weight"]
    one.map_arrays(lambda array: 2 * array)
    np.testing.assert_array_equal(one.state_dict()["b.weight"], 2 * before)


def test_the_gradient_of_shared_parameters_passes_the_check():
    one, _ = tied()
    assert gradcheck(one, images(3)).passed


def test_what_does_not_decay_may_have_its_second_name():
    one, _ = tied()
    named = {**one.parameters(), "b.weight": one.layers["b"].weight}
    optimizer = optim.SGD(named, 0.1, weight_decay=0.5, undecayed=["b.weight"])
    before = one.state_dict()["a.weight"]
    for parameter in named.values():
        parameter.grad = np.zeros_like(parameter.value)
    optimizer.step()
    np.testing.assert_array_equal(one.state_dict()["a.weight"], before)
