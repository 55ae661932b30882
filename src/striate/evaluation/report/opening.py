"""The first screen: the sentence, a hundred squares that show it, the facts, and what to keep in mind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from striate.evaluation import wording
from striate.evaluation.context import ReportContext
from striate.evaluation.history import chosen_epoch, has_validation
from striate.evaluation.report import svg

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS, _SIDE, _GAP = 20, 18, 4
SQUARES = 100
_DEVICES = {"cpu": "the processor", "cuda": "a CUDA graphics card", "mps": "Apple's graphics processor"}
"""How a person says what computed; precision and memory layout stand in the environment."""

_VIEWS = {
    "flip": "over each image and its mirror image",
    "shift": "over each image and two shifts of it by a pixel",
    "flip-shift": "over each image, two shifts of it by a pixel, and their mirror images",
}
"""What the logits were averaged over, by the name of the setting."""


def squares(accuracy: Mapping[str, float]) -> str:
    """Draw what would become of 100 new images: named correctly, wrongly, or within the interval.

    The squares between both ends of the interval are open: they belong to either side.
    """
    right, surely_right, surely_wrong = square_counts(accuracy)
    parts = []
    for index in range(SQUARES):
        look = "right" if index < right else "wrong"
        if surely_right <= index < SQUARES - surely_wrong:
            look += " open"
        column, row = index % _COLUMNS, index // _COLUMNS
        step = _SIDE + _GAP
        parts.append(
            svg.element(
                "rect", x=column * step + 1, y=row * step + 1, width=_SIDE, height=_SIDE, rx=3, class_=look
            )
        )
    description = (
        f"A hundred squares: {right} for images named correctly, {SQUARES - right} for images named wrongly; "
        f"{SQUARES - surely_right - surely_wrong} of them lie within the interval."
    )
    width, height = _COLUMNS * (_SIDE + _GAP) - 2, SQUARES // _COLUMNS * (_SIDE + _GAP) - 2
    return svg.drawing(width, height, parts, description, "squares")


def square_counts(accuracy: Mapping[str, float]) -> tuple[int, int, int]:
    """Return how many of 100 squares are right, how many surely right, and how many surely wrong.

    An accuracy below 1 has at least one wrong square, and one above 0 a right one.
    """
    right = round(SQUARES * accuracy["value"])
    if 0 < accuracy["value"] < 1:
        right = min(max(right, 1), SQUARES - 1)
    surely_right = min(right, math.floor(SQUARES * accuracy["low"] + 1e-9))
    surely_wrong = min(SQUARES - right, math.floor(SQUARES * (1 - accuracy["high"]) + 1e-9))
    return right, surely_right, surely_wrong


def sentence(accuracy: Mapping[str, float], samples: int, seen: bool) -> str:
    """Say in words what a measured accuracy means for new images.

    Of 100 images, or of 1,000 where 100 would hide how near the result is to all or none; the interval is
    rounded outwards.

    Args:
        accuracy: `value`, `low`, `high`.
        samples: how many images were measured.
        seen: whether the network was trained on these very images.
    """
    fine = samples >= SQUARES and not 0.01 <= accuracy["value"] < 0.99
    base = 10 * SQUARES if fine else SQUARES
    low, high = math.floor(base * accuracy["low"] + 1e-9), math.ceil(base * accuracy["high"] - 1e-9)
    value = min(max(round(base * accuracy["value"]), low), high)
    if seen:
        return f"{value:,} of {base:,} training images are named correctly; new ones were not tested."
    return f"{value:,} of {base:,} new images would be named correctly, between {low:,} and {high:,}."


def facts(
    context: ReportContext, entry: Mapping[str, Any], history: pd.DataFrame | None
) -> list[tuple[str, str]]:
    """Return the few lines under the sentence: what was trained on what, for how long."""
    lines = [("Trained on", _trained_on(context, entry))]
    if context.network:
        lines.append(("Network", _network(context.network)))
    if training := _training(context, history):
        lines.append(("Training", training))
    frequent = entry["most_frequent"]
    name, share = wording.shorten(frequent["name"]), wording.percent(frequent["value"])
    lines.append(("For comparison", f"always naming '{name}' would get {share}"))
    if views := entry.get("test_views"):
        share = wording.percent(views["accuracy"]["value"])
        lines.append(("Averaged over views", f"{share}, {_VIEWS[views['name']]}; all else is without"))
    if goal := _goal(context, entry):
        lines.append(("Goal", goal))
    return lines


def kept_epoch(context: ReportContext, history: pd.DataFrame) -> int | None:
    """Return the epoch whose weights were kept: as the run says, else as its history does."""
    epoch = context.training.get("best_epoch")
    return chosen_epoch(history) if epoch is None else int(epoch)


def _trained_on(context: ReportContext, entry: Mapping[str, Any]) -> str:
    classes = wording.counted(len(entry["per_class"]), "class")
    images = sum(context.counts.get("train", ()))
    if not images:
        return f"{context.data_name}: {classes}"
    return f"{context.data_name}: {wording.counted(images, 'image')} of {classes}"


def _network(network: Mapping[str, Any]) -> str:
    parts = [str(network.get("name", ""))]
    if "parameters" in network:
        parts.append(wording.counted(int(network["parameters"]), "parameter"))
    if "multiply_adds" in network:
        parts.append(f"{_short_count(int(network['multiply_adds']))} multiply-adds an image")
    if shape := network.get("input_shape"):
        parts.append("input " + " x ".join(str(side) for side in shape))
    return ", ".join(part for part in parts if part)


def _short_count(count: int) -> str:
    for size, unit in ((10**9, "billion"), (10**6, "million")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:,}"


def _training(context: ReportContext, history: pd.DataFrame | None) -> str:
    parts: list[str] = []
    if history is not None:
        why = (
            "the best on validation"
            if has_validation(history)
            else "the last, as there is no validation split"
        )
        epochs = wording.counted(len(history), "epoch")
        parts.append(f"{epochs}; epoch {kept_epoch(context, history)} was kept ({why})")
    if "seconds" in context.training:
        parts.append(f"took {wording.duration(float(context.training['seconds']))}")
    if device := context.training.get("device"):
        parts.append(f"on {_DEVICES.get(where := str(device).split(',')[0], where)}")
    return ", ".join(parts)


def _goal(context: ReportContext, entry: Mapping[str, Any]) -> str:
    if context.goal is None:
        return ""
    low, high = entry["accuracy"]["low"], entry["accuracy"]["high"]
    goal = f"{100 * context.goal:.6g}\u00a0%"
    if low >= context.goal:
        return f"The goal of {goal} is reached: the whole interval lies above it."
    if high < context.goal:
        return f"The goal of {goal} is missed: the whole interval lies below it."
    reached = "reached" if entry["accuracy"]["value"] >= context.goal else "missed"
    return f"The goal of {goal} is {reached}, but it lies within the interval: this test cannot settle it."
