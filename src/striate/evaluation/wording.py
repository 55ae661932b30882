"""Numbers and findings in words, as the report and the console say them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from striate.evaluation.counts import FEW_IMAGES

SMALL_TEST = 100
POOR_CALIBRATION = 0.03
"""From this expected calibration error on (its lower limit), probabilities are said to be off."""
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


def number(value: float | None) -> str:
    """Return `value` to four significant digits, for losses and errors; None: nothing bounds it."""
    return "unbounded" if value is None else f"{value:.4g}"


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


def sentence(entry: Mapping[str, Any], noun: str = "image", plural: str = "") -> str:
    """Return what the measured accuracy means for new images, in natural frequencies.

    `About 91 of 100 new images like these would be named correctly (between 88 and 94).` Of 1,000 or 10,000
    where 100 would round to all or none; the interval is rounded outwards.

    Args:
        entry: metrics of images that the network has not seen.
        noun: what one image is called, such as "leaf".
        plural: what several are called; by default with an s.
    """
    accuracy, several = entry["accuracy"], plural or counted(2, noun).split(" ", 1)[1]
    correct, samples = entry["correct"], entry["samples"]
    base = _base(accuracy)
    low, high = math.floor(base * accuracy["low"] + 1e-9), math.ceil(base * accuracy["high"] - 1e-9)
    if correct in (0, samples):
        every = f"All {samples:,} {several}" if samples > 1 else f"The one {noun}"
        none = f"None of the {samples:,} {several}" if samples > 1 else f"The one {noun} was not"
        told = every if correct else none
        verb = "" if told.endswith(" not") else " was" if samples == 1 or not correct else " were"
        limit = f"at least {low:,}" if correct else f"at most {high:,}"
        return f"{told}{verb} named correctly; of {base:,} new {several} like these expect {limit}."
    value = min(max(round(base * accuracy["value"]), low), high)
    return (
        f"About {value:,} of {base:,} new {several} like these would be named correctly "
        f"(between {low:,} and {high:,})."
    )


def remarks(split: str, entry: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know to judge `entry`, the weightiest first.

    Each finding weighs as much as it may mislead: no skill shown most of all, then by how many images or
    classes are concerned, or how wide the interval is.
    """
    checks = (
        _no_skill,
        _small_test,
        _never_predicted,
        _absent,
        _miscalibrated,
        _few_images,
        _one_sided,
        _unlabelled,
    )
    found = [weighed for check in checks if (weighed := check(split, entry)) is not None]
    return [remark for _, remark in sorted(found, key=lambda weighed: -weighed[0])]


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


def _base(accuracy: Mapping[str, float]) -> int:
    """100, or more where a share that is neither 0 nor 1 would be rounded to it."""
    for base in (100, 1000, 10_000):
        if accuracy["value"] in (0, 1):
            room = base * min(1 - accuracy["low"], accuracy["high"]) >= 1
        else:
            room = 0.5 < base * accuracy["value"] < base - 0.5
        if room:
            return base
    return 100_000


def _no_skill(split: str, entry: Mapping[str, Any]) -> tuple[float, str] | None:
    frequent = entry["most_frequent"]
    if entry["accuracy"]["low"] > frequent["value"]:
        return None
    return 2.0, (
        f"Not shown to be better than naming '{shorten(frequent['name'])}' every time, which is right for "
        f"{percent(frequent['value'])} of these images."
    )


def _absent(split: str, entry: Mapping[str, Any]) -> tuple[float, str] | None:
    absent = entry["absent_classes"]
    if not absent:
        return None
    return 0.4 + 0.5 * len(absent) / len(entry["per_class"]), (
        f"{counted(len(absent), 'class')} without a {image_kind(split)}, so not measured and left out of the "
        f"averages: {name_list(absent)}."
    )


def _never_predicted(split: str, entry: Mapping[str, Any]) -> tuple[float, str] | None:
    never = [row for row in entry["per_class"] if row["samples"] and not row["predicted"]]
    if not never:
        return None
    images = sum(row["samples"] for row in never)
    return 0.5 + images / entry["samples"], (
        f"Never predicted (precision counts as 0): {name_list([row['name'] for row in never])}."
    )


def _few_images(split: str, entry: Mapping[str, Any]) -> tuple[float, str] | None:
    few = [row["name"] for row in entry["per_class"] if 0 < row["samples"] < FEW_IMAGES]
    if not few:
        return None
    return 0.3 + 0.5 * len(few) / len(entry["per_class"]), (
        f"Fewer than {FEW_IMAGES} {image_kind(split)}s, too few to judge the class: {name_list(few)}."
    )


def _small_test(split: str, entry: Mapping[str, Any]) -> tuple[float, str] | None:
    if entry["samples"] >= SMALL_TEST:
        return None
    width = entry["accuracy"]["high"] - entry["accuracy"]["low"]
    return 0.6 + width, (
        f"Only {counted(entry['samples'], image_kind(split))}: the interval is {100 * width:.0f} percentage "
        "points wide. More of them would narrow it."
    )


def _miscalibrated(split: str, entry: Mapping[str, Any]) -> tuple[float, str] | None:
    """Said only where chance alone does not explain it."""
    if "calibration" not in entry or entry["calibration"]["ece"]["low"] < POOR_CALIBRATION:
        return None
    bins, error = entry["calibration"]["bins"], entry["calibration"]["ece"]["value"]
    sure, right = (
        sum(row[key] * row["samples"] for row in bins) / entry["samples"]
        for key in ("confidence", "accuracy")
    )
    if abs(sure - right) < error / 2:  # too high here, too low there
        text = f"Probabilities are off by {percent(error)} on average, some too high and some too low."
    else:
        word = "high" if sure > right else "low"
        text = (
            f"Probabilities are too {word}: the network is {percent(sure)} sure on average and "
            f"{percent(right)} right."
        )
    return 0.3 + 2 * error, text


def _one_sided(split: str, entry: Mapping[str, Any]) -> tuple[float, str] | None:
    pairs = [pair for pair in entry.get("confused_pairs", ()) if pair["verdict"] == "one-sided"]
    if not pairs:
        return None
    pair = pairs[0]
    there, back, names = pair["first_as_second"], pair["second_as_first"], [pair["first"], pair["second"]]
    sizes = {row["name"]: row["samples"] for row in entry["per_class"]}
    if there / sizes[names[0]] < back / sizes[names[1]]:
        there, back, names = back, there, names[::-1]
    mistakes = entry["samples"] - entry["correct"]
    return 0.2 + 0.5 * there / mistakes, (
        f"'{shorten(names[0])}' is taken for '{shorten(names[1])}' more often than the other way round: "
        f"{there} of {sizes[names[0]]:,} against {back} of {sizes[names[1]]:,}."
    )


def _unlabelled(split: str, entry: Mapping[str, Any]) -> tuple[float, str] | None:
    unlabelled = entry["unlabelled"]
    if not unlabelled:
        return None
    share = unlabelled / (unlabelled + entry["samples"])
    return 0.1 + share, f"{counted(unlabelled, 'image')} without a known label did not count."


def _is_control(letter: str) -> bool:
    """Control characters, and those that turn the direction of the text around them."""
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
