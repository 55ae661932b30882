"""A whole training against a plain torch loop, and what it promises about repetition and selection."""

from __future__ import annotations

import copy
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from training_task import CLASS_NAMES, make_batches, make_config, make_network, same_weights

from striate.config import TrainConfig
from striate.errors import UserError
from striate.schemas import HISTORY_COLUMNS, TIMING_COLUMNS
from striate.training import Fitted, Progress, fit
from striate.training.quiet import forked_generators

CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # fused and looped updates round differently, over a dozen steps


def run(folder: Path, config: TrainConfig, network=None, with_val=True, **settings) -> Fitted:  # type: ignore[no-untyped-def]
    train = make_batches(mixup=config.mixup, cutmix=config.cutmix, seed=1)
    val = make_batches(seed=2, shuffle=False) if with_val else None
    network = make_network() if network is None else network
    return fit(network, train, val, config, class_names=CLASS_NAMES, checkpoints=folder, **settings)


def plain_loop(network, optimizer, config, scheduler=None, clip=None, smoothing=0.0):  # type: ignore[no-untyped-def]
    train = make_batches(seed=1)
    network.train()
    for epoch in range(config.epochs):
        train.set_epoch(epoch)
        for batch in train:
            loss = F.cross_entropy(network(batch.inputs), batch.targets, label_smoothing=smoothing)
            optimizer.zero_grad()
            loss.backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
            optimizer.step()
            if scheduler:
                scheduler.step()
    return network.state_dict()


def decaying(network: torch.nn.Module, decay: float) -> list[dict[str, object]]:
    return [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]


