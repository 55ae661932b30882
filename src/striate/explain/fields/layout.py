"""Where rows and columns of a map lie among the axes of a tensor, and where they go when it is rearranged."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple


class Part(NamedTuple):
    """A factor of an axis.

    Attributes:
        role: "rows", "columns", "tokens" (places in a row, which cannot be told apart any more) or "" (batch,
            channels, anything that is no place).
        length: values.
    """

    role: str
    length: int


Axis = tuple[Part, ...]
"""An axis: what was merged into it, outermost first."""
Layout = tuple[Axis, ...]
"""An axis for each dimension of a tensor."""


def plain(shape: Sequence[int]) -> Layout:
    """Return the layout of a tensor whose axes are no places."""
    return tuple((Part("", length),) for length in shape)


def of_images(shape: Sequence[int]) -> Layout:
    """Return the layout of images (N, C, H, W)."""
    return tuple(
        (Part(role, length),) for role, length in zip(("", "", "rows", "columns"), shape, strict=True)
    )


def has_places(axis: Axis) -> bool:
    """Return whether different values along an axis belong to different places."""
    return any(part.role and part.length > 1 for part in axis)


def role_of(axis: Axis) -> str:
    """Return "rows", "columns" or "tokens" for an axis of places, "" for one of none, "mixed" for others."""
    if not has_places(axis):
        return axis[0].role if len(axis) == 1 else ""
    parts = [part for part in axis if part.length > 1]
    return parts[0].role if len(parts) == 1 else "mixed"


def lengths(layout: Layout) -> tuple[int, ...]:
    """Return the shape."""
    return tuple(prod(part.length for part in axis) for axis in layout)


def reshaped(layout: Layout, shape: Sequence[int]) -> Layout | None:
    """Return the layout after a reshape, or None if it cuts an axis of places into pieces."""
    parts = [part for axis in layout for part in axis if part.length > 1]
    axes: list[Axis] = []
    for length in shape:
        taken = _take(parts, length)
        if taken is None:
            return None
        axes.append(taken)
    return tuple(axes)


def _take(parts: list[Part], length: int) -> Axis | None:
    """Take parts that make up an axis of `length` off the front of `parts`."""
    taken: list[Part] = []
    while length > 1:
        if not parts:
            return None
        part = parts.pop(0)
        if length % part.length:
            if part.role or part.length % length:
                return None
            parts.insert(0, Part("", part.length // length))
            part = Part("", length)
        taken.append(part)
        length //= part.length
    return _merged(taken) or (Part("", 1),)


def _merged(parts: Sequence[Part]) -> Axis:
    """Join neighbours that are no places."""
    merged: list[Part] = []
    for part in parts:
        if merged and not part.role and not merged[-1].role:
            merged[-1] = Part("", merged[-1].length * part.length)
        else:
            merged.append(part)
    return tuple(merged)


def broadcast(layouts: Sequence[Layout], shape: Sequence[int]) -> Layout | None:
    """Return the layout of an element-wise result of `shape`, or None if places do not lie on one another."""
    axes: list[Axis] = []
    for back in range(len(shape), 0, -1):
        own = [layout[-back] for layout in layouts if len(layout) >= back]
        axis = _same([axis for axis in own if lengths((axis,)) == (shape[-back],)], shape[-back])
        if axis is None:
            return None
        axes.append(axis)
    return tuple(axes)


def _same(axes: Sequence[Axis], length: int) -> Axis | None:
    """Return the axis that all agree on; axes without places give way to others."""
    placed = {axis for axis in axes if has_places(axis)}
    if len(placed) > 1:
        return None
    if placed:
        return placed.pop()
    return axes[0] if axes else (Part("", length),)


def places(layout: Layout) -> list[str]:
    """Return the roles of all axes of places."""
    return [role_of(axis) for axis in layout if has_places(axis)]
