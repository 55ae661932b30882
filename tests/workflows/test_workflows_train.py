"""Whole trainings on small data: what they leave behind, repeat, resume and survive."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import striate
from striate.errors import RunError, TrainingError, UserError
from striate.workflows.listener import Listener

FAST = {"model": "simple-cnn", "epochs": 2, "batch_size": 8}


@pytest.fixture
def stripes(write_stripes, tmp_path):
    return write_stripes(tmp_path / "stripes", {"across": 24, "down": 24, "slanted": 24})


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    """An empty working folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def weights(run):
    return safetensors.numpy.load_file(run.model / "model.safetensors")


def assert_same_weights(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


class Recorder(Listener):
    """Keeps what it hears."""

    def __init__(self):
        self.messages = []
        self.epochs = []

    def message(self, text):
        self.messages.append(text)

    def epoch(self, record, epochs):
        self.epochs.append(record.epoch)


def test_a_run_holds_everything_that_the_design_names(stripes):
    listener = Recorder()
    run = striate.train(stripes, listener=listener, goal=0.75, **FAST)
    assert str(run.folder) == "runs/stripes-simple-cnn"
    found = {path.name for path in run.folder.iterdir()}
    measured = ("answers", "calibration", "confused-pairs", "curves", "per-class")
    tables = {f"{name}-{split}.csv" for name in measured for split in ("val", "test")}
    tables |= {"history.csv", "timing.csv", "samples.csv", "quarantine.csv"}
    facts = {"config.yaml", "run.json", "metrics.json", "audit.json", "environment.json", "report.html"}
    predictions = {
        f"predictions-{split}.{kind}" for split in ("val", "test") for kind in ("csv", "safetensors")
    }
    kept = {"figures", "model", "checkpoints", "kernels.safetensors"}
    assert found == tables | facts | predictions | kept
    assert listener.epochs == [1, 2]
    assert run.facts()["training"]["stopped"] == "finished"
    assert not list(run.folder.rglob("*.tmp"))


def test_a_learnable_set_is_learned_and_the_metrics_are_those_of_the_predictions(stripes):
    run = striate.train(stripes, model="simple-cnn", epochs=12, batch_size=8, lr=3e-3)
    predictions = run.predictions("test")
    correct = np.mean(predictions.predicted == predictions.labels)
    assert correct >= 0.9
    assert run.metrics()["test"]["accuracy"]["value"] == pytest.approx(correct)
    classifier = striate.load(run.model)
    probabilities = classifier.predict_proba([stripes / path for path in predictions.images])
    np.testing.assert_allclose(probabilities, predictions.probabilities, atol=1e-5)


def test_no_image_serves_in_two_splits(stripes):
    samples = striate.train(stripes, **FAST).samples()
    assert samples["path"].is_unique
    assert samples["split"].value_counts().to_dict() == {"train": 51, "val": 9, "test": 12}


def test_the_same_settings_give_the_same_history_and_weights(stripes):
    options = FAST | {"augment": "flip-crop", "model": "mynet", "cutmix": 1.0}
    first = striate.train(stripes, seed=3, **options)
    second = striate.train(config=first.config_file)
    other = striate.train(stripes, seed=4, **options)
    assert first.history_file.read_bytes() == second.history_file.read_bytes()
    assert_same_weights(weights(first), weights(second))
    assert first.history_file.read_bytes() != other.history_file.read_bytes()


def test_settings_and_data_overrule_a_config_file(stripes):
    first = striate.train(stripes, **FAST)
    second = striate.train(config=first.config_file, epochs=1)
    assert second.config() == first.config().model_copy(update={"epochs": 1})


_KILLED = """
import os, signal, sys
import striate
from striate.workflows.listener import Listener

class Killer(Listener):
    def batch(self, progress):
        if progress.epoch == 3 and progress.step == 4:
            os.kill(os.getpid(), signal.SIGKILL)

striate.train(sys.argv[1], out=sys.argv[2], listener=Killer(), model="custom-cnn", epochs=4, batch_size=8,
              mixup=0.4, schedule="one-cycle", augment="flip-crop")
"""


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(write_stripes, tmp_path):
    stripes = write_stripes(tmp_path / "stripes", {"across": 24, "down": 24}, side=16)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, stripes, "killed"], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(striate.Run("killed").history()) == 2
    resumed = striate.train(resume="killed")
    options = {"model": "custom-cnn", "epochs": 4, "batch_size": 8, "mixup": 0.4, "augment": "flip-crop"}
    whole = striate.train(stripes, out="whole", schedule="one-cycle", **options)
    assert_same_weights(weights(resumed), weights(whole))
    assert resumed.history_file.read_bytes() == whole.history_file.read_bytes()


