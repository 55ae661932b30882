"""Weights from files: every form that users have, and none that runs anything."""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch

from striate import backbones
from striate.backbones import weight_files
from striate.errors import UserError

SHAPE = (3, 64, 64)
NAME = "timm/test_resnet"


class Canary:
    """Unpickled, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture(scope="module")
def tensors():
    """A network's tensors as its library names them, with a head for a thousand classes."""
    network = backbones.find(NAME).start(SHAPE, 1000, seed=7).network
    return network.state_dict()


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def start(path: Path, name: str = NAME):
    return backbones.find(name).start(SHAPE, 3, weights=str(path))


def assert_taken(network, tensors):
    own = network.state_dict()
    assert own["fc.weight"].shape == (3, tensors["fc.weight"].shape[1])
    for name, tensor in tensors.items():
        assert name.startswith("fc.") or torch.equal(own[name], tensor), name


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: tensors,
        lambda tensors: {"state_dict": tensors, "epoch": 3},
        lambda tensors: {"model": {f"module.{name}": tensor for name, tensor in tensors.items()}},
        lambda tensors: {name: tensor.double() for name, tensor in tensors.items() if "fc" not in name},
        lambda tensors: {name: t for name, t in tensors.items() if "num_batches_tracked" not in name},
    ],
    ids=["plain", "with its training", "parallel", "without head, float64", "without counters"],
)
def test_a_state_dict_is_taken_whatever_is_around_it(tmp_path, tensors, wrap):
    path = saved(tmp_path / "w.pth", wrap(tensors))
    network, source = start(path)
    assert_taken(network, tensors)
    assert network.state_dict()["conv1.0.weight"].dtype == torch.float32
    assert source == f"w.pth, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_safetensors_are_taken(tmp_path, tensors):
    safetensors.torch.save_file(tensors, tmp_path / "w.safetensors")
    assert_taken(start(tmp_path / "w.safetensors").network, tensors)


def test_a_net_of_our_own_takes_its_weights_but_for_the_head(tmp_path):
    model = backbones.find("simple-cnn")
    first = model.start((3, 32, 32), 10, seed=1).network
    safetensors.torch.save_file(first.state_dict(), tmp_path / "w.safetensors")
    second = model.start((3, 32, 32), 4, seed=2, weights=str(tmp_path / "w.safetensors")).network
    for name, tensor in first.state_dict().items():
        assert name.startswith("linear") or torch.equal(second.state_dict()[name], tensor)


def test_a_file_with_code_in_it_is_refused_and_nothing_runs(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps({"fc.weight": Canary(tmp_path / "ran")}, protocol=2))
    with pytest.raises(UserError, match=r"holds more than tensors.*refused, nothing in it was run"):
        start(path)
    whole = saved(tmp_path / "zip.pth", {"fc.weight": torch.zeros(1), "more": Canary(tmp_path / "ran")})
    with pytest.raises(UserError, match=r"holds more than tensors"):
        start(whole)
    assert not (tmp_path / "ran").exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / "ran").exists()  # the canary does sing


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda t: t.pop("layer1.0.conv1.weight"), r"1 missing (layer1.0.conv1.weight)"),
        (lambda t: t.update({"extra.weight": torch.zeros(2)}), "1 not the network's (extra.weight)"),
        (
            lambda t: t.update({"conv1.0.weight": torch.zeros(1, 1, 3, 3)}),
            "1 of another shape (conv1.0.weight is (1, 1, 3, 3) instead of (",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_tensor_by_tensor(tmp_path, tensors, change, text):
    changed = dict(tensors)
    change(changed)
    with pytest.raises(UserError, match=re.escape(text)) as refused:
        start(saved(tmp_path / "w.pth", changed))
    assert "the weights in w.pth do not fit test_resnet" in str(refused.value)


def test_weights_of_another_network_are_told_by_number_and_first_names(tmp_path, tensors):
    with pytest.raises(UserError, match=r"\d+ missing \(.*, .*, .*, \.\.\.\); \d+ not the network's"):
        start(saved(tmp_path / "w.pth", tensors), "squeezenet1_1")


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("w.safetensors", b"\x08\0\0\0\0\0\0\0{}      torn", "is not a whole file of weights"),
        ("w.pth", b"", "is not a whole file of weights"),
        ("w.pth", b"PK\x03\x04torn", "is not a whole file of weights"),
    ],
)
def test_a_torn_file_is_refused(tmp_path, name, content, text):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=text):
        start(tmp_path / name)


