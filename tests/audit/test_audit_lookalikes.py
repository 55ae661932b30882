"""Copies among images that all look alike are those far nearer than the next best image."""

from __future__ import annotations

import io

import numpy as np
import pytest
from encoded import encode
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter

from striate.audit import find_duplicates, fingerprints, lookalikes, read
from striate.data.sources import Sample, Source

SIDE = 28


@pytest.fixture(scope="module")
def shapes():
    """Grey shapes of one kind on black, each with folds of its own, as clothes are: 60 pictures."""
    generator = np.random.Generator(np.random.PCG64(0))
    across = np.linspace(-1, 1, SIDE)
    pictures = []
    for _ in range(60):
        width, height = generator.uniform(0.55, 0.75, 2)
        inside = gaussian_filter(
            ((np.abs(across) < width) & (np.abs(across[:, None]) < height)).astype(float), 0.7
        )
        folds = gaussian_filter(generator.normal(size=(SIDE, SIDE)), 1.5) * 120
        pictures.append(Image.fromarray(np.clip(inside * (150 + folds), 0, 255).astype(np.uint8)))
    return pictures


def jpeg(image, quality):
    return Image.open(io.BytesIO(encode(image, "JPEG", quality=quality)))


def resized(image, factor):
    side = round(SIDE * factor)
    return image.resize((side, side), Image.Resampling.BICUBIC)


CHANGES = {
    "poor quality": lambda image: jpeg(image, 30),
    "cropped": lambda image: image.crop((1, 0, SIDE - 1, SIDE - 1)),
    "half": lambda image: resized(image, 0.5),
    "all at once": lambda image: jpeg(resized(ImageOps.mirror(image), 1.3).crop((1, 1, 36, 35)), 60),
}


@pytest.mark.parametrize("way", CHANGES)
def test_changed_copies_are_found_among_lookalikes_and_nothing_else(shapes, gather, way):
    originals = {f"test/a/{number:03d}.png": shape for number, shape in enumerate(shapes)}
    changed = {f"train/a/{number:03d}.png": CHANGES[way](shape) for number, shape in enumerate(shapes[::3])}
    copies = {f"train/a/{3 * int(path[-7:-4]):03d}.png": image for path, image in changed.items()}
    images = gather(originals | copies)
    assert fingerprints.alike(fingerprints.fingerprints(images.small)[0]).dense
    named = [
        sorted(images.paths[number][-7:] for number in group.members) for group in find_duplicates(images)
    ]
    assert all(len(names) == 2 and names[0] == names[1] for names in named), named
    assert len(named) >= 0.95 * len(copies)


def turned(image):
    return image.rotate(5, Image.Resampling.BICUBIC)


def panned(image):
    return Image.fromarray(np.roll(np.asarray(image), 3, axis=1))


def moved(image):
    """A piece of the picture has moved."""
    later = image.copy()
    later.paste(image.crop((8, 8, 16, 16)), (12, 15))
    return later


@pytest.mark.parametrize("change", [turned, panned, moved])
def test_similar_lookalikes_are_no_copies(shapes, gather, change):
    contents = {f"test/a/{number:03d}.png": shape for number, shape in enumerate(shapes)}
    contents |= {f"train/a/{number:03d}.png": change(shape) for number, shape in enumerate(shapes[:20])}
    assert len(find_duplicates(gather(contents))) <= 1


def test_a_copy_is_far_nearer_than_the_next_best():
    pairs = np.array([(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)])
    residual = np.array([0.004, 0.03, 0.03, 0.02, 0.03, 0.03], np.float32)
    assert lookalikes.far_nearer(pairs, residual).tolist() == [True] + [False] * 5


def test_two_copies_of_one_image_do_not_hide_each_other():
    pairs = np.array([(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)])
    residual = np.array([0.004, 0.005, 0.006, 0.04, 0.04, 0.04], np.float32)
    assert lookalikes.far_nearer(pairs, residual).tolist() == [True] * 3 + [False] * 3


def test_nearly_nothing_left_is_sure_and_too_much_is_none():
    pairs = np.array([(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)])
    residual = np.array([0.001, 0.001, 0.001, 0.06, 0.9, 0.9], np.float32)
    assert lookalikes.far_nearer(pairs, residual).tolist() == [True] * 3 + [False] * 3


def test_no_pairs_are_no_copies():
    assert lookalikes.far_nearer(np.zeros((0, 2), np.int64), np.zeros(0, np.float32)).tolist() == []


def test_no_pairs_are_laid_over_each_other(shapes, gather):
    images = gather({"train/a/0.png": shapes[0], "train/a/1.png": shapes[1]})
    laid = lookalikes.lay(images, np.zeros((0, 2), np.int64), np.zeros(0, bool))
    assert [len(column) for column in (laid.residual, laid.scale, laid.gain, laid.overhang, laid.worst)] == [
        0
    ] * 5


def test_a_picture_is_taken_through_the_size_of_a_much_smaller_copy():
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (2, 1, SIDE, SIDE), dtype=np.uint8)
    images = read(Source("noise", tuple(Sample(str(n), "a") for n in range(2)), None, array=noise))
    whole, _ = lookalikes.levelled(images, np.array([(0, 1)]))
    images.width[1] = images.height[1] = 14
    pictures, rows = lookalikes.levelled(images, np.array([(0, 1)]))
    through = Image.fromarray(noise[0, 0]).resize((14, 14), Image.Resampling.BICUBIC)
    expected = through.resize((lookalikes.SIDE, lookalikes.SIDE), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(pictures[rows[0, 0]], np.asarray(expected))
    images.width[1] = images.height[1] = 26  # a crop, which has lost nothing
    pictures, rows = lookalikes.levelled(images, np.array([(0, 1)]))
    np.testing.assert_array_equal(pictures[rows[0]], whole)