class Interrupter(Listener):
    """Presses Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.at = epoch

    def batch(self, progress):
        if progress.epoch == self.at and progress.step == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_keeps_what_was_learned_and_can_be_resumed(stripes):
    run = striate.train(stripes, listener=Interrupter(2), **FAST | {"epochs": 3})
    assert run.facts()["training"]["stopped"] == "interrupted"
    assert len(run.history()) == 1
    assert run.report.is_file()
    assert striate.load(run.model).class_names == ("across", "down", "slanted")
    resumed = striate.train(resume=run.folder)
    whole = striate.train(stripes, **FAST | {"epochs": 3})
    assert_same_weights(weights(resumed), weights(whole))


def test_ctrl_c_in_the_first_epoch_keeps_the_weights_as_they_stand_and_resumes_from_the_start(stripes):
    run = striate.train(stripes, listener=Interrupter(1), **FAST)
    assert run.facts()["training"]["stopped"] == "interrupted"
    assert run.report.is_file()
    resumed = striate.train(resume=run.folder)
    assert_same_weights(weights(resumed), weights(striate.train(stripes, **FAST)))


def test_a_diverging_training_stops_and_leaves_nothing_if_nothing_was_learned(stripes, work):
    with pytest.raises(TrainingError, match="not finite"):
        striate.train(stripes, optimizer="sgd", lr=1e30, schedule="constant", **FAST)
    assert list(work.iterdir()) == []


def test_a_training_that_diverges_later_keeps_the_last_good_weights(stripes):
    options = {"optimizer": "sgd", "lr": 300.0, "schedule": "constant", "epochs": 40, "batch_size": 51}
    with pytest.raises(TrainingError, match="are kept in") as caught:
        striate.train(stripes, out="run", model="engine-cnn", **options)
    run = striate.Run("run")
    assert run.report.is_file()
    assert str(run.model) in str(caught.value)
    assert str(caught.value).count("weights") == 1
    assert all(np.isfinite(array).all() for array in weights(run).values())
    with pytest.raises(RunError, match="would diverge again"):
        striate.train(resume="run")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"model": "custom-cnn"}, "begun with model simple-cnn, not custom-cnn"),
        ({"epochs": 9}, "begun with epochs 3, not 9"),
        ({"data": "digits"}, "begun with data"),
        ({"out": "elsewhere"}, "leave out --out"),
    ],
)
def test_resuming_with_other_settings_is_refused(stripes, settings, text):
    run = striate.train(stripes, out="run", listener=Interrupter(2), **FAST | {"epochs": 3})
    before = run.history_file.read_bytes()
    with pytest.raises(UserError, match=text):
        striate.train(resume="run", **settings)
    assert run.history_file.read_bytes() == before


def test_resuming_a_finished_run_or_changed_data_is_refused(stripes, write_stripes):
    striate.train(stripes, out="done", **FAST)
    with pytest.raises(RunError, match="is finished"):
        striate.train(resume="done")
    striate.train(stripes, out="cut", listener=Interrupter(2), **FAST)
    (stripes / "down" / "000.png").write_bytes((stripes / "across" / "000.png").read_bytes())
    with pytest.raises(RunError, match="has changed"):
        striate.train(resume="cut")


def test_a_run_that_was_cut_short_after_training_is_resumed_to_its_report(stripes):
    run = striate.train(stripes, out="run", **FAST)
    expected = weights(run)
    run.report.unlink()
    resumed = striate.train(resume="run")
    assert resumed.report.is_file()
    assert_same_weights(weights(resumed), expected)


def test_a_folder_called_like_a_network_does_not_hide_it(stripes, work):
    (work / "simple-cnn").mkdir()
    run = striate.train(stripes, out="run", **FAST | {"epochs": 1})
    assert run.config().model == "simple-cnn"


def test_a_damaged_checkpoint_is_refused(stripes):
    run = striate.train(stripes, out="cut", listener=Interrupter(2), **FAST)
    (checkpoint,) = run.checkpoints.iterdir()
    content = bytearray(checkpoint.read_bytes())
    content[-5] ^= 1
    checkpoint.write_bytes(bytes(content))
    with pytest.raises(RunError, match="damaged"):
        striate.train(resume="cut")


def test_a_full_disk_is_a_users_error_that_leaves_nothing(stripes, work):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UserError, match="File too large"):
            striate.train(stripes, **FAST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(work.iterdir()) == []


def test_the_default_batch_fits_a_small_set_and_says_so(write_stripes, tmp_path):
    listener = Recorder()
    stripes = write_stripes(tmp_path / "few", {"across": 8, "down": 8})
    run = striate.train(stripes, model="simple-cnn", epochs=1, listener=listener)
    assert run.config().batch_size == len(run.samples().query("split == 'train'")) == 12
    assert any("batch size 12" in message for message in listener.messages)


def test_without_validation_everything_is_trained_and_the_last_epoch_kept(stripes):
    run = striate.train(stripes, val_fraction=0, **FAST)
    assert set(run.samples()["split"]) == {"train", "test"}
    assert run.facts()["training"]["best_epoch"] == 2
    assert list(run.metrics()) == ["test"]


def test_a_network_of_ones_own_trains_like_a_named_one(stripes, work):
    (work / "net.yaml").write_text(
        "name: tiny\noutput: logits\nlayers:\n"
        "  - conv2d: {out_channels: 4, kernel_size: 3}\n  - relu\n  - flatten\n"
        "  - linear: {out_features: num_classes}\n"
    )
    run = striate.train(stripes, **FAST | {"model": "net.yaml"})
    assert run.facts()["network"]["name"] == "tiny"
    assert striate.load(run.model).predict(stripes / "down" / "000.png")[0].label in (
        "across",
        "down",
        "slanted",
    )


def test_the_learning_rate_finder_chooses_one_that_is_recorded(stripes):
    listener = Recorder()
    run = striate.train(stripes, lr="auto", listener=listener, **FAST)
    assert isinstance(run.config().lr, float)
    assert any("learning rate" in message for message in listener.messages)


@pytest.mark.parametrize("net", ["two-digit", "fc-net"])
def test_nets_with_other_outputs_train_and_evaluate(net):
    run = striate.train("digits", model=net, classes=("4", "9"), epochs=2)
    assert run.predictions("test").logits.shape[1] == 2
    assert run.predictions("test").probabilities.sum(axis=1) == pytest.approx(1)


def test_a_network_with_one_output_refuses_three_classes(stripes, work):
    with pytest.raises(UserError, match="one output"):
        striate.train(stripes, **FAST | {"model": "two-digit"})
    assert list(work.iterdir()) == []


def test_files_that_do_not_decode_are_quarantined_and_never_stop_a_run(stripes):
    (stripes / "down" / "torn.png").write_bytes((stripes / "down" / "000.png").read_bytes()[:60])
    (stripes / "down" / "notes.txt").write_text("not an image")
    run = striate.train(stripes, **FAST)
    assert run.quarantine()["path"].tolist() == ["down/torn.png"]
    assert run.quarantine()["reason"].str.len().min() > 5


def test_tensorboard_events_are_written_on_request(stripes):
    run = striate.train(stripes, tensorboard=True, **FAST)
    assert [path.name.startswith("events") for path in run.tensorboard.iterdir()] == [True]


def test_a_classifier_runs_where_no_weights_can_be_fetched(stripes):
    run = striate.train(stripes, **FAST)
    code = (
        "import socket, sys; socket.socket.connect = None; import striate; "
        "print(striate.load(sys.argv[1]).predict(sys.argv[2])[0].label)"
    )
    image = next(Path(stripes).rglob("*.png"))
    done = subprocess.run(
        [sys.executable, "-c", code, run.model, image], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("across", "down", "slanted")


def test_large_images_are_streamed_and_end_in_the_same_place(write_stripes, tmp_path):
    stripes = write_stripes(tmp_path / "large", {"across": 14, "down": 14}, side=80)
    options = {"model": "simple-cnn", "epochs": 2, "batch_size": 8, "image_size": 72, "augment": "photo"}
    first = striate.train(stripes, num_workers=0, **options)
    second = striate.train(stripes, num_workers=2, **options)
    assert first.facts()["data"]["preprocess"]["height"] == 72
    assert first.history_file.read_bytes() == second.history_file.read_bytes()
    assert_same_weights(weights(first), weights(second))
    np.testing.assert_array_equal(first.predictions("test").logits, second.predictions("test").logits)
