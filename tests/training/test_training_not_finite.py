"""Losses and weights that are not finite end training with what was good before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training_task import CLASS_NAMES, make_batches, make_config, make_network

from striate.errors import TrainingError
from striate.training import CHECKPOINT_NAME, fit, read_checkpoint


class Spoiled(torch.nn.Sequential):
    """Puts out NaN from its `from_call`-th forward pass in training on."""

    def __init__(self, *layers: torch.nn.Module, from_call: int) -> None:
        super().__init__(*layers)
        self.from_call = from_call
        self.calls = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        raw: torch.Tensor = super().forward(inputs)
        return raw * torch.nan if self.training and self.calls >= self.from_call else raw


def train(folder: Path, network: torch.nn.Module, **changes: object):  # type: ignore[no-untyped-def]
    val = make_batches(seed=2, shuffle=False)
    config = make_config(**changes)
    return fit(network, make_batches(), val, config, class_names=CLASS_NAMES, checkpoints=folder)


def test_the_last_good_weights_are_returned(tmp_path: Path) -> None:
    fitted = train(tmp_path, Spoiled(*make_network(), from_call=6))
    assert fitted.stopped == "non-finite"
    assert fitted.epochs_run == fitted.best_epoch == 1
    assert fitted.message.startswith("The training loss is not finite in epoch 2, step 2 (learning rate 0.00")
    assert "try a lower --lr, or --clip-grad 1" in fitted.message
    assert all(np.isfinite(array).all() for array in fitted.weights.values())
    assert read_checkpoint(tmp_path / CHECKPOINT_NAME).epoch == 1


def test_before_the_first_epoch_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"not finite in epoch 1, step 3 .*try a lower --lr"):
        train(tmp_path, Spoiled(*make_network(), from_call=3))
    assert not (tmp_path / CHECKPOINT_NAME).exists()


def test_clipping_is_not_advised_where_it_is_in_use(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        train(tmp_path, Spoiled(*make_network(), from_call=1), clip_grad=1.0)
    assert "--clip-grad" not in str(caught.value)


def test_a_rate_far_too_high_ends_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not finite in epoch 1"):
        train(tmp_path, make_network(), lr=1e30, optimizer="sgd", schedule="constant")


def test_weights_spoiled_by_the_last_step_are_not_kept(tmp_path: Path) -> None:
    network = make_network()
    calls = []

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return gradient * torch.inf if len(calls) == 8 else gradient  # the last step of epoch 2

    network[0].weight.register_hook(spoil)
    fitted = train(tmp_path, network)
    assert (fitted.stopped, fitted.epochs_run) == ("non-finite", 1)
    assert "a weight is not finite in epoch 2, step 4" in fitted.message.lower()
