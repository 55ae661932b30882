import threading
from hashlib import sha256

import numpy as np
import pytest
import torch
from torch import nn

from striate.data import ArrayPixels
from striate.features import FeatureStore, Frozen, OnnxExtractor, cached_features, onnx_file
from striate.features.onnx_file import disagreement, export
from striate.schemas import Preprocess

SIDE = 16
PREPROCESS = Preprocess(channels=3, height=SIDE, width=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3)


def network(seed=0):
    torch.manual_seed(seed)
    layers = nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers).eval()


def pictures(n=10, seed=0):
    images = np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (n, 3, SIDE, SIDE), dtype=np.uint8)
    contents = b"".join(sha256(image.tobytes()).digest() for image in images)
    return images, np.frombuffer(contents, np.uint8).reshape(n, 32).copy()


def direct(images, module):
    with torch.inference_mode():
        return module(torch.from_numpy(PREPROCESS.normalize(images))).numpy()


class Counting:
    """Builds the network, and counts how often it is asked to."""

    def __init__(self, module):
        self.module = module
        self.built = 0

    def __call__(self):
        self.built += 1
        return self.module


_exported = {}


@pytest.fixture(autouse=True)
def exported_once(monkeypatch):
    """Exporting takes seconds: each of the two networks is exported once for all tests."""

    def remembered(module, example):
        key = module[0].weight.detach().numpy().tobytes()
        if key not in _exported:
            _exported[key] = export(module, example)
        return _exported[key]

    monkeypatch.setattr(onnx_file, "export", remembered)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_features_agree_with_torch_and_come_from_disk_the_second_time(own_cache):
    images, digests = pictures()
    build = Counting(network())
    frozen = Frozen("a" * 64, build)
    first = cached_features(ArrayPixels(images), digests, PREPROCESS, frozen)
    assert disagreement(first.values, direct(images, build.module)) < 1e-5
    assert (first.computed, first.messages, build.built) == (10, (), 1)
    again = cached_features(ArrayPixels(images), digests, PREPROCESS, frozen)
    np.testing.assert_array_equal(again.values, first.values)
    assert (again.computed, build.built) == (0, 1)
    # One image more: it alone is computed, by the ONNX file that was kept.
    more, more_digests = pictures(11)
    more[:10], more_digests[:10] = images, digests
    third = cached_features(ArrayPixels(more), more_digests, PREPROCESS, frozen)
    assert (third.computed, build.built) == (1, 1)
    np.testing.assert_array_equal(third.values[:10], first.values)
    assert disagreement(third.values, direct(more, build.module)) < 1e-5


def test_another_preprocessing_or_network_has_features_of_its_own():
    images, digests = pictures(3)
    first = cached_features(ArrayPixels(images), digests, PREPROCESS, Frozen("a" * 64, network))
    other = PREPROCESS.model_copy(update={"mean": (0.4,) * 3})
    assert cached_features(ArrayPixels(images), digests, other, Frozen("a" * 64, network)).computed == 3
    second = cached_features(ArrayPixels(images), digests, PREPROCESS, Frozen("b" * 64, lambda: network(1)))
    assert second.computed == 3
    assert not np.allclose(first.values, second.values)


def test_an_onnx_file_that_disagrees_is_not_used_and_that_is_said(monkeypatch):
    images, digests = pictures(3)
    wrong = onnx_file.export(network(1), PREPROCESS.normalize(images))
    monkeypatch.setattr(onnx_file, "export", lambda *_: wrong)
    found = cached_features(ArrayPixels(images), digests, PREPROCESS, Frozen("c" * 64, network))
    assert disagreement(found.values, direct(images, network())) < 1e-5
    assert "computed by PyTorch, which is slower: its ONNX form gives other features" in found.messages[0]


def test_a_network_that_cannot_be_exported_is_computed_by_torch(monkeypatch):
    def fail(*_):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(onnx_file, "export", fail)
    images, digests = pictures(3)
    found = cached_features(ArrayPixels(images), digests, PREPROCESS, Frozen("d" * 64, network))
    assert disagreement(found.values, direct(images, network())) < 1e-5
    assert "it cannot be exported (no such operator)" in found.messages[0]


def test_an_altered_onnx_file_is_made_again(own_cache):
    images, digests = pictures(2)
    build = Counting(network())
    cached_features(ArrayPixels(images), digests, PREPROCESS, Frozen("e" * 64, build))
    (file,) = (own_cache / "backbones").glob("*.onnx")
    file.write_bytes(onnx_file.export(network(1), PREPROCESS.normalize(images)))
    assert onnx_file.read("e" * 64) is None
    others, other_digests = pictures(2, seed=9)
    found = cached_features(ArrayPixels(others), other_digests, PREPROCESS, Frozen("e" * 64, build))
    assert build.built == 2
    assert disagreement(found.values, direct(others, build.module)) < 1e-5


def test_equal_files_are_kept_once_and_found_for_each():
    store = FeatureStore("k" * 40)
    digests = np.zeros((2, 32), np.uint8)
    digests[1] = 1
    assert store.add(digests, np.array([[1, 2], [3, 4]], np.float32)) is None
    found = store.find(digests[[1, 0, 1]])
    np.testing.assert_array_equal(np.stack([found[n] for n in range(3)]), [[3, 4], [1, 2], [3, 4]])
    assert store.find(digests + 5) == {}


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "renamed"])
def test_a_torn_shard_counts_as_absent(damage):
    store = FeatureStore("k" * 40)
    digests = np.zeros((1, 32), np.uint8)
    store.add(digests, np.ones((1, 4), np.float32))
    (shard,) = store.folder.iterdir()
    content = shard.read_bytes()
    if damage == "renamed":
        shard.rename(shard.with_name("0" * 40 + ".safetensors"))
    else:
        new = {"cut": content[:-3], "changed": content[:-1] + b"\x01", "empty": b""}[damage]
        shard.write_bytes(new)
    assert store.find(digests) == {}
    assert store.add(digests, np.ones((1, 4), np.float32)) is None
    assert list(store.find(digests)) == [0]


def test_two_runs_that_write_at_once_do_not_disturb_one_another():
    digests = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (40, 32), dtype=np.uint8)

    def write(first):
        for number in range(first, 40):
            FeatureStore("k" * 40).add(digests[[number]], np.full((1, 3), number, np.float32))

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = FeatureStore("k" * 40).find(digests)
    assert [int(found[number][0]) for number in range(40)] == list(range(40))


def test_a_cache_that_cannot_be_written_is_said_and_the_work_goes_on(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("STRIATE_CACHE", str(blocked))
    images, digests = pictures(3)
    found = cached_features(ArrayPixels(images), digests, PREPROCESS, Frozen("f" * 64, network))
    assert found.values.shape == (3, 6)
    assert any("not kept for the next time" in message for message in found.messages)


def test_features_of_an_image_do_not_depend_on_its_neighbours():
    images, _ = pictures(6)
    extractor = OnnxExtractor(onnx_file.export(network(), PREPROCESS.normalize(images)))
    one_by_one = np.concatenate([extractor(PREPROCESS.normalize(images[[n]])) for n in range(6)])
    assert disagreement(extractor(PREPROCESS.normalize(images)), one_by_one) < 1e-5
