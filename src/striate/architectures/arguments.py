"""What the arguments of a layer may be.

Each check takes what an author wrote (in Python or YAML) and returns it in the form in which it is kept,
or raises `ValueError` with what was expected. The types below carry their check as an annotation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import numpy as np

Check = Callable[[Any], Any]

LARGEST = 65_536
"""Upper limit of every count and size, so that a damaged or hostile file cannot ask for all memory."""

NUM_CLASSES: Final = "num_classes"
"""The word that stands for the number of classes until the data is known."""


def whole(minimum: int) -> Check:
    """Return a check for whole numbers from `minimum` to `LARGEST`."""

    def check(value: Any) -> int:
        is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not is_whole or not minimum <= value <= LARGEST:
            raise ValueError(f"a whole number from {minimum} to {LARGEST}")
        return int(value)

    return check


def number(minimum: float, maximum: float = math.inf) -> Check:
    """Return a check for finite numbers from `minimum` to `maximum`.

    Text such as ``1e-5`` is taken too: YAML reads it as text unless it is written ``1.0e-5``.
    """

    def check(value: Any) -> float:
        expected = (
            f"a number of at least {minimum}"
            if maximum == math.inf
            else f"a number from {minimum} to {maximum}"
        )
        if isinstance(value, bool) or not isinstance(value, int | float | str | np.number):
            raise ValueError(expected)
        try:
            converted = float(value)
        except (ValueError, OverflowError):
            raise ValueError(expected) from None
        if not math.isfinite(converted) or not minimum <= converted <= maximum:
            raise ValueError(expected)
        return converted

    return check


def pair(minimum: int) -> Check:
    """Return a check for one whole number, or two for height and width."""
    one = whole(minimum)

    def check(value: Any) -> int | tuple[int, int]:
        if isinstance(value, list | tuple) and len(value) == 2:
            return (one(value[0]), one(value[1]))
        try:
            return int(one(value))
        except ValueError as error:
            raise ValueError(f"{error}, or two of them [height, width]") from None

    return check


def choice(*known: str) -> Check:
    """Return a check for one of the `known` words."""

    def check(value: Any) -> str:
        if value not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return str(value)

    return check


def check_flag(value: Any) -> bool:
    """Take true or false, nothing else."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def check_units(value: Any) -> int | str:
    """Take a number of channels or features, or the word `num_classes`."""
    if value == NUM_CLASSES:
        return NUM_CLASSES
    try:
        return int(whole(1)(value))
    except ValueError as error:
        raise ValueError(f"{error}, or the word {NUM_CLASSES}") from None


def check_padding(value: Any) -> Any:
    """Take `same`, `valid`, one number, [height, width] or [[top, bottom], [left, right]]."""
    if isinstance(value, str) and value in ("same", "valid"):
        return value
    side = whole(0)
    try:
        if (
            isinstance(value, list | tuple)
            and len(value) == 2
            and all(isinstance(v, list | tuple) for v in value)
        ):
            (top, bottom), (left, right) = value
            return ((side(top), side(bottom)), (side(left), side(right)))
        return pair(0)(value)
    except ValueError:
        raise ValueError(
            f"a whole number from 0 to {LARGEST}, [height, width], [[top, bottom], [left, right]] of such, "
            "'same' or 'valid'"
        ) from None


def check_init(value: Any) -> str | dict[str, float]:
    """Take `torch`, `he`, `identity` or {normal: deviation}."""
    if isinstance(value, str) and value in ("torch", "he", "identity"):
        return value
    if isinstance(value, Mapping) and set(value) == {"normal"}:
        try:
            return {"normal": number(0)(value["normal"])}
        except ValueError:
            pass  # the message below says what was expected
    raise ValueError("'torch', 'he', 'identity' or {normal: standard deviation}")


Count = Annotated[int, whole(1)]
Units = Annotated[int | Literal["num_classes"], check_units]
Pair = Annotated[int | tuple[int, int], pair(1)]
PoolPadding = Annotated[int | tuple[int, int], pair(0)]
Sides = tuple[tuple[int, int], tuple[int, int]]
"""((top, bottom), (left, right))."""
Padding = Annotated[int | tuple[int, int] | Sides | Literal["same", "valid"], check_padding]
Flag = Annotated[bool, check_flag]
Probability = Annotated[float, number(0, 1)]
Real = Annotated[float, number(0)]
Init = Annotated[Literal["torch", "he", "identity"] | dict[str, float], check_init]


def both(value: int | tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) for one number or two."""
    return value if isinstance(value, tuple) else (value, value)
