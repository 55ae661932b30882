"""Small pictures of images that may be gone: of folders, archives, tables and named sets."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.config import DataConfig
from striate.data import prepare, thumbnails
from striate.data.cifar import read_pixels
from striate.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"


def opened(content: bytes | None) -> Image.Image:
    assert content is not None
    return Image.open(io.BytesIO(content))


def pixels(content: bytes | None) -> np.ndarray:
    return np.asarray(opened(content))


@pytest.fixture
def folder(write_pictures, tmp_path):
    return write_pictures(tmp_path / "set", {"a": 3, "b": 3})


@pytest.fixture
def table(folder):
    file = folder / "table.csv"
    file.write_text("image,label\na/000.png,x\nb/001.png,y\n")
    return file


def test_tiny_images_are_kept_pixel_by_pixel(folder):
    found = thumbnails.reader(str(folder))(["a/000.png", "b/002.png"])
    for content, path in zip(found, ("a/000.png", "b/002.png"), strict=True):
        assert opened(content).format == "PNG"
        np.testing.assert_array_equal(pixels(content), np.asarray(Image.open(folder / path)))


@pytest.mark.parametrize(
    ("size", "expected"), [((400, 200), (96, 48)), ((90, 300), (29, 96)), ((41, 10), (41, 10))]
)
def test_photos_are_whole_and_their_longest_side_is_96(tmp_path, picture, size, expected):
    (tmp_path / "photo.jpg").write_bytes(picture(0, size, "JPEG"))
    (content,) = thumbnails.reader(str(tmp_path))(["photo.jpg"])
    assert opened(content).format == "JPEG"
    assert opened(content).size == expected


def test_photos_are_upright_and_in_their_own_colours(tmp_path):
    image = Image.new("RGB", (200, 100), "blue")
    image.paste("red", (0, 0, 100, 100))  # red on the left: above, once turned a quarter clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    (content,) = thumbnails.reader(str(tmp_path))(["photo.jpg"])
    shown = pixels(content).astype(int)
    assert shown.shape == (96, 48, 3)
    assert np.abs(shown[10, 24] - (254, 0, 0)).max() < 12
    assert np.abs(shown[-10, 24] - (0, 0, 254)).max() < 12


def test_every_file_format_is_shown(tmp_path, picture):
    for kind in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP"):
        (tmp_path / f"image.{kind.lower()}").write_bytes(picture(0, (60, 50), kind))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [opened(content).size for content in thumbnails.reader(str(tmp_path))(names)] == [(60, 50)] * 6


def test_archives_and_tables_give_what_their_folder_gives(folder, table, pack, tmp_path):
    paths = ["a/000.png", "b/001.png"]
    expected = thumbnails.reader(str(folder))(paths)
    archive = pack(folder, tmp_path / "set.zip")
    assert None not in expected
    assert thumbnails.reader(str(archive))(paths) == expected
    assert thumbnails.reader(str(table))(paths) == expected
    table.unlink()
    assert thumbnails.reader(str(table))(paths) == expected


def test_what_is_gone_moved_or_damaged_is_none(folder, pack, tmp_path):
    archive = pack(folder, tmp_path / "set.zip", [("c/bad.png", b"no picture")])
    (folder / "a" / "000.png").unlink()
    (folder / "a" / "001.png").write_bytes(b"")
    (folder / "a" / "002.png").write_bytes((folder / "b" / "000.png").read_bytes()[:60])
    found = thumbnails.reader(str(folder))(
        ["a/000.png", "a/001.png", "a/002.png", "b/000.png", "b", "\0", ""]
    )
    assert [content is None for content in found] == [True, True, True, False, True, True, True]
    found = thumbnails.reader(str(archive))(["a/000.png", "c/bad.png", "d/none.png"])
    assert [content is None for content in found] == [False, True, True]


@pytest.mark.parametrize(
    "data", ["gone", "gone.zip", "gone.csv", "mnist", "fashion-mnist", "cifar10", "imagenette", "", "\0"]
)
def test_a_data_set_that_is_not_there_gives_no_thumbnails(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    began = time.perf_counter()
    assert thumbnails.reader(data, str(tmp_path / "root"))(["test/00000", "a/b.png"]) == [None, None]
    assert time.perf_counter() - began < 2  # nothing is downloaded


def test_a_damaged_archive_gives_no_thumbnails(folder, pack, tmp_path):
    archive = pack(folder, tmp_path / "set.zip")
    archive.write_bytes(archive.read_bytes()[:100])
    assert thumbnails.reader(str(archive))(["a/000.png"]) == [None]


def test_a_folder_called_like_the_named_set_of_a_run_does_not_hide_it(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()  # as `striate train digits --out digits` leaves it
    monkeypatch.chdir(tmp_path)
    assert None not in thumbnails.reader("digits")(["digits/00001"])


def test_digits_are_shown_by_their_number():
    sets = prepare(DataConfig(data="digits"))
    found = thumbnails.reader("digits")(sets.test.paths)
    expected = sets.test.pixels.take(np.arange(len(sets.test)))[:, 0]
    np.testing.assert_array_equal(np.stack([pixels(content) for content in found]), expected)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("mnist", "MNIST/raw"), ("fashion-mnist", "FashionMNIST/raw"), ("", "KMNIST"), ("", "KMNIST/raw")],
)
def test_idx_sets_are_shown_by_their_number(tmp_path, name, folder):
    name, raw = name or str(tmp_path / "KMNIST"), tmp_path / folder
    raw.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28)).astype(np.uint8)
    for prefix, shown in (("train", images), ("t10k", 255 - images)):
        for kind, array in (("images-idx3", shown), ("labels-idx1", np.arange(20, dtype=np.uint8) % 10)):
            header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
            (raw / f"{prefix}-{kind}-ubyte").write_bytes(header + array.tobytes())
    sets = prepare(DataConfig(data=name, data_root=str(tmp_path), val_fraction=0.25))
    for part in (sets.train, sets.val, sets.test):
        found = thumbnails.reader(name, str(tmp_path))(part.paths)
        expected = part.pixels.take(np.arange(len(part)))[:, 0]
        np.testing.assert_array_equal(np.stack([pixels(content) for content in found]), expected)


@pytest.mark.parametrize("path", ["test/20", "test/-1", "test/x", "test", "", "digits/99999", "digits/²"])
def test_numbers_that_no_image_has_are_none(path):
    assert thumbnails.reader("digits")([path]) == [None]


def cifar_batch(images: np.ndarray) -> bytes:
    """A batch as Python 2 pickled it, reduced to its bones: a dictionary with the pixels as one string."""
    content = images.tobytes()
    return b"\x80\x02}(U\x04dataT" + struct.pack("<I", len(content)) + content + b"U\x06labels]u."


def test_cifar_batches_are_shown_by_their_number_and_never_unpickled(tmp_path):
    place = tmp_path / "cifar-10-batches-py"
    place.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (6, 2, 3, 32, 32)).astype(np.uint8)
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for name, batch in zip(names, images, strict=True):
        (place / name).write_bytes(cifar_batch(batch))
    found = thumbnails.reader("cifar10", str(tmp_path))(["train/00000", "train/00003", "test/00001"])
    expected = [images[0, 0], images[1, 1], images[5, 1]]
    for content, image in zip(found, expected, strict=True):
        np.testing.assert_array_equal(pixels(content), image.transpose(1, 2, 0))


def test_a_batch_that_would_run_code_runs_none(tmp_path):
    marker = tmp_path / "marker"
    evil = b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."
    (tmp_path / "batch").write_bytes(evil)
    with pytest.raises(DataError, match="holds no images"):
        read_pixels(tmp_path / "batch")
    (tmp_path / "batch").write_bytes(b"\x80\x02T\xff")
    with pytest.raises(DataError, match="cannot be read"):
        read_pixels(tmp_path / "batch")
    assert not marker.exists()


def test_imagenette_is_a_folder(tmp_path, picture):
    place = tmp_path / "imagenette2-160" / "val" / "n01440764"
    place.mkdir(parents=True)
    (place / "fish.JPEG").write_bytes(picture(0, (160, 200), "JPEG"))
    (content,) = thumbnails.reader("imagenette", str(tmp_path))(["val/n01440764/fish.JPEG"])
    assert opened(content).size == (77, 96)


def test_thumbnails_load_no_torch(folder, pack, tmp_path):
    archive = pack(folder, tmp_path / "set.zip")
    code = (
        "import sys; from striate.data import thumbnails; "
        f"assert None not in thumbnails.reader({str(archive)!r})(['a/000.png']); "
        f"assert None not in thumbnails.reader('digits')(['digits/00001']); "
        f"thumbnails.reader('cifar10', {str(tmp_path)!r})(['test/00001']); "
        "sys.exit(bool({'torch', 'torchvision', 'lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.real_data
@pytest.mark.skipif(not (SHARED / "cifar10.zip").exists(), reason="no shared data")
def test_many_members_of_an_archive_are_quick():
    import zipfile

    with zipfile.ZipFile(SHARED / "cifar10.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".webp")][:1500]
    began = time.perf_counter()
    found = thumbnails.reader(str(SHARED / "cifar10.zip"))(names)
    assert time.perf_counter() - began < 10  # 2 s on a quiet machine
    assert len(found) == 1500
    assert None not in found
