"""Transfer learning from the first command to the last: what is trained, kept, repeated, resumed and said."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from PIL import Image

import striate
from striate import backbones
from striate.errors import BundleError, RunError, UserError
from striate.training import read_checkpoint
from striate.workflows.listener import Listener

NET = "timm/test_resnet"
SIDE = 32
FAST = {"model": NET, "epochs": 2, "batch_size": 8, "image_size": SIDE, "audit": False}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights that stand for pretrained ones."""
    network = backbones.find(NET).start((3, SIDE, SIDE), 10, seed=9).network
    path = tmp_path_factory.mktemp("weights") / "learned.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def stripes(tmp_path_factory):
    """Noise of two colours, a class each."""
    root = tmp_path_factory.mktemp("data") / "stripes"
    generator = np.random.default_rng(0)
    for number in range(32):
        colour = ("red", "blue")[number % 2]
        pixels = generator.integers(0, 120, (12, 12, 3), np.uint8)
        pixels[..., 0 if colour == "red" else 2] += 100
        (root / colour).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / colour / f"{number:02d}.png")
    return root


@pytest.fixture(scope="module")
def trained(stripes, weights, tmp_path_factory):
    """A head trained on the file of weights."""
    out = tmp_path_factory.mktemp("run") / "head"
    return striate.train(stripes, out=out, strategy="head", weights=str(weights), **FAST)


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_network(monkeypatch):
    def blocked(*_: object, **__: object) -> None:
        raise AssertionError("an attempt to connect")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, blocked)
    monkeypatch.setattr(socket.socket, "connect", blocked)


class Recorder(Listener):
    """Keeps what it hears."""

    def __init__(self):
        self.messages = []

    def message(self, text):
        self.messages.append(text)


def arrays(run):
    return safetensors.numpy.load_file(run.model / "model.safetensors")


def test_only_the_head_is_trained_and_the_run_tells_where_the_rest_comes_from(trained, weights):
    given = torch.load(weights, weights_only=True)
    made = arrays(trained)
    changed = {name for name, array in made.items() if not np.array_equal(array, given[name].numpy())}
    assert changed == {"fc.weight", "fc.bias"}
    facts = trained.facts()["network"]
    assert (facts["strategy"], facts["trainable_parameters"]) == ("head", made["fc.weight"].size + 2)
    assert facts["weights"].startswith("learned.pth, SHA-256 ")


def test_a_bundle_of_a_backbone_loads_and_evaluates_without_a_network(trained, stripes, no_network, work):
    classifier = striate.load(trained.model)
    record = classifier.record
    assert (record.spec, record.backbone["library"], record.backbone["name"]) == (None, "timm", "test_resnet")
    assert record.initial_weights == trained.facts()["network"]["weights"]
    expected = trained.calibrated("test")
    found = classifier.predict_proba([stripes / path for path in expected.images])
    np.testing.assert_allclose(found, expected.probabilities, atol=1e-5)
    again = striate.evaluate(trained.folder, stripes, out=work / "again")
    assert again.metrics()["test"]["accuracy"] == trained.metrics()["test"]["accuracy"]
    with pytest.raises(UserError, match="only PyTorch computes; choose --engine torch, not numpy"):
        striate.load(trained.model, engine="numpy")
    with pytest.raises(UserError, match="the glass box has no description of"):
        striate.verify(trained.folder, stripes)


def test_a_run_is_repeated_from_its_settings_and_resumed_without_the_file_of_weights(trained, weights, work):
    class Cut(Listener):
        def epoch(self, record, epochs):
            raise MemoryError

    moved = work / "moved.pth"
    moved.write_bytes(weights.read_bytes())
    with pytest.raises(MemoryError):
        striate.train(config=trained.config_file, weights=str(moved), out="cut", listener=Cut())
    checkpoint = Path("cut", "checkpoints", "last.safetensors")
    assert read_checkpoint(checkpoint).epoch == 1

    shutil.copytree("cut", "begun")  # as if killed in its first epoch
    Path("begun", "checkpoints", "last.safetensors").unlink()
    changed = torch.load(moved, weights_only=True)
    changed["bn1.bias"] += 1
    torch.save(changed, moved)
    with pytest.raises(RunError, match=r"moved\.pth has changed since begun was begun"):
        striate.train(resume="begun")

    moved.unlink()
    resumed = striate.train(resume="cut")
    assert resumed.history_file.read_bytes() == trained.history_file.read_bytes()
    for name, array in arrays(trained).items():
        np.testing.assert_array_equal(array, arrays(resumed)[name], err_msg=name)


def test_grey_images_and_random_weights_are_spoken_of(stripes, work):
    folder = work / "grey"
    shutil.copytree(stripes, folder)
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            grey = image.convert("L")
        grey.save(path)
    listener = Recorder()
    settings = FAST | {"epochs": 1}
    run = striate.train(folder, out="run", listener=listener, strategy="norm", weights="random", **settings)
    assert run.facts()["data"]["preprocess"]["channels"] == 3
    assert run.facts()["network"]["weights"] == "random"
    for text in ("grey", "smaller (12 pixels) than the input of test_resnet (32)", "have learned nothing"):
        assert any(text in message for message in listener.messages), text
    with pytest.raises(UserError, match="leave out --channels grey"):
        striate.train(folder, out="other", channels="grey", weights="random", **FAST)
    assert not Path("other").exists()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"model": "timm/test_resnt"}, "did you mean"),
        ({"strategy": "scratch", "weights": "pretrained"}, "begins with random weights"),
        ({"strategy": "head", "weights": "nowhere.pth"}, "cannot read the weights nowhere.pth"),
        ({"strategy": "head", "weights": "random", "engine": "numpy"}, "--strategy head needs PyTorch"),
        ({"strategy": "scratch", "engine": "numpy"}, "comes from timm and needs PyTorch"),
        ({"strategy": "full", "head_epochs": 1, "unfreeze_epochs": 1}, "but training has 2 epochs"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(stripes, settings, text, work):
    with pytest.raises(UserError) as refused:
        striate.train(stripes, **FAST | settings)
    assert text in str(refused.value)
    assert not list(work.iterdir())


def test_a_bundle_of_an_unknown_network_is_refused(trained, work):
    shutil.copytree(trained.model, work / "model")
    file = work / "model" / "bundle.json"
    file.write_text(
        file.read_text("utf-8").replace('"name": "test_resnet"', '"name": "test_resnext"'), "utf-8"
    )
    with pytest.raises(BundleError, match=r"does not fit together: timm .* cannot build test_resnext"):
        striate.load(work / "model")
