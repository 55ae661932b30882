import gzip
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from striate.config import DataConfig
from striate.data import NAMES, named, prepare
from striate.data.idx import read_idx
from striate.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"


def idx(array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def no_network(monkeypatch):
    """Every connection is refused at once, as by a machine without a network."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)


def write_mnist(root, folder="MNIST", packed=False):
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    random = np.random.default_rng(0)
    for prefix, n in (("train", 100), ("t10k", 40)):
        parts = {
            f"{prefix}-images-idx3-ubyte": random.integers(0, 256, (n, 28, 28)),
            f"{prefix}-labels-idx1-ubyte": np.arange(n) % 10,
        }
        for name, array in parts.items():
            content = idx(array)
            if packed:
                (raw / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (raw / name).write_bytes(content)
    return raw


def test_digits_are_scikit_learns_scaled_to_a_byte():
    sets = prepare(DataConfig(data="digits"))
    assert sets.class_names == tuple("0123456789")
    assert sets.preprocess.input_shape == (1, 8, 8)
    assert len(sets.train) + len(sets.val) + len(sets.test) == 1797
    expected = load_digits()
    for part in (sets.train, sets.test):
        numbers = [int(path.split("/")[1]) for path in part.paths]
        pixels = part.pixels.take(np.arange(len(part)))
        np.testing.assert_allclose(pixels[:, 0] / 255, expected.images[numbers] / 16, atol=0.5 / 255)
        np.testing.assert_array_equal(part.labels, expected.target[numbers])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_idx_sets_are_read_from_torchvisions_layout(tmp_path, name, folder, packed):
    write_mnist(tmp_path, folder, packed)
    sets = prepare(DataConfig(data=name, data_root=str(tmp_path), val_fraction=0.1))
    assert (len(sets.train), len(sets.val), len(sets.test)) == (90, 10, 40)
    assert sets.preprocess.input_shape == (1, 28, 28)
    assert len(sets.class_names) == 10
    assert sets.name == name


def test_the_data_root_can_be_set_once(tmp_path, monkeypatch):
    write_mnist(tmp_path)
    monkeypatch.setenv("STRIATE_DATA_ROOT", str(tmp_path))
    assert len(prepare(DataConfig(data="MNIST")).test) == 40


def test_a_zip_file_with_the_name_of_a_set_comes_first(tmp_path, write_pictures, pack):
    write_mnist(tmp_path)
    folder = write_pictures(
        tmp_path / "folder", {f"{split}/{name}": 4 for split in ("train", "test") for name in "ab"}
    )
    pack(folder, tmp_path / "mnist.zip")
    sets = prepare(DataConfig(data="mnist", data_root=str(tmp_path), val_fraction=0.25))
    assert sets.class_names == ("a", "b")
    assert (sets.name, len(sets.test)) == ("mnist", 8)


def test_two_classes_of_mnist(tmp_path):
    write_mnist(tmp_path)
    sets = prepare(DataConfig(data="mnist", data_root=str(tmp_path), classes=("4", "9"), val_fraction=0.5))
    assert sets.class_names == ("4", "9")
    assert (len(sets.train), len(sets.val), len(sets.test)) == (10, 10, 8)


@pytest.mark.parametrize("damage", ["cut", "wrong kind", "labels"])
def test_damaged_idx_files_are_refused(tmp_path, damage):
    raw = write_mnist(tmp_path)
    images = raw / "train-images-idx3-ubyte"
    if damage == "cut":
        images.write_bytes(images.read_bytes()[:-10])
    elif damage == "wrong kind":
        images.write_bytes(b"\0\0\x0d\x03" + images.read_bytes()[4:])
    else:
        (raw / "train-labels-idx1-ubyte").write_bytes(idx(np.full(100, 11)))
    with pytest.raises(DataError, match="Delete it"):
        prepare(DataConfig(data="mnist", data_root=str(tmp_path)))


@pytest.mark.parametrize(("shape", "shown"), [((40, 14, 10), "28x28 and 14x10"), ((40, 0, 28), "0x28")])
def test_idx_files_of_two_sizes_are_refused(tmp_path, shape, shown):
    raw = write_mnist(tmp_path)
    (raw / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros(shape, np.uint8)))
    with pytest.raises(DataError, match=shown):
        prepare(DataConfig(data="mnist", data_root=str(tmp_path)))


@pytest.mark.parametrize("place", [".", "raw"])
@pytest.mark.parametrize(("folder", "first"), [("FashionMNIST", "T-shirt/top"), ("KMNIST", "0")])
def test_a_folder_of_idx_files_is_data_too(tmp_path, folder, first, place):
    write_mnist(tmp_path, folder)
    sets = prepare(DataConfig(data=str(tmp_path / folder / place)))
    assert sets.name == folder
    assert first in sets.class_names
    assert len(sets.class_names) == 10
    assert len(sets.train) + len(sets.val) == 100
    assert len(sets.test) == 40


def test_a_folder_of_idx_files_of_other_classes_calls_them_by_number(tmp_path):
    raw = write_mnist(tmp_path, "letters")
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(100) % 26 + 1))
    assert "26" in prepare(DataConfig(data=str(raw.parent))).class_names


def test_idx_reader_gives_shape_and_values(tmp_path):
    array = np.random.default_rng(1).integers(0, 256, (3, 4, 5), dtype=np.uint8)
    (tmp_path / "x").write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(tmp_path / "x"), array)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits"])
def test_without_data_and_network_both_ways_out_are_told_at_once(tmp_path, no_network, name):
    start = time.monotonic()
    with pytest.raises(DataError, match=r"cannot be downloaded .*--data-root.*go online"):
        prepare(DataConfig(data=name, data_root=str(tmp_path / "root")))
    assert time.monotonic() - start < 30
    assert not any((tmp_path / "root").glob("**/*"))


def test_a_download_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    def fetch(kind, place):
        (place / "MNIST" / "raw").mkdir(parents=True)
        (place / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"half")
        raise RuntimeError("connection lost")

    monkeypatch.setattr(named, "_probe", lambda url: None)
    monkeypatch.setattr(named, "_fetch", fetch)
    with pytest.raises(DataError, match="connection lost"):
        prepare(DataConfig(data="mnist", data_root=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_succeeds_is_used_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(named, "_probe", lambda url: None)
    monkeypatch.setattr(named, "_fetch", lambda kind, place: write_mnist(place, kind))
    assert len(prepare(DataConfig(data="mnist", data_root=str(tmp_path / "new"))).test) == 40
    monkeypatch.setattr(named, "_fetch", None)
    assert len(prepare(DataConfig(data="mnist", data_root=str(tmp_path / "new"))).test) == 40


def test_an_incomplete_folder_of_the_user_is_not_overwritten(tmp_path, monkeypatch):
    raw = write_mnist(tmp_path)
    (raw / "t10k-labels-idx1-ubyte").unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="not complete"):
        prepare(DataConfig(data="mnist", data_root=str(tmp_path)))
    assert sorted(tmp_path.rglob("*")) == before


def test_imagenette_has_common_names_and_its_val_tests(tmp_path, write_pictures):
    counts = {f"imagenette2-160/{split}/{wnid}": 4 for split in ("train", "val") for wnid in named.IMAGENETTE}
    write_pictures(tmp_path, counts)
    sets = prepare(DataConfig(data="imagenette", data_root=str(tmp_path), val_fraction=0.25))
    assert sets.class_names == tuple(sorted(named.IMAGENETTE.values()))
    assert (len(sets.train), len(sets.val), len(sets.test)) == (30, 10, 40)


class FakeCifar10:
    """What torchvision hands out, without the files whose checksums it knows."""

    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def __init__(self, root, train, download):
        n = 50 if train else 20
        self.data = np.random.default_rng(train).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        self.targets = [index % 10 for index in range(n)]


def test_cifar10_keeps_channels_and_names(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.CIFAR10", FakeCifar10)
    (tmp_path / "cifar-10-batches-py").mkdir()
    sets = prepare(DataConfig(data="cifar10", data_root=str(tmp_path), val_fraction=0.2))
    assert (len(sets.train), len(sets.val), len(sets.test)) == (40, 10, 20)
    assert sets.class_names == FakeCifar10.classes
    fake = FakeCifar10("", train=False, download=False)
    np.testing.assert_array_equal(sets.test.pixels.take(np.arange(20)), fake.data.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(sets.test.labels, fake.targets)


def test_damaged_cifar10_is_refused(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"not what it should be")
    with pytest.raises(DataError, match="damaged"):
        prepare(DataConfig(data="cifar10", data_root=str(tmp_path)))


@pytest.mark.real_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not here")
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_reference_e_takes_5400_and_600_images(name):
    sets = prepare(DataConfig(data=name, data_root=str(SHARED), fraction=0.09, val_fraction=0.01))
    assert len(sets.val) == pytest.approx(600, abs=5)
    assert len(sets.train) == pytest.approx(5400, abs=5)
    assert len(sets.test) == 10_000
