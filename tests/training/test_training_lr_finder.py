"""The learning-rate range test."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training_task import make_batches, make_config, make_network, same_weights

from striate.errors import TrainingError
from striate.training import find_lr, fit, lr_finder
from striate.training.steps import Stepper


def test_the_suggested_rate_trains_well(tmp_path) -> None:  # type: ignore[no-untyped-def]
    finding = find_lr(make_network(), make_batches(), make_config(optimizer="adam"))
    assert 1e-4 < finding.suggestion < 0.5
    config = make_config(optimizer="adam", lr=finding.suggestion, epochs=5)
    val = make_batches(seed=2, shuffle=False)
    fitted = fit(make_network(), make_batches(), val, config, class_names=tuple("abcd"), checkpoints=tmp_path)
    assert fitted.history[-1]["val_accuracy"] > 0.9


def test_the_curve_rises_exponentially_and_ends_at_divergence() -> None:
    finding = find_lr(make_network(), make_batches(), make_config(optimizer="sgd"), highest=1e4)
    ratios = finding.lrs[1:] / finding.lrs[:-1]
    np.testing.assert_allclose(ratios, ratios[0])
    assert len(finding.lrs) == len(finding.losses) < 100
    assert np.isfinite(finding.losses).all()


def test_network_and_generators_are_left_alone() -> None:
    network, train = make_network(), make_batches()
    before = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    find_lr(network, train, make_config())
    assert same_weights(before, {name: value.numpy() for name, value in network.state_dict().items()})
    assert torch.equal(state, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert network.training


def rates_of_a_search(monkeypatch, **settings):  # type: ignore[no-untyped-def]
    """Return (filters' rate, rate of their own or None) of each step of a search."""
    seen = []
    step = Stepper.train

    def watched(self, batch, lr, tally):  # type: ignore[no-untyped-def]
        loss = step(self, batch, lr, tally)
        rates = {group["own_rate"]: group["lr"] for group in self.optimizer.param_groups}
        seen.append((rates[False], rates.get(True)))
        return loss

    monkeypatch.setattr(Stepper, "train", watched)
    found = find_lr(make_network(), make_batches(), make_config(**settings))
    return found, np.array(seen, float)


@pytest.mark.parametrize(
    ("settings", "own"),
    [({"optimizer": "sgd", "bias_lr": 0.1}, 0.1), ({"optimizer": "muon", "muon_sgd_lr": 0.02}, 0.02)],
)
def test_rates_that_are_given_stay_while_the_other_is_searched(monkeypatch, settings, own) -> None:  # type: ignore[no-untyped-def]
    found, rates = rates_of_a_search(monkeypatch, **settings)
    np.testing.assert_allclose(rates[:, 1], own)
    np.testing.assert_allclose(rates[: len(found.lrs), 0], found.lrs)


def test_the_finding_is_repeatable() -> None:
    first, second = (find_lr(make_network(), make_batches(), make_config()) for _ in range(2))
    assert first.suggestion == second.suggestion
    assert np.array_equal(first.losses, second.losses)


def test_a_loss_that_never_falls_is_an_error() -> None:
    with pytest.raises(TrainingError, match="no rate at which the loss falls; set --lr"):
        find_lr(make_network(), make_batches(), make_config(), lowest=1e-12, highest=1e-11)


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    network = make_network()
    torch.nn.init.constant_(network[0].weight, torch.nan)
    with pytest.raises(TrainingError, match="not finite at step 1"):
        find_lr(network, make_batches(), make_config())


def test_impossible_ranges_are_refused() -> None:
    with pytest.raises(ValueError, match="lowest"):
        find_lr(make_network(), make_batches(), make_config(), lowest=1.0, highest=0.1)


@pytest.mark.parametrize("settled", range(4, 9))
@pytest.mark.parametrize("at", [1, -2])
def test_a_short_search_finds_the_fall_where_it_is(settled, at) -> None:  # type: ignore[no-untyped-def]
    lrs = np.geomspace(1e-6, 10, lr_finder._SETTLING_STEPS + settled)
    place = np.arange(settled)
    center = place[at]
    fall = np.exp(-0.5 * (place - center) ** 2)
    losses = np.concatenate([np.full(lr_finder._SETTLING_STEPS, 3.0), 3.0 - np.cumsum(fall) / fall.sum()])
    step = lrs.tolist().index(lr_finder._steepest(lrs, losses)) - lr_finder._SETTLING_STEPS
    assert abs(step - center) <= 1
