"""Training on the images that are still hard: which they are, that it resumes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from training_task import CLASS_NAMES, make_batches, make_config, make_network, same_weights

from striate.data.loaders import Batch
from striate.errors import UserError
from striate.schedules import Schedule
from striate.training import CHECKPOINT_NAME, EpochRecord, Progress, fit, read_checkpoint
from striate.training.array_session import check_settings
from striate.training.selection import Selection


class Watched(torch.nn.Module):
    """A network without dropout that keeps what it put out in training."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = make_network(dropout=0.0)
        self.outputs: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raw: torch.Tensor = self.inner(x)
        if self.training:
            self.outputs.append(raw.detach())
        return raw


class Told:
    """Training batches that remember which were handed out."""

    def __init__(self) -> None:
        self.batches = make_batches()
        self.finish = self.batches._finish
        self.batches._finish = self.remember  # type: ignore[method-assign]
        self.given: list[Batch] = []

    def remember(self, *parts: object) -> Batch:
        self.given.append(self.finish(*parts))  # type: ignore[arg-type]
        return self.given[-1]


def train(folder: Path, told: Told, network: torch.nn.Module, **changes: object) -> list[EpochRecord]:
    records: list[EpochRecord] = []
    val = make_batches(seed=2, shuffle=False)
    config = make_config(**changes)
    fit(
        network,
        told.batches,
        val,
        config,
        class_names=CLASS_NAMES,
        checkpoints=folder,
        on_epoch=records.append,
    )
    return records


def test_an_epoch_passes_over_the_images_with_the_largest_loss(tmp_path: Path) -> None:
    told, network = Told(), Watched()
    train(tmp_path, told, network, epochs=3, hard_share=0.5, label_smoothing=0.1)
    epochs = [told.given[:4], told.given[4:7], told.given[7:]]
    sizes = [sum(len(batch.labels) for batch in epoch) for epoch in epochs]
    assert sizes == [128, 96, 64]
    losses, outputs = np.full(128, np.inf), iter(network.outputs)
    for epoch, size in zip(epochs, sizes, strict=True):
        trained = np.concatenate([batch.indices.numpy() for batch in epoch])
        assert len(np.unique(trained)) == size
        left_out = np.setdiff1d(np.arange(128), trained)
        assert losses[trained].min() >= losses[left_out].max(initial=-np.inf)
        for batch in epoch:
            each = F.cross_entropy(next(outputs), batch.labels, reduction="none")
            losses[batch.indices.numpy()] = each.numpy()
    kept = read_checkpoint(tmp_path / CHECKPOINT_NAME).selection["losses"]
    np.testing.assert_allclose(kept, losses, rtol=1e-5)


def test_all_images_in_every_epoch_is_what_happens_without_it(tmp_path: Path) -> None:
    checkpoints = []
    for share in (1.0, 0.999):  # 0.999 of 128 images are all of them
        train(tmp_path / str(share), Told(), make_network(), hard_share=share)
        checkpoints.append(read_checkpoint(tmp_path / str(share) / CHECKPOINT_NAME))
    whole, chosen = checkpoints
    assert same_weights(whole.weights, chosen.weights)
    assert whole.selection == {}
    assert len(chosen.selection["losses"]) == 128


def test_the_rate_falls_to_the_same_end_and_progress_counts_the_epochs_own_steps(tmp_path: Path) -> None:
    seen: list[Progress] = []
    config = make_config(hard_share=0.5, epochs=3, schedule="linear")
    batches = make_batches()
    fitted = fit(
        make_network(),
        batches,
        None,
        config,
        class_names=CLASS_NAMES,
        checkpoints=tmp_path,
        on_batch=seen.append,
    )
    assert [(told.epoch, told.step, told.steps) for told in seen] == [
        *((1, step, 4) for step in (1, 2, 3, 4)),
        *((2, step, 3) for step in (1, 2, 3)),
        *((3, step, 2) for step in (1, 2)),
    ]
    schedule = Schedule(config, 4)
    last_steps = [3, 4 + 2 * 4 / 3, 8 + 1 * 4 / 2]
    expected = [0.01 * schedule.factor(step) for step in last_steps]
    assert [row["lr"] for row in fitted.history] == pytest.approx(expected)
    assert len(batches) == 4


def test_an_epoch_has_at_least_a_batch() -> None:
    selection = Selection(images=100, least=32, epochs=3, last_share=0.01)
    assert [selection.count(epoch) for epoch in range(4)] == [100, 50, 32, 32]
    assert Selection(images=100, least=32, epochs=1, last_share=0.5).count(0) == 100


def test_of_equal_losses_the_first_images_are_taken_and_those_left_out_come_back() -> None:
    selection = Selection(images=4, least=1, epochs=2, last_share=0.5)
    selection.add(np.arange(4), np.array([0.5, 0.5, 0.5, 0.1], np.float32))
    assert selection.positions(1).tolist() == [0, 1]
    selection.add(np.array([0, 1]), np.array([0.05, 0.2], np.float32))
    assert selection.positions(1).tolist() == [1, 2]


@pytest.mark.parametrize("blend", ["mixup", "cutmix"])
def test_blended_images_have_no_loss_of_their_own(blend: str) -> None:
    with pytest.raises(ValueError, match="hard-share goes by the loss of each image"):
        make_config(hard_share=0.5, **{blend: 0.2})


def test_the_engine_refuses_it_in_one_line() -> None:
    with pytest.raises(UserError, match="--hard-share needs PyTorch"):
        check_settings(make_config(hard_share=0.5, engine="numpy"))


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="hard_share"):
        make_config(hard_share=share)