# Adam divides by its gradients' size, so that a number close to 0 may turn round by rounding: fused, as ours.
OPTIMIZERS = {
    "sgd": ({"momentum": 0.0}, lambda net: torch.optim.SGD(net.parameters(), 0.01)),
    "momentum": ({"momentum": 0.8}, lambda net: torch.optim.SGD(net.parameters(), 0.01, momentum=0.8)),
    "nesterov": (
        {"momentum": 0.8, "nesterov": True},
        lambda net: torch.optim.SGD(net.parameters(), 0.01, momentum=0.8, nesterov=True),
    ),
    "sgd-decay": (
        {"weight_decay": 0.1, "momentum": 0.9},
        lambda net: torch.optim.SGD(decaying(net, 0.1), 0.01, momentum=0.9),
    ),
    "adam": ({"optimizer": "adam"}, lambda net: torch.optim.Adam(net.parameters(), 0.01, fused=True)),
    "adam-decay": (
        {"optimizer": "adam", "weight_decay": 0.1},
        lambda net: torch.optim.Adam(net.parameters(), 0.01, weight_decay=0.1, fused=True),
    ),
    "adamw": (
        {"optimizer": "adamw", "weight_decay": 0.1},
        lambda net: torch.optim.AdamW(decaying(net, 0.1), 0.01, fused=True),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_matches_a_plain_loop(name: str, tmp_path: Path) -> None:
    changes, make_optimizer = OPTIMIZERS[name]
    config = make_config(**{"optimizer": "sgd", "schedule": "constant", **changes})
    network = make_network(dropout=0.0)
    expected = plain_loop(reference := copy.deepcopy(network), make_optimizer(reference), config)
    found = run(tmp_path, config, network, with_val=False).weights
    assert list(found) == list(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value.numpy(), **CLOSE, err_msg=key)


def test_schedule_clipping_and_smoothing_match_a_plain_loop(tmp_path: Path) -> None:
    config = make_config(optimizer="sgd", momentum=0.9, lr=0.1, clip_grad=0.5, label_smoothing=0.1)
    network = make_network(dropout=0.0)
    reference = copy.deepcopy(network)
    optimizer = torch.optim.SGD(reference.parameters(), 0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=13, cycle_momentum=False)
    scheduler.total_steps = 12
    scheduler._schedule_phases[0]["end_step"] = 0.3 * 12 - 1
    scheduler._schedule_phases[1]["end_step"] = 11
    expected = plain_loop(reference, optimizer, config, scheduler, clip=0.5, smoothing=0.1)
    found = run(tmp_path, config, network, with_val=False).weights
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value.numpy(), **CLOSE, err_msg=key)


@pytest.mark.parametrize("layout", ["contiguous", "channels-last"])
@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_engine_learns(layout: str, precision: str, optimizer: str, tmp_path: Path) -> None:
    lr = 0.3 if optimizer == "sgd" else 0.02
    config = make_config(memory_format=layout, precision=precision, optimizer=optimizer, epochs=4, lr=lr)
    fitted = run(tmp_path, config)
    assert (fitted.engine.precision, fitted.engine.memory_format) == (precision, layout)
    assert fitted.history[-1]["val_accuracy"] > 0.9
    assert all(array.flags.c_contiguous for array in fitted.weights.values())


def test_layouts_give_the_same_training_in_float32(tmp_path: Path) -> None:
    runs = [
        run(tmp_path / layout, make_config(memory_format=layout, precision="32"), make_network(dropout=0.0))
        for layout in ("contiguous", "channels-last")
    ]
    for key in runs[0].weights:
        np.testing.assert_allclose(runs[0].weights[key], runs[1].weights[key], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_the_same_seed_gives_the_same_weights_and_history(precision: str, tmp_path: Path) -> None:
    config = make_config(mixup=0.3, precision=precision, memory_format="channels-last")
    first, second = (run(tmp_path / name, config) for name in ("a", "b"))
    assert first.history == second.history
    assert same_weights(first.weights, second.weights)


def test_another_seed_gives_another_dropout(tmp_path: Path) -> None:
    first, second = (run(tmp_path / str(seed), make_config(seed=seed)) for seed in (0, 1))
    assert not same_weights(first.weights, second.weights)


def test_global_generators_and_settings_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    run(tmp_path, make_config())
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002
    assert before[2] == random.getstate()
    assert torch.get_num_threads() == threads
    assert torch.are_deterministic_algorithms_enabled() == deterministic
    assert torch.is_grad_enabled()


def test_history_has_its_columns_and_true_values(tmp_path: Path) -> None:
    network = make_network()
    fitted = run(tmp_path, make_config(), network)
    assert all(tuple(row) == HISTORY_COLUMNS for row in fitted.history)
    assert all(tuple(row) == TIMING_COLUMNS for row in fitted.timing)
    assert [row["epoch"] for row in fitted.history] == [1, 2, 3]
    best = fitted.history[fitted.best_epoch - 1]
    batches = list(make_batches(seed=2, shuffle=False))
    with torch.no_grad():
        raw = torch.cat([network(batch.inputs) for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    assert best["val_loss"] == pytest.approx(F.cross_entropy(raw, labels).item(), rel=1e-5)
    assert best["val_accuracy"] == pytest.approx((raw.argmax(1) == labels).float().mean().item())


def test_the_network_ends_in_evaluation_mode_with_the_weights_returned(tmp_path: Path) -> None:
    network = make_network()
    fitted = run(tmp_path, make_config(memory_format="channels-last"), network)
    assert not any(module.training for module in network.modules())
    for name, value in network.state_dict().items():
        assert value.is_contiguous()
        assert np.array_equal(value.numpy(), fitted.weights[name])


def test_without_validation_the_last_epoch_is_kept(tmp_path: Path) -> None:
    fitted = run(tmp_path, make_config(), with_val=False)
    assert fitted.best_epoch == 3
    assert [row["val_loss"] for row in fitted.history] == [None] * 3
    assert [row["best"] for row in fitted.history] == [1, 1, 1]


@pytest.mark.parametrize("best_by", ["val_loss", "val_accuracy"])
def test_the_best_epoch_is_the_first_of_the_best(best_by: str, tmp_path: Path) -> None:
    config = make_config(epochs=8, lr=0.2, schedule="constant", optimizer="adam", best_by=best_by)
    fitted = run(tmp_path, config)
    values = [row[best_by] for row in fitted.history]
    target = min(values) if best_by == "val_loss" else max(values)
    assert fitted.best_epoch == values.index(target) + 1
    marked = [row["epoch"] for row in fitted.history if row["best"]]
    assert marked[-1] == fitted.best_epoch


def test_the_last_epoch_is_kept_whatever_its_validation_loss(tmp_path: Path) -> None:
    settings = {"epochs": 8, "lr": 0.2, "schedule": "constant", "optimizer": "adam"}
    chosen = run(tmp_path / "chosen", make_config(**settings))
    last = run(tmp_path / "last", make_config(**settings, best_by="last"))
    assert chosen.best_epoch < last.best_epoch == 8
    assert (
        last.history[-1]["val_loss"]
        == chosen.history[-1]["val_loss"]
        > min(row["val_loss"] for row in last.history)
    )


def test_early_stopping_ends_after_epochs_without_gain(tmp_path: Path) -> None:
    config = make_config(epochs=30, lr=0.3, schedule="constant", optimizer="adam", early_stopping=2)
    fitted = run(tmp_path, config)
    assert fitted.stopped == "early"
    assert fitted.epochs_run == fitted.best_epoch + 2 < 30
    assert "No better val_loss for 2 epochs" in fitted.message
    assert f"epoch {fitted.best_epoch}" in fitted.message


def test_early_stopping_without_validation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="early-stopping needs a validation split"):
        run(tmp_path, make_config(early_stopping=2), with_val=False)


def test_plateau_lowers_the_rate_when_the_loss_stalls(tmp_path: Path) -> None:
    config = make_config(epochs=6, lr=1e-12, schedule="plateau", patience=1, step_factor=0.5, optimizer="sgd")
    fitted = run(tmp_path, config, make_network().requires_grad_(True))
    rates = [row["lr"] for row in fitted.history]
    assert rates[0] == 1e-12
    assert rates[-1] < rates[0]


def test_balanced_class_weights_change_training_as_torchs_do(tmp_path: Path) -> None:
    def skewed() -> object:
        batches = make_batches(seed=1)
        labels = batches.images.labels
        labels[np.arange(128) < 70] = 0
        return batches

    config = make_config(epochs=1, class_weights="balanced", optimizer="sgd", schedule="constant", momentum=0)
    network = make_network(dropout=0.0)
    reference = copy.deepcopy(network).train()
    train = skewed()
    counts = np.bincount(train.images.labels, minlength=4)  # type: ignore[attr-defined]
    weights = torch.tensor(128 / (4 * counts), dtype=torch.float32)
    optimizer = torch.optim.SGD(reference.parameters(), 0.01)
    for batch in train:  # type: ignore[attr-defined]
        optimizer.zero_grad()
        F.cross_entropy(reference(batch.inputs), batch.targets, weights).backward()
        optimizer.step()
    fitted = fit(network, train, None, config, class_names=CLASS_NAMES, checkpoints=tmp_path)  # type: ignore[arg-type]
    for key, value in reference.state_dict().items():
        np.testing.assert_allclose(fitted.weights[key], value.numpy(), **CLOSE, err_msg=key)


@pytest.mark.parametrize("output", ["logit", "probability", "log_probabilities"])
def test_other_outputs_learn_with_mixed_targets(output: str, tmp_path: Path) -> None:
    class Net(torch.nn.Sequential):
        pass

    last = {"probability": torch.nn.Sigmoid(), "log_probabilities": torch.nn.LogSoftmax(1)}.get(output)
    outputs = 2 if output == "log_probabilities" else 1
    network = Net(*make_network(outputs=outputs), *([last] if last else []))
    network.output = output  # type: ignore[assignment]
    config = make_config(epochs=5, lr=0.02, mixup=0.2, label_smoothing=0.05, class_weights="balanced")
    train = make_batches(n=256, num_classes=2, mixup=0.2)
    val = make_batches(n=128, seed=2, shuffle=False, num_classes=2)
    fitted = fit(network, train, val, config, class_names=("a", "b"), checkpoints=tmp_path)
    assert max(row["val_accuracy"] for row in fitted.history) > 0.9


def test_progress_counts_every_step(tmp_path: Path) -> None:
    seen: list[Progress] = []
    run(tmp_path, make_config(epochs=2), on_batch=seen.append)
    assert [(p.epoch, p.step) for p in seen] == [(e, s) for e in (1, 2) for s in (1, 2, 3, 4)]
    assert {(p.epochs, p.steps) for p in seen} == {(2, 4)}
    assert all(p.images_per_second > 0 and math.isfinite(p.images_per_second) for p in seen)


def test_records_agree_with_the_history(tmp_path: Path) -> None:
    records = []
    fitted = run(tmp_path, make_config(), on_epoch=records.append)
    assert [record.history_row() for record in records] == fitted.history
    assert [record.timing_row() for record in records] == fitted.timing


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, make_config(epochs=1))
    assert capfd.readouterr() == ("", "")


def test_frozen_parameters_stay(tmp_path: Path) -> None:
    network = make_network()
    network[0].requires_grad_(False)
    before = network[0].weight.detach().clone()
    run(tmp_path, make_config(), network)
    assert torch.equal(network[0].weight, before)


def test_a_rate_still_to_be_found_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="find_lr"):
        run(tmp_path, make_config(lr="auto"))


def test_tensorboard_events_are_written_on_request(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run(tmp_path, make_config(epochs=1), tensorboard=tmp_path / "tensorboard")
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_tensorboard_that_cannot_write_does_not_end_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    fitted = run(tmp_path, make_config(epochs=1), tensorboard=tmp_path / "file" / "tensorboard")
    assert fitted.stopped == "finished"


@pytest.mark.parametrize("fails", [True, False])
def test_the_generator_of_apple_gpus_is_restored_however_a_block_ends(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored = []
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: "state")
    monkeypatch.setattr(torch.mps, "set_rng_state", restored.append)
    try:
        with forked_generators():
            assert restored == []
            if fails:
                raise KeyError
    except KeyError:
        pass
    assert restored == ["state"]
