"""Checkpoints: written whole, read only if undamaged, resumed only by the same training."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import training_task
from training_task import CLASS_NAMES, make_batches, make_config, make_network, same_weights

from striate.config import TrainConfig
from striate.errors import RunError, UserError
from striate.training import CHECKPOINT_NAME, Checkpoint, Fitted, fit, read_checkpoint
from striate.training.checkpoints import write_checkpoint

SETTINGS = {"mixup": 0.3, "epochs": 4, "schedule": "one-cycle", "optimizer": "adamw", "weight_decay": 0.01}


def train(folder: Path, config: TrainConfig, **settings) -> Fitted:  # type: ignore[no-untyped-def]
    batches = make_batches(mixup=config.mixup, n=settings.pop("n", 128))
    network = settings.pop("network", None) or make_network(seed=settings.pop("weights", 0))
    names = settings.pop("class_names", CLASS_NAMES)
    val = make_batches(seed=2, shuffle=False)
    return fit(network, batches, val, config, class_names=names, checkpoints=folder, **settings)


class KillError(Exception):
    pass


def train_until(folder: Path, config: TrainConfig, epoch: int, step: int) -> Checkpoint:
    """Train up to a step in the middle of an epoch, as if killed there; return what lies on disk."""

    def kill(progress) -> None:  # type: ignore[no-untyped-def]
        if (progress.epoch, progress.step) == (epoch, step):
            raise KillError

    with pytest.raises(KillError):
        train(folder, config, on_batch=kill)
    return read_checkpoint(folder / CHECKPOINT_NAME)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    train(tmp_path / "run", make_config(epochs=1))
    return read_checkpoint(tmp_path / "run" / CHECKPOINT_NAME)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "schedule": "step", "step_epochs": 1},
        {"optimizer": "muon", "lr": 0.1, "bias_lr": 0.5, "momentum": 0.6, "schedule": "linear"},
        {"optimizer": "adam", "schedule": "plateau", "patience": 1, "lr": 0.3, "epochs": 6},
        {"schedule": "cosine", "warmup_epochs": 1.5, "precision": "bf16", "memory_format": "channels-last"},
        {"ema_decay": 0.9, "schedule": "constant", "lr": 0.05},
        {"hard_share": 0.4, "mixup": 0.0, "ema_decay": 0.9},
    ],
)
@pytest.mark.parametrize("epoch", [2, 4])
def test_a_resumed_training_gives_the_same_weights(changes: dict, epoch: int, tmp_path: Path) -> None:  # type: ignore[type-arg]
    config = make_config(**{**SETTINGS, **changes})
    whole = train(tmp_path / "whole", config)
    cut = train_until(tmp_path / "cut", config, epoch, step=2)
    assert cut.epoch == epoch - 1
    resumed = train(tmp_path / "cut", config, resume_from=cut, weights=9)
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    assert same_weights(resumed.weights, whole.weights)
    first, second = (read_checkpoint(tmp_path / name / CHECKPOINT_NAME) for name in ("whole", "cut"))
    assert same_weights(first.weights, second.weights)
    assert same_weights(first.averaged_weights, second.averaged_weights)
    assert same_weights(first.optimizer, second.optimizer)
    assert same_weights(first.selection, second.selection)


_PROGRAM = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from training_task import CLASS_NAMES, make_batches, make_config, make_network
from striate.training import fit
def announce(progress):
    if (progress.epoch, progress.step) == (3, 2):
        print("now", flush=True)
        time.sleep(60)
fit(make_network(), make_batches(mixup=0.3), make_batches(seed=2, shuffle=False), make_config(**{settings!r}),
    class_names=CLASS_NAMES, checkpoints=Path({folder!r}), on_batch=announce)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_training_killed_in_an_epoch_resumes_to_the_same_weights(tmp_path: Path) -> None:
    tests = str(Path(training_task.__file__).parent)
    settings = {**SETTINGS, "ema_decay": 0.9}
    program = _PROGRAM.format(tests=tests, settings=settings, folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.kill()
    cut = read_checkpoint(tmp_path / CHECKPOINT_NAME)
    assert cut.epoch == 2
    resumed = train(tmp_path, make_config(**settings), resume_from=cut)
    whole = train(tmp_path / "whole", make_config(**settings))
    assert resumed.history == whole.history
    assert same_weights(resumed.weights, whole.weights)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [CHECKPOINT_NAME]


def test_a_finished_training_resumes_to_itself(tmp_path: Path) -> None:
    config = make_config(epochs=2)
    whole = train(tmp_path, config)
    again = train(tmp_path, config, resume_from=read_checkpoint(tmp_path / CHECKPOINT_NAME))
    assert again.history == whole.history
    assert again.stopped == "finished"
    assert same_weights(again.weights, whole.weights)


def test_a_training_stopped_early_stays_stopped(tmp_path: Path) -> None:
    config = make_config(epochs=30, lr=0.3, schedule="constant", optimizer="adam", early_stopping=1)
    whole = train(tmp_path, config)
    again = train(tmp_path, config, resume_from=read_checkpoint(tmp_path / CHECKPOINT_NAME))
    assert whole.stopped == again.stopped == "early"
    assert again.epochs_run == whole.epochs_run
    assert same_weights(again.weights, whole.weights)


@pytest.mark.parametrize("best_epoch", [1, 3])
def test_what_is_written_is_read(best_epoch: int, checkpoint: Checkpoint, tmp_path: Path) -> None:
    other = {name: np.asarray(array + 1) for name, array in checkpoint.weights.items()}
    kept = checkpoint.weights if best_epoch == 3 else other
    written = dataclasses.replace(checkpoint, epoch=3, best_epoch=best_epoch, kept_weights=kept)
    write_checkpoint(tmp_path / "x", written)
    found = read_checkpoint(tmp_path / "x")
    for field in dataclasses.fields(Checkpoint):
        if field.name in ("weights", "averaged_weights", "kept_weights", "optimizer"):
            assert same_weights(getattr(found, field.name), getattr(written, field.name))
        else:
            assert getattr(found, field.name) == getattr(written, field.name)


def test_the_best_weights_take_no_space_when_they_are_the_last(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path / "same", checkpoint)
    write_checkpoint(tmp_path / "other", dataclasses.replace(checkpoint, epoch=2))
    size = sum(array.nbytes for array in checkpoint.weights.values())
    assert (tmp_path / "other").stat().st_size - (tmp_path / "same").stat().st_size >= size


@pytest.mark.parametrize("position", ["length", "header", "tensor", "end"])
def test_any_flipped_bit_is_found(position: str, checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_checkpoint(path, checkpoint)
    content = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    at = {"length": 3, "header": header // 2, "tensor": (header + len(content)) // 2, "end": len(content) - 1}
    content[at[position]] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="is damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(share: float, checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_checkpoint(path, checkpoint)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RunError, match="is damaged"):
        read_checkpoint(path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}))
    with pytest.raises(RunError, match="is damaged"):
        read_checkpoint(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot read the checkpoint"):
        read_checkpoint(tmp_path / "missing")


def test_a_later_format_is_refused(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("striate.training.checkpoints.FORMAT", 2)
    write_checkpoint(tmp_path / "x", checkpoint)
    monkeypatch.undo()
    with pytest.raises(RunError, match="has format 2, expected 1"):
        read_checkpoint(tmp_path / "x")


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_a_checkpoint_of_other_fields_is_refused(
    change: str, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(value: dict, **options) -> str:  # type: ignore[no-untyped-def, type-arg]
        if change == "missing":
            value.pop("plateau")
        else:
            value["momentum"] = 0.9
        return dumps(value, **options)

    dumps = json.dumps
    monkeypatch.setattr("striate.training.checkpoints.json.dumps", other)
    write_checkpoint(tmp_path / "x", checkpoint)
    monkeypatch.undo()
    with pytest.raises(RunError, match=r"plateau|momentum"):
        read_checkpoint(tmp_path / "x")


def test_the_file_holds_plain_json(checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "x", checkpoint)
    with safetensors.safe_open(tmp_path / "x", "numpy") as file:
        facts = json.loads(file.metadata()["checkpoint"])
    assert facts["epoch"] == 1
    assert facts["history"] == checkpoint.history


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"config": make_config(epochs=1, lr=0.5)}, r"with lr = 0.01, now it is 0.5"),
        ({"config": make_config(epochs=2)}, r"with epochs = 1, now it is 2"),
        ({"network": make_network(outputs=7)}, "another network"),
        ({"class_names": ("a", "b", "c", "e")}, "other classes"),
        ({"n": 127}, "other training images"),
    ],
)
def test_another_training_cannot_resume(
    changes: dict,  # type: ignore[type-arg]
    reason: str,
    checkpoint: Checkpoint,
    tmp_path: Path,
) -> None:
    settings = {"config": make_config(epochs=1), **changes}
    with pytest.raises(RunError, match=reason):
        train(tmp_path, settings.pop("config"), resume_from=checkpoint, **settings)


def test_settings_that_do_not_touch_the_outcome_may_differ(checkpoint: Checkpoint, tmp_path: Path) -> None:
    config = make_config(epochs=1, num_workers=0, goal=0.5, data_root="elsewhere")
    assert train(tmp_path, config, resume_from=checkpoint).stopped == "finished"


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    import resource

    def fill(progress) -> None:  # type: ignore[no-untyped-def]
        if progress.epoch == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(UserError, match="cannot write"):
            train(tmp_path, make_config(), on_batch=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert read_checkpoint(tmp_path / CHECKPOINT_NAME).epoch == 1
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_NAME]


def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot create"):
        train(tmp_path / "file" / "checkpoints", make_config())


def send_signal_once(number: int, epoch: int, step: int):  # type: ignore[no-untyped-def]
    def send(progress) -> None:  # type: ignore[no-untyped-def]
        if (progress.epoch, progress.step) == (epoch, step):
            os.kill(os.getpid(), number)
            time.sleep(0.01)

    return send


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [2, 4])
def test_a_signal_ends_training_with_the_weights_kept(number: int, step: int, tmp_path: Path) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    fitted = train(tmp_path, make_config(), on_batch=send_signal_once(number, 2, step))
    assert fitted.stopped == "interrupted"
    assert fitted.message.startswith("Interrupted in epoch 2 of 3")
    assert fitted.epochs_run == fitted.best_epoch == 1
    assert same_weights(fitted.weights, read_checkpoint(tmp_path / CHECKPOINT_NAME).weights)
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    config = make_config(**SETTINGS)
    train(tmp_path, config, on_batch=send_signal_once(signal.SIGINT, 3, 1))
    resumed = train(tmp_path, config, resume_from=read_checkpoint(tmp_path / CHECKPOINT_NAME))
    assert same_weights(resumed.weights, train(tmp_path / "whole", config).weights)


def test_a_signal_in_the_first_epoch_keeps_the_weights_as_they_stand(tmp_path: Path) -> None:
    network = make_network()
    before = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    send = send_signal_once(signal.SIGINT, 1, 2)
    fitted = train(tmp_path, make_config(), network=network, on_batch=send)
    assert (fitted.stopped, fitted.epochs_run, fitted.best_epoch) == ("interrupted", 0, 0)
    assert not same_weights(fitted.weights, before)
    assert not (tmp_path / CHECKPOINT_NAME).exists()


def test_a_keyboard_interrupt_from_a_callback_counts_as_one(tmp_path: Path) -> None:
    def interrupt(progress) -> None:  # type: ignore[no-untyped-def]
        if progress.epoch == 2:
            raise KeyboardInterrupt

    assert train(tmp_path, make_config(), on_batch=interrupt).stopped == "interrupted"


def test_an_error_in_a_callback_is_passed_on(tmp_path: Path) -> None:
    def fail(record) -> None:  # type: ignore[no-untyped-def]
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        train(tmp_path, make_config(), on_epoch=fail)
