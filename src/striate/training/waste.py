"""Which part of a training step wastes most, and what to do about it, in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.training.devices import GAINFUL_MULTIPLY_ADDS, cpu_has_bf16

if TYPE_CHECKING:
    from collections.abc import Mapping

    from striate.config import TrainConfig
    from striate.training.devices import Engine

COMPUTING = ("forward", "backward")
_LARGE_BATCH = 128


@dataclass(frozen=True)
class Terms:
    """On what terms a step was measured.

    Attributes:
        config: the settings.
        engine: device, precision and memory format.
        in_memory: whether images lie decoded in memory.
        workers: threads that decode ahead, if not.
        allocator_tuned: whether freed memory is kept.
        operations: of an image, forward and backward.
        batch_size: images a step.
        images: that there are to train on.
    """

    config: TrainConfig
    engine: Engine
    in_memory: bool
    workers: int
    allocator_tuned: bool
    operations: float
    batch_size: int
    images: int


@dataclass(frozen=True)
class Waste:
    """Time of a step in which no matrices are multiplied at the machine's peak.

    Attributes:
        part: one of `stopwatch.PARTS`, "rest", or "computing" for forward and backward together.
        seconds: of a step.
        share: of the step.
        advice: what to do about it, a sentence.
    """

    part: str
    seconds: float
    share: float
    advice: str


def largest_waste(parts: Mapping[str, float], ideal: float, terms: Terms) -> Waste:
    """Return the part that wastes most.

    Forward and backward pass waste what they take beyond `ideal`; all else is waste altogether.

    Args:
        parts: seconds of a step by part, with "rest".
        ideal: seconds that a step's operations take at the machine's peak.
        terms: of the measurement.
    """
    wasted = {name: seconds for name, seconds in parts.items() if name not in COMPUTING}
    wasted["computing"] = max(0.0, sum(parts.get(name, 0.0) for name in COMPUTING) - ideal)
    part = max(wasted, key=wasted.__getitem__)
    share = wasted[part] / sum(parts.values())
    return Waste(part, wasted[part], share, _advice(part, terms))


def _advice(part: str, terms: Terms) -> str:
    """Return what to do about a part that wastes most."""
    config = terms.config
    larger = "take a larger --batch-size, which spreads it over more images"
    if 2 * terms.batch_size > terms.images:
        larger = "these images are too few for a larger --batch-size; train on more"
    advice = {
        "decode": _decoding(terms),
        "augment": f"choose an --augment that costs less than {config.augment}"
        + (", or leave out mixup and cutmix." if config.mixup or config.cutmix else "."),
        "normalize": "it grows with the pixels alone: choose a smaller --image-size.",
        "transfer": "choose --memory-format contiguous, which copies no image into another layout."
        if terms.engine.memory_format == "channels-last" and terms.engine.device == "cpu"
        else f"{larger}.",
        "optimizer": f"{larger}" + (", or --optimizer sgd." if config.optimizer != "sgd" else "."),
        "logging": f"{larger}, and --quiet.",
        "rest": f"it is the loop around the steps: {larger}.",
        "computing": _computing(terms),
    }
    return advice[part]


def _decoding(terms: Terms) -> str:
    """Return what makes decoding cheaper."""
    if terms.in_memory:
        return "images are only copied from memory: choose a smaller --image-size."
    if terms.workers < 1:
        return "let threads decode ahead with --num-workers 1 or more."
    return "raise --num-workers, or train on files nearer to the size of the input."


def _computing(terms: Terms) -> str:
    """Return what brings convolutions nearer to the peak."""
    config, engine = terms.config, terms.engine
    large = terms.operations >= 2 * 3 * GAINFUL_MULTIPLY_ADDS  # the backward pass takes twice the forward's
    if engine.device == "cpu" and not terms.allocator_tuned:
        return "let the allocator keep memory: leave STRIATE_TUNE_ALLOCATOR unset."
    if large and engine.precision == "32" and (engine.device == "cuda" or cpu_has_bf16()):
        return "compute in bfloat16: --precision bf16."
    if large and engine.memory_format == "contiguous" and config.memory_format == "contiguous":
        return "lay channels side by side: --memory-format channels-last."
    if terms.batch_size < _LARGE_BATCH <= terms.images // 2:
        return f"give each operation more to do: a --batch-size of {_LARGE_BATCH} or more."
    return "the layers wait for memory more than they multiply: fewer and wider ones do more in the time."
