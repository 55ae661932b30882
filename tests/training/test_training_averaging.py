"""The moving average of the weights: what it is, that it is what is judged and kept, and that it resumes."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from training_task import CLASS_NAMES, make_batches, make_config, make_network, same_weights

from striate.data.loaders import Batch, Batches
from striate.errors import UserError
from striate.training import CHECKPOINT_NAME, Fitted, Progress, fit, read_checkpoint
from striate.training.array_session import check_settings
from striate.training.averaging import make_average, restore_average

CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # fused and looped updates round differently, over a dozen steps


PLAIN = {"optimizer": "sgd", "momentum": 0.0, "schedule": "constant", "lr": 0.01}


def run(folder: Path, with_val: bool = True, network: torch.nn.Module | None = None, **changes) -> Fitted:  # type: ignore[no-untyped-def]
    val = make_batches(seed=2, shuffle=False) if with_val else None
    network = make_network(dropout=0.0) if network is None else network
    told = {"on_batch": changes.pop("on_batch", None), "class_names": CLASS_NAMES, "checkpoints": folder}
    return fit(network, make_batches(seed=1), val, make_config(**changes), **told)


def averaged_by_hand(network: torch.nn.Module, decay: float, steps: int) -> dict[str, torch.Tensor]:
    """Plain gradient descent; average every floating-point entry of the state dict after each step."""
    average: dict[str, torch.Tensor] = {}
    network.train()
    for n, batch in enumerate(itertools.islice(repeated(make_batches(seed=1)), steps)):
        network.zero_grad()
        F.cross_entropy(network(batch.inputs), batch.targets).backward()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter -= PLAIN["lr"] * parameter.grad
        share = min(decay, (1 + n) / (10 + n)) if n else 0.0
        for name, value in network.state_dict().items():
            old = average.get(name, torch.zeros_like(value))
            mean = share * old + (1 - share) * value
            average[name] = mean if value.is_floating_point() else value.clone()
    return average


def repeated(train: Batches) -> Iterator[Batch]:
    for epoch in itertools.count():
        train.set_epoch(epoch)
        yield from train


def assert_close(found: dict[str, np.ndarray], expected: dict[str, torch.Tensor]) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value.numpy(), **CLOSE, err_msg=name)


def test_the_average_without_validation_is_that_of_a_plain_loop(tmp_path: Path) -> None:
    network = make_network(dropout=0.0)
    expected = averaged_by_hand(copy.deepcopy(network), decay=0.7, steps=12)
    assert_close(run(tmp_path, False, network, ema_decay=0.7, **PLAIN).weights, expected)


def test_the_average_is_what_is_validated_and_kept(tmp_path: Path) -> None:
    network = make_network(dropout=0.0)
    fitted = run(tmp_path, network=network, ema_decay=0.9, lr=0.05, epochs=4)
    batches = make_batches(seed=2, shuffle=False)
    with torch.no_grad():
        losses = [F.cross_entropy(network(batch.inputs), batch.labels, reduction="sum") for batch in batches]
    expected = float(sum(losses)) / len(batches.images)
    best = fitted.history[fitted.best_epoch - 1]
    assert best["val_loss"] == pytest.approx(expected, rel=1e-5)  # float32 sums
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    assert same_weights(state, fitted.weights)
    checkpoint = read_checkpoint(tmp_path / CHECKPOINT_NAME)
    assert not same_weights(checkpoint.weights, checkpoint.averaged_weights)


def test_the_steps_are_those_without_an_average(tmp_path: Path) -> None:
    runs = [run(tmp_path / str(decay), ema_decay=decay) for decay in (0, 0.9)]
    plain, averaged = (read_checkpoint(tmp_path / str(decay) / CHECKPOINT_NAME) for decay in (0, 0.9))
    assert same_weights(plain.weights, averaged.weights)
    assert [row["train_loss"] for row in runs[0].history] == [row["train_loss"] for row in runs[1].history]
    assert [row["val_loss"] for row in runs[0].history] != [row["val_loss"] for row in runs[1].history]
    assert plain.averaged_weights == {}


def test_running_statistics_are_averaged_and_counters_copied() -> None:
    network = torch.nn.BatchNorm2d(3)
    average = make_average(network, 0.99)
    images = torch.randn(16, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(3)
    for n in range(4):
        network(images)
        average.update_parameters(network)
        share = (1 + n) / (10 + n) if n else 0.0  # below the decay in the first steps
        expected = share * expected + (1 - share) * network.get_buffer("running_mean")
    found = average.module.get_buffer("running_mean")
    torch.testing.assert_close(found, expected)
    assert not torch.equal(found, network.get_buffer("running_mean"))
    assert int(average.module.get_buffer("num_batches_tracked")) == 4
    assert not average.module.training


def test_an_average_is_restored_with_its_count() -> None:
    network = make_network()
    first, second = make_average(network, 0.9), make_average(make_network(seed=5), 0.9)
    for _ in range(5):
        first.update_parameters(network)
    weights = {name: value.numpy().copy() for name, value in first.module.state_dict().items()}
    restore_average(second, weights, 5)
    other = make_network(seed=3)
    for average in (first, second):
        average.update_parameters(other)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_interrupted_in_the_first_epoch_the_average_as_it_stands_is_kept(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    network = make_network(dropout=0.0)
    expected = averaged_by_hand(copy.deepcopy(network), decay=0.7, steps=3)
    fitted = run(tmp_path, False, network, on_batch=interrupt, ema_decay=0.7, **PLAIN)
    assert fitted.stopped == "interrupted"
    assert_close(fitted.weights, expected)


def test_the_engine_refuses_an_average_in_one_line() -> None:
    with pytest.raises(UserError, match="--ema-decay needs PyTorch; leave it out, or choose --engine torch"):
        check_settings(make_config(ema_decay=0.9, engine="numpy"))


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="ema_decay"):
        make_config(ema_decay=decay)
