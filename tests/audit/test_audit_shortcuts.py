"""Shortcuts that were planted are found; where there are none, none is claimed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from encoded import encode
from PIL import Image

from striate.audit import find_shortcuts


def noise(seed, size=(24, 24), tint=(128, 128, 128), spread=40):
    generator = np.random.default_rng(seed)
    pixels = generator.normal(tint, spread, (size[1], size[0], 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def framed(image, grey):
    image = image.copy()
    image.paste((grey, grey, grey), (0, 0, image.width, 2))
    image.paste((grey, grey, grey), (0, image.height - 2, image.width, image.height))
    image.paste((grey, grey, grey), (0, 0, 2, image.height))
    image.paste((grey, grey, grey), (image.width - 2, 0, image.width, image.height))
    return image


def two_classes(make):
    return {
        f"train/{name}/{n:03d}": make(name == "b", 1000 * (name == "b") + n)
        for name in "ab"
        for n in range(60)
    }


PLANTED = {
    "image size": lambda second, n: noise(n, (24 + n % 5 + 8 * second, 24 + n % 7)),
    "aspect ratio": lambda second, n: noise(n, (30, 20) if second else (20, 30)),
    "file format": lambda second, n: encode(noise(n), "BMP" if second else "PNG"),
    "border colour": lambda second, n: framed(noise(n), 180 + n % 9 if second else 60 + n % 9),
    "mean colour": lambda second, n: noise(n, tint=(150, 128, 120) if second else (120, 128, 150)),
    "file size": lambda second, n: encode(noise(n), "JPEG", quality=95 if second else 40),
}


@pytest.mark.parametrize("cue", PLANTED)
def test_a_planted_shortcut_is_found_and_named(gather, cue):
    found = {shortcut.cue: shortcut for shortcut in find_shortcuts(gather(two_classes(PLANTED[cue])))}
    assert found[cue].strength == "strong"
    assert found[cue].balanced_accuracy > 0.9
    assert found[cue].low <= found[cue].balanced_accuracy <= found[cue].high
    assert f"The {cue} alone names the class" in found[cue].sentence


def test_no_alarm_where_only_chance_is_at_work(gather):
    def make(second, number):
        return noise(number, (20 + number % 9, 20 + number * 7 % 11), (100 + number * 13 % 50,) * 3)

    alarms = [
        shortcut for shortcut in find_shortcuts(gather(two_classes(make))) if shortcut.strength != "none"
    ]
    assert alarms == []


def test_images_of_one_group_never_lie_in_two_folds(gather):
    """Six originals with twenty copies each; their sizes say which original, and nothing of the class."""
    contents = {
        f"train/{'ab'[original % 2]}/{original:02d}-{copy}": noise(original, (20 + 3 * original, 20))
        for original in range(6)
        for copy in range(20)
    }
    images = gather(contents)
    groups = [path.split("/")[2][:2] for path in images.paths]
    leaky = {found.cue: found for found in find_shortcuts(images)}["image size"]
    honest = {found.cue: found for found in find_shortcuts(images, groups)}["image size"]
    assert leaky.strength != "none"
    assert honest.strength == "none"


def test_classes_with_few_images_do_not_take_part(gather):
    images = gather({f"train/{name}/{n}": noise(n) for name in "ab" for n in range(4)})
    assert find_shortcuts(images) == ()


@pytest.mark.parametrize("seed", [22, 53])
def test_what_one_of_many_cues_does_once_in_two_hundred_sets_is_no_finding(seed):
    """60 images whose sizes and colours say nothing; in these sets no shuffle of 99 does as well as a cue."""
    generator = np.random.default_rng(seed)
    images = SimpleNamespace(
        labels=["ab"[number % 2] for number in range(60)],
        width=generator.integers(16, 60, 60),
        height=generator.integers(16, 60, 60),
        format=["PNG"] * 60,
        size_bytes=generator.integers(1000, 9000, 60),
        border=generator.normal(size=(60, 3)),
        colour=generator.normal(size=(60, 3)),
    )
    found = find_shortcuts(images)
    assert min(shortcut.p for shortcut in found) <= 0.01
    assert all(shortcut.strength == "none" for shortcut in found)


@pytest.mark.parametrize("told", [True, False])
def test_the_quick_test_judges_as_shuffles_do(gather, told):
    """Sizes that tell the class, and sizes that do not."""
    generator = np.random.default_rng(0)
    contents = {}
    for number in range(60):
        label = "ab"[number % 2]
        side = 20 + (10 * (label == "a") if told else 0) + int(generator.integers(0, 8))
        noise = generator.integers(0, 256, (side, side, 3)).astype(np.uint8)
        contents[f"train/{label}/{number:02d}.png"] = Image.fromarray(noise)
    images = gather(contents)
    strengths = [
        {found.cue: found.strength for found in find_shortcuts(images, shuffles=shuffles)}["image size"]
        for shuffles in (0, 99)
    ]
    assert strengths == ["strong" if told else "none"] * 2


def test_the_quick_test_raises_few_alarms_among_few_images(gather):
    """24 images of two classes whose sizes and colours say nothing."""
    alarms = 0
    for seed in range(14):
        generator = np.random.default_rng(seed)
        sides, tints = generator.integers(16, 40, (24, 2)), generator.integers(60, 200, (24, 3))
        contents = {
            f"train/{'ab'[n % 2]}/{n:02d}.png": Image.new(
                "RGB", tuple(sides[n].tolist()), tuple(tints[n].tolist())
            )
            for n in range(24)
        }
        found = find_shortcuts(gather(contents), shuffles=0)
        alarms += any(shortcut.strength != "none" for shortcut in found)
    assert alarms <= 2
