"""Photos without a named network: a head on kept features, by command and from Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import striate
from striate.config import TrainConfig
from striate.errors import UserError
from striate.workflows import on_features
from striate.workflows.listener import Listener
from striate.workflows.transfer import resolve_model

SIDE = 72
AGREES = 2e-3  # of a logit: ONNX Runtime and torch round differently

SECOND_RUN = """
import socket, sys
def refuse(*arguments, **options):
    raise AssertionError("an attempt to connect")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import striate
run = striate.train(sys.argv[1], out=sys.argv[2])
assert run.facts()["training"]["computed_features"] == int(sys.argv[3]), run.facts()["training"]
assert "torch" not in sys.modules
"""


def weights(run):
    return (run.model / "model.safetensors").read_bytes()


KILLED_RUN = """
import os, sys
import striate
from striate.workflows import on_features
on_features.fit = lambda *arguments: os._exit(9)
striate.train(sys.argv[1], out=sys.argv[2])
"""


class Recorder(Listener):
    """Keeps what it hears."""

    def __init__(self):
        self.messages = []

    def message(self, text):
        self.messages.append(text)

    def remarks(self, texts):
        self.messages.extend(texts)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A cache for this file: the network is exported once."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(autouse=True)
def shared_cache(kept, monkeypatch, tmp_path):
    monkeypatch.setenv("STRIATE_CACHE", str(kept))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Sixty small photos: fine and coarse checks in random colours."""
    root = tmp_path_factory.mktemp("data") / "photos"
    generator = np.random.Generator(np.random.PCG64(0))
    for name, cell in (("fine", 3), ("coarse", 12)):
        (root / name).mkdir(parents=True)
        for number in range(30):
            grid = np.indices((SIDE, SIDE + 20)).sum(axis=0) // cell % 2
            colours = generator.integers(0, 256, (2, 3))
            noise = generator.normal(0, 12, (*grid.shape, 3))
            pixels = np.clip(colours[grid] + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.jpg")
    return root


@pytest.fixture(scope="module")
def trained(photos, kept, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(kept))
        recorder = Recorder()
        run = striate.train(photos, out=tmp_path_factory.mktemp("run") / "run", listener=recorder)
        return run, recorder.messages


def test_photos_get_features_of_the_embedded_network(trained):
    run, messages = trained
    settings = run.config()
    assert (settings.model, settings.strategy) == ("efficientnet-lite0-levels", "features")
    assert run.metrics()["test"]["accuracy"]["value"] > 0.9
    training = run.facts()["training"]
    assert (training["stopped"], training["computed_features"], training["folds"]) == ("finished", 60, 5)
    preprocess = run.facts()["data"]["preprocess"]
    assert (preprocess["height"], preprocess["interpolation"], preprocess["fit"]) == (
        224,
        "bicubic",
        "squash",
    )
    assert run.facts()["network"]["trainable_parameters"] == 2 * (2176 + 1)
    assert any("enlarged" in message for message in messages)
    assert run.report.is_file()


def test_the_bundle_gives_the_logits_that_were_stored(trained, photos):
    run, _ = trained
    stored = run.predictions("test")
    classifier = striate.load(run.model)
    found = classifier.predict_logits([photos / path for path in stored.images])
    temperature = classifier.record.temperature
    np.testing.assert_allclose(found * temperature, stored.logits, atol=AGREES, rtol=AGREES)


def test_a_second_run_needs_no_torch_and_no_network_and_computes_nothing(trained, photos, tmp_path):
    first, _ = trained
    out = tmp_path / "again"
    subprocess.run([sys.executable, "-c", SECOND_RUN, photos, out, "0"], check=True, timeout=120)
    second = striate.Run.open(out)
    np.testing.assert_array_equal(first.predictions("test").logits, second.predictions("test").logits)
    assert (first.model / "model.safetensors").read_bytes() == (
        second.model / "model.safetensors"
    ).read_bytes()


def test_a_changed_file_is_noticed_though_its_name_size_and_time_stay(trained, photos, tmp_path):
    copied = tmp_path / "photos"
    shutil.copytree(photos, copied)
    file = copied / "fine" / "3.jpg"
    times = os.stat(file)
    content = bytearray(file.read_bytes())
    content[-30] ^= 1  # in the compressed pixels
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    subprocess.run([sys.executable, "-c", SECOND_RUN, copied, tmp_path / "run", "1"], check=True, timeout=120)


def test_repeating_by_config_gives_the_same_weights(trained, tmp_path):
    run, _ = trained
    again = striate.train(config=run.folder / "config.yaml", out=tmp_path / "again")
    assert weights(run) == weights(again)


def test_a_run_that_was_killed_is_resumed(trained, photos, tmp_path):
    run = tmp_path / "run"
    killed = subprocess.run([sys.executable, "-c", KILLED_RUN, photos, run], check=False, timeout=120)
    assert killed.returncode == 9
    assert not (run / "report.html").exists()
    resumed = striate.train(resume=run)
    np.testing.assert_array_equal(resumed.predictions("test").logits, trained[0].predictions("test").logits)


def test_groups_stay_together_and_settings_of_gradient_steps_are_said_to_have_no_effect(photos, tmp_path):
    recorder = Recorder()
    pattern = r"(\d)\d?\.jpg"
    run = striate.train(
        photos, epochs=3, augment="photo", group_by=pattern, out=tmp_path / "run", listener=recorder
    )
    assert any("Without effect" in text and "--epochs, --augment" in text for text in recorder.messages)
    samples = run.samples()
    groups = samples["path"].str.extract(pattern)[0]
    assert len(set(zip(groups, samples["split"], strict=True))) == groups.nunique()


@pytest.mark.parametrize(
    "settings",
    [
        {"hard_share": 0.5},
        {"sizes": "64,224"},
        {"loss": "bce"},
        {"test_views": "flip"},
        {"first_layer": "whitening"},
        {"precision": "32"},
        {"optimizer": "sgd", "bias_lr": 0.5},
    ],
)
def test_every_setting_without_effect_on_features_is_named(settings):
    (message,) = on_features._check(TrainConfig(data="x", **settings))
    assert all(f"--{name.replace('_', '-')}" in message for name in settings)


def test_settings_with_an_effect_on_features_are_not_complained_of():
    used = {"goal": 0.9, "head_hidden": 8, "head_dropout": 0.5, "feature_views": "flip", "audit": False}
    assert on_features._check(TrainConfig(data="x", **used)) == []


def test_another_head_is_refused_with_the_way_out(photos, tmp_path):
    with pytest.raises(UserError, match="choose --strategy head"):
        striate.train(photos, head_output="logit", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "model", "strategy"),
    [
        ({}, "efficientnet-lite0-levels", "features"),
        ({"strategy": "full"}, "efficientnet-lite0-levels", "full"),
        ({"strategy": "scratch"}, "mynet", "scratch"),
        ({"engine": "numpy"}, "mynet", "auto"),
        ({"permute_pixels": 1}, "mynet", "auto"),
        ({"model": "vgg6"}, "vgg6", "auto"),
    ],
)
def test_the_network_for_photos_follows_from_the_settings(photos, settings, model, strategy):
    config, _ = resolve_model(TrainConfig(data=str(photos), **settings), Listener())
    assert (config.model, config.strategy) == (model, strategy)


def test_photos_in_grey_are_learned_from_scratch_and_that_is_said(photos):
    heard = Recorder()
    config, _ = resolve_model(TrainConfig(data=str(photos), channels="grey"), heard)
    assert config.model == "mynet"
    assert any("without --channels grey its features" in text for text in heard.messages)


def test_small_images_are_learned_from_scratch(write_stripes, tmp_path):
    small = write_stripes(tmp_path / "small", {"across": 5, "down": 5}, side=32)
    config, found = resolve_model(TrainConfig(data=str(small)), Listener())
    assert (config.model, found.median_side) == ("mynet", 32)


def test_grey_photos_are_converted_and_that_is_said(photos, tmp_path):
    grey = tmp_path / "grey"
    for path in photos.rglob("*.jpg"):
        target = grey / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).convert("L").save(target)
    recorder = Recorder()
    run = striate.train(grey, out=tmp_path / "run", listener=recorder)
    assert run.facts()["data"]["preprocess"]["channels"] == 3
    assert any("The images are grey" in text for text in recorder.messages)