def test_a_file_that_is_missing_empty_or_not_finite_is_refused(tmp_path, tensors):
    with pytest.raises(UserError, match=r"cannot read the weights .*nowhere\.pth: No such file"):
        start(tmp_path / "nowhere.pth")
    with pytest.raises(UserError, match="holds no named tensors"):
        start(saved(tmp_path / "w.pth", [torch.zeros(1)]))
    broken = dict(tensors) | {"bn1.weight": tensors["bn1.weight"] * float("nan")}
    with pytest.raises(UserError, match=r"holds NaN or infinity in bn1\.weight"):
        start(saved(tmp_path / "w.pth", broken))


def test_auxiliary_classifiers_and_old_names_are_understood():
    aux = backbones.find("googlenet")
    shapes = {name: tensor.shape for name, tensor in aux.start((3, 64, 64), 3).network.state_dict().items()}
    found = weight_files.Weights({name: torch.zeros(shape) for name, shape in shapes.items()}, "x")
    found.tensors["aux1.fc1.weight"] = torch.zeros(1)
    from striate.backbones.libraries import open_library

    library = open_library("torchvision")
    fitting = weight_files.fit(found, shapes, lambda name: name.startswith("fc."), "x", library.IGNORED)
    assert set(fitting) == {name for name in shapes if not name.startswith("fc.")}
    old = "features.denseblock1.denselayer2.norm.1.weight"
    assert library.modern(old) == "features.denseblock1.denselayer2.norm1.weight"


@pytest.mark.parametrize("name", ["resnet18", NAME])
def test_pretrained_weights_without_a_network_are_refused_in_a_line(name, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    for proxy in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
    with pytest.raises(UserError) as refused:
        backbones.find(name).start(SHAPE, 3, weights="pretrained")
    text = str(refused.value)
    assert text.startswith(f"cannot fetch the pretrained weights of {name.removeprefix('timm/')} from ")
    assert "no route. Give --weights FILE, --weights random, or --model lite0" in text
    assert "\n" not in text


def refuse(*_: object, **__: object) -> None:
    raise OSError("no route")


def test_weights_in_the_cache_of_the_hub_are_read_without_asking_it(monkeypatch, tmp_path):
    model = backbones.find(NAME)
    tensors = model.start((3, 160, 160), 1000, seed=3).network.state_dict()
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache", lambda *_: str(tmp_path / "model.safetensors")
    )
    network, source = model.start(SHAPE, 3, weights="pretrained")
    assert_taken(network, tensors)
    assert "timm/test_resnet" in source


def test_weights_in_the_cache_of_torch_are_read_with_their_hash_checked_and_no_code(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("socket.create_connection", refuse)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    model = backbones.find("squeezenet1_1")
    tensors = model.start(SHAPE, 1000, seed=3).network.state_dict()
    cached = saved(folder / "squeezenet1_1-b8a52dc0.pth", tensors)
    network, source = model.start(SHAPE, 3, weights="pretrained")
    assert torch.equal(network.state_dict()["features.0.weight"], tensors["features.0.weight"])
    assert source.endswith("SqueezeNet1_1_Weights.IMAGENET1K_V1")
    cached.write_bytes(pickle.dumps({"x": Canary(tmp_path / "ran")}, protocol=2))
    with pytest.raises(UserError, match="holds more than tensors: refused"):
        model.start(SHAPE, 3, weights="pretrained")
    assert not (tmp_path / "ran").exists()


def test_a_net_without_pretrained_weights_says_so():
    with pytest.raises(UserError, match="mynet has no pretrained weights"):
        backbones.find("mynet").start((3, 32, 32), 3, weights="pretrained")
    with pytest.raises(UserError, match="timm has no pretrained weights of dpn48b"):
        backbones.find("timm/dpn48b").start(SHAPE, 3, weights="pretrained")
