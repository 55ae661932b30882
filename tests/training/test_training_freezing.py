"""Frozen layers stay as they are, others learn when and as fast as the plan says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training_task import CLASS_NAMES, make_batches, make_config, make_network, same_weights

from striate.backbones import Plan
from striate.backbones.strategies import Rule
from striate.training import find_lr, fit, freezing, read_checkpoint
from striate.training.optimizers import build_optimizer, set_lr

HEAD = ("7.weight", "7.bias")
"""The linear layer of `make_network`; "2" is its batch normalisation, "5" its dropout."""


def plan_of(network: torch.nn.Module, **rules: Rule) -> Plan:
    """The head learns, and what `rules` say of others by the number of their layer."""
    names = [name for name, _ in network.named_parameters()]
    given = {name: rules.get(f"layer{name[0]}", Rule(None)) for name in names}
    return Plan(given | {name: Rule(0) for name in HEAD})


def train(tmp_path, plan, epochs=3, resume_from=None, **settings):
    network = make_network()
    config = make_config(epochs=epochs, **settings)
    parts = (make_batches(), make_batches(64, seed=2, shuffle=False))
    fitted = fit(
        network,
        *parts,
        config,
        class_names=CLASS_NAMES,
        checkpoints=tmp_path,
        resume_from=resume_from,
        plan=plan,
    )
    return fitted.weights


def start() -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in make_network().state_dict().items()}


def changed(weights) -> set[str]:
    before = start()
    return {name for name, value in weights.items() if not np.array_equal(value, before[name])}


def test_what_is_frozen_is_as_before_to_the_bit_running_statistics_too(tmp_path):
    assert changed(train(tmp_path, plan_of(make_network()))) == set(HEAD)


def test_a_normalisation_layer_that_learns_follows_its_batches(tmp_path):
    statistics = {"2.running_mean", "2.running_var", "2.num_batches_tracked"}
    weights = train(tmp_path, plan_of(make_network(), layer2=Rule(0)))
    assert changed(weights) == {*HEAD, "2.weight", "2.bias", *statistics}


def test_a_layer_learns_from_its_epoch_on(tmp_path):
    plan = plan_of(make_network(), layer3=Rule(2))
    assert changed(train(tmp_path / "two", plan, epochs=2)) == set(HEAD)
    assert changed(train(tmp_path / "three", plan, epochs=3, best_by="val_accuracy")) >= set(HEAD)
    last = read_checkpoint(tmp_path / "three" / "last.safetensors").weights
    assert changed(last) == {*HEAD, "3.weight", "3.bias"}


def test_frozen_modules_are_in_evaluation_mode_and_dropout_follows_what_is_around_it():
    network = make_network()
    freezing.apply(network, plan_of(network), epoch=0)
    assert [module.training for module in network] == [False, True, False, False, True, True, True, True]
    nested = torch.nn.Sequential(network[:6], network[7])
    names = [name for name, _ in nested.named_parameters()]
    freezing.apply(nested, Plan({name: Rule(0 if name.startswith("1") else None) for name in names}), 0)
    assert not any(module.training for module in nested[0])


def test_no_gradient_is_computed_below_the_first_layer_that_learns():
    network = make_network()
    freezing.apply(network, plan_of(network), epoch=0)
    network(torch.zeros(2, 1, 8, 8)).sum().backward()
    assert {name for name, p in network.named_parameters() if p.grad is not None} == set(HEAD)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_rates_are_shares_of_the_learning_rate(optimizer):
    network = make_network()
    plan = plan_of(network, layer3=Rule(0, 0.25), layer2=Rule(1, 0.5))
    made = build_optimizer(network, make_config(optimizer=optimizer, weight_decay=0.1), 0.8, plan)
    names = {parameter: name for name, parameter in network.named_parameters()}
    for lr in (0.8, 0.4):
        set_lr(made, lr)
        rates = {names[p]: group["lr"] / lr for group in made.param_groups for p in group["params"]}
        expected = {"3": 0.25, "2": 0.5, "7": 1.0}
        assert rates == {
            f"{layer}.{kind}": share for layer, share in expected.items() for kind in ("weight", "bias")
        }


def test_a_training_that_unfreezes_is_resumed_to_the_bit(tmp_path):
    plan = plan_of(make_network(), layer3=Rule(1, 0.5), layer2=Rule(2))
    whole = train(tmp_path / "whole", plan, epochs=4, early_stopping=None)
    seen = []

    class Cut(Exception):  # noqa: N818
        pass

    def cut(record):
        seen.append(record.epoch)
        if record.epoch == 2:
            raise Cut

    network, config = make_network(), make_config(epochs=4)
    parts = (make_batches(), make_batches(64, seed=2, shuffle=False), config)
    with pytest.raises(Cut):
        fit(network, *parts, class_names=CLASS_NAMES, checkpoints=tmp_path / "cut", on_epoch=cut, plan=plan)
    checkpoint = read_checkpoint(tmp_path / "cut" / "last.safetensors")
    assert checkpoint.epoch == 2
    assert same_weights(train(tmp_path / "cut", plan, epochs=4, resume_from=checkpoint), whole)


def test_the_range_test_trains_what_the_plan_lets_learn():
    network, batches = make_network(), make_batches()
    before = start()
    frozen = find_lr(network, batches, make_config(lr="auto"), plan=plan_of(network))
    free = find_lr(network, batches, make_config(lr="auto"))
    assert same_weights({name: value.numpy() for name, value in network.state_dict().items()}, before)
    assert not np.array_equal(frozen.losses[:20], free.losses[:20])
