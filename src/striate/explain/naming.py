"""Layers by name or number, whatever computes the network."""

from __future__ import annotations

from collections.abc import Sequence

from striate.errors import UserError, nearest


def find_name(layer: str | int, names: Sequence[str]) -> str:
    """Return the name of a layer.

    Args:
        layer: its name, or its number in `names`, from the end if negative; a number may be text.
        names: of all layers.

    Raises:
        UserError: there is no such layer; the text lists them, the nearest first.
    """
    if layer in names:
        return str(layer)
    try:
        return names[int(layer)]
    except (ValueError, IndexError):
        raise UserError(_no_such_layer(str(layer), names)) from None


def check_channel(number: int, count: int, layer: str) -> None:
    """Refuse a number that is not that of a channel."""
    if not 0 <= number < count:
        raise UserError(f"channel {number} is out of range: {layer} has {count}, numbered from 0.")


def _no_such_layer(layer: str, names: Sequence[str]) -> str:
    guess = nearest(layer, names)
    question = f"did you mean {guess!r}? " if guess else ""
    others = [name for name in names if name != guess]
    listed = ", ".join([guess, *others] if guess else others)
    return f"no layer {layer!r}: {question}There are {len(names)}, numbered from 0: {listed}."
