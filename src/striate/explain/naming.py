"""Layers by name or number, whatever computes the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from striate.errors import UserError, nearest

LONG = 40
"""A name with more letters than this is shortened where people read it."""


class LayerCall(NamedTuple):
    """A layer, and which of its calls for one image: from 1, as `relu #2`; None: the last."""

    name: str
    number: int | None = None

    def __str__(self) -> str:
        return self.name if self.number is None else f"{self.name} #{self.number}"

    def check(self, calls: int) -> None:
        """Refuse a call that does not come."""
        if self.number is not None and self.number > calls:
            times = "once" if calls == 1 else f"{calls} times"
            raise UserError(f"there is no {str(self)!r}: layer {self.name!r} is called {times} for an image.")


def find_call(layer: str | int, names: Sequence[str]) -> LayerCall:
    """Return a layer, given as `find_name` takes it, and the call that a number behind ` #` names.

    Raises:
        UserError: there is no such layer.
    """
    before, mark, number = str(layer).rpartition(" #")
    if layer in names or not mark or not number.isdecimal() or int(number) < 1:
        return LayerCall(find_name(layer, names))
    return LayerCall(find_name(before, names), int(number))


def find_name(layer: str | int, names: Sequence[str]) -> str:
    """Return the name of a layer.

    Args:
        layer: its name; or the end of it, from a dot on, where no other layer's name ends so; or its number
            in `names`, from the end if negative; a number may be text.
        names: of all layers.

    Raises:
        UserError: there is no such layer; the text lists them, the nearest first.
    """
    if layer in names:
        return str(layer)
    try:
        return names[int(layer)]
    except IndexError:
        raise UserError(_no_such_layer(str(layer), names)) from None
    except ValueError:
        ending = _ending(str(layer), names)
        if len(ending) > 1:
            text = f"{len(ending)} layers end in {str(layer)!r}: {', '.join(ending)}. Say more of the name."
            raise UserError(text) from None
        if not ending:
            raise UserError(_no_such_layer(str(layer), names)) from None
        return ending[0]


def short_name(name: str, names: Sequence[str]) -> str:
    """Return the shortest end of a long name, from a dot on, that means it alone, as `find_name` takes it.

    Args:
        name: of the layer.
        names: of all layers.
    """
    parts = name.split(".")
    for start in reversed(range(len(parts) if len(name) > LONG else 0)):
        tail = ".".join(parts[start:])
        if not tail.isdecimal() and len(_ending(tail, names)) == 1:
            return tail
    return name


def _ending(tail: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if name == tail or name.endswith(f".{tail}")]


def check_channel(number: int, count: int, layer: str) -> None:
    """Refuse a number that is not that of a channel."""
    if not 0 <= number < count:
        raise UserError(f"channel {number} is out of range: {layer} has {count}, numbered from 0.")


def _no_such_layer(layer: str, names: Sequence[str]) -> str:
    short = [short_name(name, names) for name in names]
    guess = nearest(layer, short)
    question = f"did you mean {guess!r}? T" if guess else "t"
    others = [name for name in short if name != guess]
    listed = ", ".join([guess, *others] if guess else others)
    return f"no layer {layer!r}: {question}here are {len(names)}, numbered from 0: {listed}."
