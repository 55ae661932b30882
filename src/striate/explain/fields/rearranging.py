"""What operations that compute nothing, but move values about, do to receptive fields. Imports torch."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

from torch import Tensor

from striate.explain.fields import layout as axes
from striate.explain.fields.field import Field, Span, Spans
from striate.explain.fields.layout import Layout, Part
from striate.explain.fields.operations import Arguments, Rule, Tracked

WINDOWS = "maps are cut into windows, which are not followed"
_ORDER = ("rows", "columns")


def view(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """A reshape; maps of more than one value laid in a row are marked as such."""
    found = axes.reshaped(x.layout, result.shape)
    if found is None:
        return x.whole(WINDOWS, result.shape)
    flat = any(axes.role_of(axis) == "mixed" for axis in found)
    return Tracked(replace(x.field, flat=flat and x.field.spans is not None), found)


def permute(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Axes in another order."""
    return Tracked(x.field, tuple(x.layout[axis] for axis in given["dims"]))


def transpose(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Two axes exchanged."""
    order = list(range(len(x.layout)))
    first, second = given.get("dim0", 0), given.get("dim1", 1)
    order[first], order[second] = order[second], order[first]
    return Tracked(x.field, tuple(x.layout[axis] for axis in order))


def squeeze(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Axes of one value left out."""
    named = given.get("dim")
    chosen = range(len(x.layout)) if named is None else [named] if isinstance(named, int) else named
    dropped = {axis % len(x.layout) for axis in chosen if axes.lengths(x.layout)[axis] == 1}
    return Tracked(x.field, tuple(axis for place, axis in enumerate(x.layout) if place not in dropped))


def unsqueeze(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """A new axis of one value."""
    place = given["dim"] % result.ndim
    return Tracked(x.field, (*x.layout[:place], (Part("", 1),), *x.layout[place:]))


def expand(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Axes of one value repeated; no axis of places is one of them."""
    layout = (*axes.plain((1,) * (result.ndim - len(x.layout))), *x.layout)
    pairs = zip(layout, result.shape, strict=True)
    return Tracked(x.field, tuple(_sized(axis, length) for axis, length in pairs))


def select(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """One value of an axis."""
    place = given["dim"] % len(x.layout)
    return Tracked(x.field, (*x.layout[:place], *x.layout[place + 1 :]))


def part(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Every step-th value of an axis from a first one on."""
    place = given["dim"] % len(x.layout)
    axis = x.layout[place]
    layout = _resized(x.layout, place, result.shape[place])
    if not axes.has_places(axis) or axes.role_of(axis) == "tokens":
        return Tracked(x.field, layout)
    if axes.role_of(axis) not in _ORDER or x.field.spans is None:
        return None
    first = given.get("start") or 0
    first = first if first >= 0 else first + axes.lengths(x.layout)[place]
    spans = list(x.field.spans)
    which = _ORDER.index(axes.role_of(axis))
    span = spans[which]
    spans[which] = Span(span.size, span.stride * given["step"], span.start + first * span.stride)
    return Tracked(replace(x.field, spans=_pair(spans)), layout)


def pieces(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """An axis that is no place cut into pieces."""
    place = given["dim"] % len(x.layout)
    if axes.has_places(x.layout[place]):
        return None
    gone = result.ndim < len(x.layout)
    axis = () if gone else (_sized(x.layout[place], result.shape[place]),)
    return Tracked(x.field, (*x.layout[:place], *axis, *x.layout[place + 1 :]))


def joined(operands: list[Tracked], given: Arguments, result: Tensor, *, stacked: bool) -> Tracked | None:
    """Several tensors along one axis, or along a new one; what is added to tokens is a token."""
    place = given["dim"] % result.ndim
    field = reduce(Field.joined, (one.field for one in operands))
    if stacked:
        layout = operands[0].layout
        return Tracked(field, (*layout[:place], (Part("", result.shape[place]),), *layout[place:]))
    layout = operands[0].layout
    if not any(axes.has_places(one.layout[place]) for one in operands):
        return Tracked(field, _resized(layout, place, result.shape[place]))
    if axes.role_of(layout[place]) in ("mixed", "tokens") and len(operands) == 1:
        token = (Part("tokens", result.shape[place]),)
        return Tracked(replace(field, flat=False), (*layout[:place], token, *layout[place + 1 :]))
    return None


def pad(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Values around a map move its places; mirrored ones are counted as if they lay outside."""
    sides = given["pad"] if "pad" in given else given["padding"]
    before = {result.ndim - 1 - n: sides[2 * n] for n in range(len(sides) // 2)}
    layout, spans = x.layout, list(x.field.spans or ())
    for place, count in before.items():
        role = axes.role_of(layout[place])
        if axes.has_places(layout[place]) and role not in _ORDER:
            return None
        if spans and role in _ORDER:
            span = spans[_ORDER.index(role)]
            spans[_ORDER.index(role)] = Span(span.size, span.stride, span.start - count * span.stride)
        layout = _resized(layout, place, result.shape[place])
    return Tracked(replace(x.field, spans=_pair(spans) if spans else None), layout)


def unshuffle(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Squares of pixels become channels: a window of that size and stride."""
    factor = given["downscale_factor"]
    return Tracked(x.field.window(factor, factor), axes.of_images(result.shape))


def shuffle(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Channels become squares of pixels, all of which see what the one place saw."""
    if x.field.spans is None:
        return Tracked(x.field, axes.of_images(result.shape))
    factor = given["upscale_factor"]
    spans = [span.spread(factor, factor) for span in x.field.spans]
    return Tracked(replace(x.field, spans=_pair(spans)), axes.of_images(result.shape))


def same(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Nothing happens to places."""
    return x


def _sized(axis: axes.Axis, length: int) -> axes.Axis:
    return axis if axes.lengths((axis,)) == (length,) else (Part(axes.role_of(axis), length),)


def _resized(layout: Layout, place: int, length: int) -> Layout:
    return (*layout[:place], _sized(layout[place], length), *layout[place + 1 :])


def _pair(spans: list[Any]) -> Spans:
    return spans[0], spans[1]


REARRANGING: dict[str, Rule] = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), view),
    "permute": permute,
    **dict.fromkeys(("transpose", "t"), transpose),
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "expand": expand,
    "select": select,
    "slice": part,
    **dict.fromkeys(("split", "split_with_sizes", "unbind"), pieces),
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d"), pad),
    "pixel_unshuffle": unshuffle,
    "pixel_shuffle": shuffle,
    **dict.fromkeys(("_to_copy", "alias", "detach", "lift_fresh", "channel_shuffle", "contiguous"), same),
}
"""The rule of each operation by its name, without `aten::`."""
