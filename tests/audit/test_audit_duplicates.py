"""Copies planted in every way are found, and similar pictures are not taken for copies."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from striate.audit import Findings, find_duplicates
from striate.audit.alignment import lay_over


def jpeg(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def resized(factor):
    return lambda image: image.resize(
        (round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC
    )


def cropped(left, top, right, bottom):
    return lambda image: image.crop(
        (
            round(left * image.width),
            round(top * image.height),
            round((1 - right) * image.width),
            round((1 - bottom) * image.height),
        )
    )


def brightened(factor):
    return lambda image: image.point(lambda value: min(255, round(value * factor)))


PLANTED = {
    "half size": (resized(0.5), "resized"),
    "double size": (resized(2.0), "resized"),
    "quality 30": (lambda image: jpeg(image, 30), "re-encoded"),
    "quality 95": (lambda image: jpeg(image, 95), "re-encoded"),
    "crop of a corner": (cropped(0.05, 0.05, 0, 0), "cropped"),
    "crop all round": (cropped(0.05, 0.04, 0.05, 0.03), "cropped"),
    "mirrored": (ImageOps.mirror, "mirrored"),
    "darker": (brightened(0.9), "brightened"),
    "brighter": (brightened(1.1), "brightened"),
    "all at once": (
        lambda image: jpeg(brightened(1.1)(cropped(0.03, 0.05, 0.02, 0)(ImageOps.mirror(image))), 60),
        "mirrored, cropped",
    ),
}
ENOUGH = 0.95
"""Share of planted copies that must be found."""


@pytest.mark.parametrize("way", PLANTED)
def test_planted_copies_are_found_and_nothing_else(tiles, gather, way):
    change, kind = PLANTED[way]
    originals = {f"test/a/{number:03d}.png": tile for number, tile in enumerate(tiles)}
    copies = {f"train/a/{number:03d}.png": change(tile) for number, tile in enumerate(tiles)}
    images = gather(originals | copies)
    groups = find_duplicates(images)
    named = [sorted(images.paths[number] for number in group.members) for group in groups]
    right = [names for names in named if [name[-7:] for name in names] == 2 * [names[0][-7:]]]
    assert len(right) >= ENOUGH * len(tiles)
    assert right == named, "different pictures were taken for copies"
    kinds = [pair.kind for group in groups for pair in group.pairs]
    assert kinds.count(kind) > 0.7 * len(kinds), kinds
    assert all(group.across_splits for group in groups)


def test_many_copies_of_each_of_a_few_images_are_all_found(tiles, gather):
    contents = {
        f"train/a/{number:03d}-{quality}.jpg": jpeg(tile, quality)
        for number, tile in enumerate(tiles[:12])
        for quality in range(40, 95, 5)
    }
    images = gather(contents)
    groups = find_duplicates(images)
    assert sorted(len(group.members) for group in groups) == [11] * 12
    assert all(len({images.paths[number][:11] for number in group.members}) == 1 for group in groups)


def test_distinct_photos_are_no_copies(tiles, gather):
    assert find_duplicates(gather({f"train/a/{n:03d}.png": tile for n, tile in enumerate(tiles)})) == ()


def turned(image, angle=3.0):
    generator = np.random.default_rng(0)
    noisy = np.asarray(image.rotate(angle, Image.Resampling.BICUBIC)) + generator.normal(0, 4, (130, 130, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).crop((12, 12, 118, 118))


def panned(image):
    """A camera moved a tenth to the right: something comes in that was not there."""
    return image.crop((13, 0, 130, 117))


def moved(image):
    """Something that has moved before a camera that has not."""
    later = image.copy()
    later.paste(image.crop((50, 50, 76, 76)), (10, 90))
    return later


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda image: image.crop((12, 12, 118, 118)), turned),
        (lambda image: image.crop((0, 0, 117, 117)), panned),
    ],
    ids=["turned", "panned"],
)
def test_photos_of_a_burst_are_no_copies(tiles, gather, first, second):
    contents = {}
    for number, tile in enumerate(tiles):
        contents |= {f"train/a/{number:03d}.png": first(tile), f"test/a/{number:03d}.png": second(tile)}
    assert len(find_duplicates(gather(contents))) <= 0.1 * len(tiles)


def test_a_picture_in_which_something_moved_is_no_copy(tiles, gather):
    contents = {}
    changed = [
        tile
        for tile in tiles
        if np.abs(np.asarray(tile, float) - np.asarray(moved(tile), float)).mean() > 2  # it can be seen
    ]
    for number, tile in enumerate(changed):
        contents |= {f"train/a/{number:03d}.png": tile, f"test/a/{number:03d}.png": moved(tile)}
    assert len(changed) > 8
    assert len(find_duplicates(gather(contents))) <= 0.2 * len(changed)


def test_same_files_and_same_pixels_are_told_apart(tiles, gather):
    files = [jpeg(tile, 90) for tile in tiles[:2]]
    decoded = Image.open(io.BytesIO(files[1])).convert("RGB")
    images = gather(
        {
            "train/a/1.jpg": files[0],
            "train/a/2.jpg": files[0],
            "train/a/3.jpg": files[1],
            "test/a/4.png": decoded,
        }
    )
    kinds = {images.paths[group.members[0]]: group.pairs[0].kind for group in find_duplicates(images)}
    assert kinds == {"test/a/4.png": "same pixels", "train/a/1.jpg": "same file"}
    assert all(group.exact for group in find_duplicates(images))


def test_copies_with_different_labels_are_left_to_a_person(tiles, gather):
    images = gather({"train/a/1.png": tiles[0], "train/b/2.png": tiles[0]})
    (group,) = find_duplicates(images)
    assert group.conflicting
    assert Findings(images, (group,), ()).suggestions() == {}


def test_blank_images_are_copies_only_to_the_pixel(gather):
    white, cream = Image.new("RGB", (40, 40), "white"), Image.new("RGB", (40, 40), (255, 255, 250))
    images = gather(
        {
            "train/a/white.png": white,
            "test/a/white.bmp": _bmp(white),
            "train/b/cream.png": cream,
            "train/b/larger.png": Image.new("RGB", (50, 40), "white"),
        }
    )
    (group,) = find_duplicates(images)
    assert sorted(images.paths[number] for number in group.members) == [
        "test/a/white.bmp",
        "train/a/white.png",
    ]


def _bmp(image):
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    return buffer.getvalue()


def test_handwritten_digits_are_no_copies_of_each_other(tmp_path):
    from striate.audit import read
    from striate.data.lookup import find_source

    images = read(find_source("digits"))
    flagged = sum(len(group.members) for group in find_duplicates(images))
    assert flagged <= 0.001 * len(images)


def test_of_copies_the_one_in_the_test_set_is_kept(tiles, gather):
    images = gather({"train/a/1.png": tiles[0], "test/a/2.png": tiles[0], "val/a/3.png": tiles[0]})
    findings = Findings(images, find_duplicates(images), ())
    dropped = {images.paths[number] for number in findings.suggestions()}
    assert dropped == {"train/a/1.png", "val/a/3.png"}
    assert findings.leaked() == {"val": 1, "test": 1}


def test_a_shift_and_scale_are_measured():
    generator = np.random.default_rng(0)
    blurred = Image.fromarray(generator.integers(0, 256, (24, 24), np.uint8)).resize((400, 400), 3)
    box = (16.0, 8.0, 396.0, 388.0)  # 95 % of each side, its middle 6 and -2 pixels from the picture's
    first, second = (
        np.asarray(blurred.resize((64, 64), 2, box=part), np.float32)[None] for part in (None, box)
    )
    fit = lay_over(first, second)
    half = 0.5 / 64 * 2  # half a pixel
    assert fit.scale[0] == pytest.approx([0.95, 0.95], abs=half)
    assert fit.shift[0] == pytest.approx([6 / 200, -2 / 200], abs=half)
    assert fit.residual[0] < 0.01
    assert fit.overhang()[0] < half
