"""Photos that are decoded once and kept on disk."""

from __future__ import annotations

import errno
import hashlib
import os

import numpy as np
import pytest
from PIL import Image

from striate.data import ImageSet, keep_pixels, kept
from striate.data.images import ArrayPixels, FilePixels
from striate.errors import DataError
from striate.schemas import Preprocess

SIDE = 96
PREPROCESS = Preprocess(channels=3, height=SIDE, width=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3)


class Files:
    """Reads files, and counts how often."""

    def __init__(self, folder):
        self.folder = folder
        self.read_files = 0

    def read(self, path):
        self.read_files += 1
        return (self.folder / path).read_bytes()


@pytest.fixture
def photos(tmp_path):
    generator = np.random.default_rng(0)
    for number in range(5):
        image = generator.integers(0, 255, (120, 100, 3)).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    return Files(tmp_path)


def opened(photos):
    """The images, and their digests."""
    paths = tuple(f"{number}.png" for number in range(5))
    content = b"".join(hashlib.sha256((photos.folder / path).read_bytes()).digest() for path in paths)
    images = ImageSet(paths, np.zeros(5, np.int64), FilePixels(photos, paths, PREPROCESS))
    return images, np.frombuffer(content, np.uint8).reshape(5, 32)


def test_kept_pixels_are_those_of_the_files_and_are_decoded_once(photos):
    images, digests = opened(photos)
    expected = images.pixels.take(np.arange(5))
    photos.read_files = 0
    for _ in range(2):
        found, message = keep_pixels(images, digests, PREPROCESS)
        assert message == ""
        assert found.pixels.in_memory
        assert np.array_equal(found.pixels.take(np.arange(5)), expected)
    assert photos.read_files == 5


def test_a_changed_file_is_decoded_anew(photos):
    keep_pixels(*opened(photos), PREPROCESS)
    Image.new("RGB", (120, 100), (255, 0, 0)).save(photos.folder / "3.png")
    found, _ = keep_pixels(*opened(photos), PREPROCESS)
    assert (found.pixels.take(np.array([3]))[0, 0] == 255).all()


def test_what_changes_after_it_was_inspected_is_told_and_not_kept(photos, own_cache):
    images, digests = opened(photos)
    pixels = FilePixels(photos, images.paths, PREPROCESS, digests)
    expected = pixels.take(np.arange(5))
    original = (photos.folder / "3.png").read_bytes()
    Image.new("RGB", (120, 100), (255, 0, 0)).save(photos.folder / "3.png")
    with pytest.raises(DataError, match=r"'3.png' changed while the data was read"):
        keep_pixels(ImageSet(images.paths, images.labels, pixels), digests, PREPROCESS)
    with pytest.raises(DataError, match="changed while"):
        pixels.select([4, 3]).take(np.array([1]))
    assert not list(own_cache.glob("images/kept-*"))
    (photos.folder / "3.png").write_bytes(original)
    assert np.array_equal(pixels.take(np.arange(5)), expected)


def test_a_torn_file_counts_as_absent(photos, own_cache):
    keep_pixels(*opened(photos), PREPROCESS)
    (entry,) = own_cache.glob("images/kept-*/images.npy")
    entry.write_bytes(entry.read_bytes()[:-100])
    photos.read_files = 0
    found, _ = keep_pixels(*opened(photos), PREPROCESS)
    assert photos.read_files == 5
    assert found.pixels.in_memory


def test_images_are_decoded_into_the_folder_that_is_swept_and_lie_on_disk_once(
    photos, own_cache, monkeypatch
):
    images, digests = opened(photos)
    seen = []

    def look(stage, done, total):
        seen.extend(path for path in own_cache.rglob("*") if path.is_file())

    keep_pixels(images, digests, PREPROCESS, look)
    assert seen
    assert all(path.parent.parent == own_cache / "images" for path in seen)
    assert all(path.parent.name.startswith(".writing-") for path in seen)
    written = []
    monkeypatch.setattr(np, "save", lambda *args, **options: written.append(args))
    Image.new("RGB", (120, 100), (255, 0, 0)).save(photos.folder / "3.png")
    _, message = keep_pixels(*opened(photos), PREPROCESS)
    assert (written, message) == ([], "")


def test_what_would_take_too_much_disk_is_decoded_in_every_epoch(photos, monkeypatch):
    monkeypatch.setattr(kept, "MOST_BYTES", 1000)
    images, digests = opened(photos)
    found, message = keep_pixels(images, digests, PREPROCESS)
    assert found is images
    assert "every epoch" in message


def test_a_full_disk_is_told_before_pixels_are_written(photos, own_cache, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    images, digests = opened(photos)
    found, message = keep_pixels(images, digests, PREPROCESS)
    assert found is images
    assert message.endswith("No space left on device.")
    assert photos.read_files == 0
    assert not list(own_cache.rglob("*.npy"))


def test_images_in_memory_stay_as_they_are():
    images = ImageSet(("a",), np.zeros(1, np.int64), ArrayPixels(np.zeros((1, 3, SIDE, SIDE), np.uint8)))
    assert keep_pixels(images, np.zeros((1, 32), np.uint8), PREPROCESS) == (images, "")
