"""Training, evaluating and predicting on the glass-box engine: the same numbers, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import striate
from striate.errors import RunError, TrainingError, UserError
from striate.training import CHECKPOINT_NAME
from striate.workflows.listener import Listener

CLOSE = 1e-4
"""float32 on two engines: rounding, carried along for some dozen steps."""

FAST = {"model": "simple-cnn", "epochs": 3, "batch_size": 8, "engine": "numpy"}
VARIED = {
    "model": "custom-cnn",
    "image_size": 16,
    "epochs": 4,
    "batch_size": 8,
    "engine": "numpy",
    "augment": "flip-crop",
    "mixup": 0.4,
    "schedule": "one-cycle",
    "label_smoothing": 0.1,
    "clip_grad": 1.0,
    "class_weights": "balanced",
}


@pytest.fixture
def stripes(write_stripes, tmp_path):
    return write_stripes(tmp_path / "stripes", {"across": 24, "down": 24, "slanted": 24})


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    """An empty working folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)


def weights(run) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(run.model / "model.safetensors")


def assert_same_weights(first, second) -> None:
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


class Stopped(Listener):
    """Breaks a training off after some epochs, as a crash would."""

    def __init__(self, after: int) -> None:
        self.after = after

    def epoch(self, record, epochs) -> None:
        if record.epoch == self.after:
            raise MemoryError


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_both_engines_take_the_same_path(stripes, optimizer):
    settings = FAST | {"optimizer": optimizer, "augment": "flip-crop", "weight_decay": 0.01}
    ours = striate.train(stripes, out="ours", **settings)
    theirs = striate.train(stripes, out="theirs", **(settings | {"engine": "torch", "precision": "32"}))
    columns = ["train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    mine, reference = (run.history()[columns].astype(float) for run in (ours, theirs))
    np.testing.assert_allclose(mine, reference, rtol=CLOSE, atol=CLOSE)
    for name, values in weights(ours).items():
        np.testing.assert_allclose(values, weights(theirs)[name], atol=CLOSE)
    assert ours.metrics()["test"]["accuracy"] == theirs.metrics()["test"]["accuracy"]
    found, expected = ({path.name for path in run.folder.iterdir()} for run in (ours, theirs))
    assert found == expected - {"maps-test.safetensors"}  # class maps are torch's


def test_a_run_repeats_to_the_bit_and_resumes_as_if_never_broken_off(stripes):
    whole = striate.train(stripes, out="whole", **VARIED)
    with pytest.raises(MemoryError):
        striate.train(stripes, out="broken", listener=Stopped(2), **VARIED)
    resumed = striate.train(resume="broken")
    repeated = striate.train(config=whole.folder / "config.yaml", out="again")
    for other in (resumed, repeated):
        assert_same_weights(weights(whole), weights(other))
        assert whole.history().equals(other.history())


def test_a_checkpoint_fits_no_other_engine_or_network(stripes):
    with pytest.raises(MemoryError):
        striate.train(stripes, out="broken", listener=Stopped(1), **FAST)
    with pytest.raises(RunError, match="engine numpy, not torch"):
        striate.train(resume="broken", engine="torch")
    assert (Path("broken/checkpoints") / CHECKPOINT_NAME).is_file()


def test_any_engine_reads_the_bundle_of_any(stripes):
    run = striate.train(stripes, out="run", **FAST)
    on_torch, on_numpy = striate.load(run.model), striate.load(run.model, engine="numpy")
    images = sorted(map(str, (stripes / "down").iterdir()))[:5]
    np.testing.assert_allclose(on_numpy.predict_proba(images), on_torch.predict_proba(images), atol=CLOSE)
    again = striate.evaluate(run.folder, stripes, engine="numpy", out="again")
    assert again.metrics()["test"]["accuracy"] == run.metrics()["test"]["accuracy"]
    table = striate.predict(run.folder, images, engine="numpy").table
    assert table["predicted"].tolist() == [one.label for one in on_torch.predict(images)]


def test_the_command_line_never_imports_torch(stripes):
    refuse = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'torchvision', 'lightning'):\n"
        "            raise AssertionError(f'{name} was imported')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from striate.cli import main\n"
        "main()\n"
    )
    image = str(next((stripes / "down").iterdir()))
    calls = (
        ("train", str(stripes), "--model", "mynet", "--epochs", "1", "--engine", "numpy", "--out", "run"),
        ("evaluate", "run", str(stripes), "--engine", "numpy", "--out", "evaluated"),
        ("evaluate", "run"),
        ("predict", "run", image, "--engine", "numpy"),
    )
    for call in calls:
        done = subprocess.run(
            [sys.executable, "-c", refuse, *call], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert Path("run/report.html").is_file()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": "auto"}, "--lr auto needs PyTorch"),
        ({"precision": "bf16"}, "--precision bf16 needs PyTorch"),
        ({"augment": "photo"}, "'photo' needs PyTorch"),
        ({"tensorboard": True}, "--tensorboard needs PyTorch"),
        ({"device": "cuda"}, "--device cuda needs PyTorch"),
        ({"memory_format": "channels-last"}, "--memory-format channels-last needs PyTorch"),
        ({"engine": "nunpy"}, "numpy"),
        ({"loss": "bce"}, "--loss bce does not fit"),
        ({"early_stopping": 2, "val_fraction": 0}, "--early-stopping needs a validation split"),
    ],
)
def test_what_only_torch_has_is_refused_before_anything_is_written(stripes, settings, message):
    with pytest.raises(UserError, match=message):
        striate.train(stripes, out="run", **(FAST | settings))
    assert not Path("run").exists()


def test_a_training_that_diverges_names_the_layer_and_keeps_the_last_good_weights(stripes, monkeypatch):
    settings = FAST | {"optimizer": "sgd", "lr": 1e30, "schedule": "constant"}
    with pytest.raises(TrainingError, match=r"epoch 1, step 2 .*the output of conv2; try a lower --lr"):
        striate.train(stripes, out="first", **settings)
    explode = lambda plan, step, reductions=0: 1.0 if step < plan.steps_per_epoch else 1e35  # noqa: E731
    monkeypatch.setattr("striate.schedules.Schedule.factor", explode)
    with pytest.raises(TrainingError, match=r"epoch 2.*The weights kept are those of epoch 1.*run/model"):
        striate.train(stripes, out="run", **FAST)
    assert all(np.isfinite(values).all() for values in weights(striate.Run.open("run")).values())


def test_early_stopping_ends_the_training(stripes):
    settings = FAST | {"epochs": 30, "early_stopping": 1, "lr": 0.05, "schedule": "constant"}
    run = striate.train(stripes, out="run", **settings)
    training = run.facts()["training"]
    assert training["stopped"] == "early"
    assert training["epochs_run"] == training["best_epoch"] + 1 < 30
    assert "NumPy with" in training["device"]
