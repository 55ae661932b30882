"""Numbers and findings in words, as the report and the console say them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

FEW_IMAGES = 10
"""A class with fewer test images is measured too roughly to be judged."""
SMALL_TEST = 100
LONGEST_NAME = 24
"""Characters of a class name in a figure or a sentence."""
_KINDS = {"train": "training image", "val": "validation image", "test": "test image"}


def percent(share: float, digits: int = 1) -> str:
    """Return `share` (a fraction) in percent; only 0 and 1 themselves read as 0 % and 100 %."""
    if share in (0, 1):
        return f"{100 * share:.0f}\u00a0%"
    text = f"{100 * share:.{digits}f}"
    if digits < 4 and float(text) in (0, 100):
        return percent(share, digits + 1)
    return f"{text}\u00a0%"


def duration(seconds: float) -> str:
    """Return a span of time as people say it: `48 s`, `2 min 05 s`, `1 h 12 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def number(value: float) -> str:
    """Return `value` to four significant digits, for losses and errors."""
    return f"{value:.4g}"


def counted(n: int, noun: str) -> str:
    """Return `n` with its noun: `1 image`, `1,200 images`, `2 classes`."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{n:,} {noun if n == 1 else plural}"


def image_kind(split: str) -> str:
    """Return what one image of `split` is called; `""` stands for images of no split."""
    return _KINDS.get(split, "image")


def headline(split: str, entry: Mapping[str, Any], data_name: str = "") -> str:
    """Return the result in one or two sentences, with its interval and what the images were used for.

    Args:
        split: which images were measured.
        entry: its metrics.
        data_name: the data measured, where it is not the data that was trained on.
    """
    accuracy = entry["accuracy"]
    noun, where = ("image", f" of {data_name}") if data_name else (image_kind(split), "")
    result = (
        f"{entry['correct']:,} of {counted(entry['samples'], noun)}{where} "
        f"({percent(accuracy['value'])}) {'was' if entry['correct'] == 1 else 'were'} named correctly"
    )
    span = f"between {percent(accuracy['low'])} and {percent(accuracy['high'])}"
    if split == "train" and not data_name:
        return f"{result}. The network has seen these very images, so this says nothing about new ones."
    if split == "val" and not data_name:
        return f"{result}, an interval {span}. These images also chose the epoch: expect less on new ones."
    return f"{result}; on new images of this kind expect {span}."


def remarks(split: str, entry: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know to judge `entry`, the weightiest first."""
    checks = (_no_skill, _absent, _never_predicted, _few_images, _small_test, _unlabelled)
    return [remark for check in checks if (remark := check(split, entry))]


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
    """Return `name` on one line with at most `longest` characters, its middle left out if need be."""
    line = " ".join("".join(" " if _is_control(letter) else letter for letter in name).split())
    if len(line) <= longest:
        return line
    tail = longest // 3
    return f"{line[: longest - tail - 1].rstrip()}…{line[len(line) - tail :].lstrip()}"


def name_list(names: list[str], most: int = 5) -> str:
    """Return up to `most` names in quotes, and how many more there are."""
    shown = ", ".join(f"'{shorten(name)}'" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _no_skill(split: str, entry: Mapping[str, Any]) -> str:
    frequent = entry["most_frequent"]
    if entry["accuracy"]["low"] > frequent["value"]:
        return ""
    return (
        f"Not shown to be better than naming '{shorten(frequent['name'])}' every time, which is right for "
        f"{percent(frequent['value'])} of these images."
    )


def _absent(split: str, entry: Mapping[str, Any]) -> str:
    absent = entry["absent_classes"]
    if not absent:
        return ""
    return (
        f"{counted(len(absent), 'class')} without a {image_kind(split)}, so not measured and left out of the "
        f"averages: {name_list(absent)}."
    )


def _never_predicted(split: str, entry: Mapping[str, Any]) -> str:
    never = [row["name"] for row in entry["per_class"] if row["samples"] and not row["predicted"]]
    if not never:
        return ""
    return f"Never predicted (precision counts as 0): {name_list(never)}."


def _few_images(split: str, entry: Mapping[str, Any]) -> str:
    few = [row["name"] for row in entry["per_class"] if 0 < row["samples"] < FEW_IMAGES]
    if not few:
        return ""
    return f"Fewer than {FEW_IMAGES} {image_kind(split)}s, too few to judge the class: {name_list(few)}."


def _small_test(split: str, entry: Mapping[str, Any]) -> str:
    if entry["samples"] >= SMALL_TEST:
        return ""
    width = entry["accuracy"]["high"] - entry["accuracy"]["low"]
    return (
        f"Only {counted(entry['samples'], image_kind(split))}: the interval is {100 * width:.0f} percentage "
        "points wide. More of them would narrow it."
    )


def _unlabelled(split: str, entry: Mapping[str, Any]) -> str:
    unlabelled = entry["unlabelled"]
    return f"{counted(unlabelled, 'image')} without a known label did not count." if unlabelled else ""


def _is_control(letter: str) -> bool:
    """Control characters, and those that turn the direction of the text around them."""
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
