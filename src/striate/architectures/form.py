"""Layers as plain values (the form of YAML and JSON) and back.

A layer is the word for its kind (``relu``) or a mapping from that word to its arguments
(``conv2d: {out_channels: 32, kernel_size: 3}``). What is read is not trusted.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from striate.architectures.blocks import Block, Layers
from striate.architectures.kinds import KINDS
from striate.architectures.layers import Layer, checks
from striate.errors import SpecError, nearest, unknown_name

MAX_DEPTH = 8
"""Blocks inside blocks, at most."""

INFERRED = {"in_channels", "in_features", "num_features"}
"""Arguments of torch's layers that follow from the data here."""


def automatic_names(layers: Sequence[Layer]) -> list[str]:
    """Return the names that neighbours get unless they have their own: `conv1`, `relu1`, `conv2`, ..."""
    counts: Counter[str] = Counter()
    names = []
    for layer in layers:
        counts[layer.stem] += 1
        names.append(f"{layer.stem}{counts[layer.stem]}")
    return names


def parse_layers(items: Any, where: str, depth: int = 0) -> Layers:
    """Return the layers that plain `items` describe; errors say `where` they stand."""
    if not isinstance(items, list):
        raise SpecError(f"{where}: expected a list of layers, got {reprlib.repr(items)}.")
    if depth > MAX_DEPTH:
        raise SpecError(f"{where}: blocks stand in blocks more than {MAX_DEPTH} deep.")
    return tuple(parse_layer(item, f"{where}, layer {n}", depth) for n, item in enumerate(items, start=1))


def parse_layer(item: Any, where: str, depth: int = 0) -> Layer:
    """Return the layer that a word, or a mapping of one word to its arguments, describes."""
    word, arguments = _split(item, where)
    kind = KINDS.get(word)
    if kind is None:
        raise SpecError(f"{where}: {unknown_name('kind of layer', word, KINDS)}")
    _refuse_unknown(kind, arguments, where)
    if issubclass(kind, Block):
        arguments = _parse_parts(arguments, f"{where} ({word})", depth + 1)
    try:
        return kind(**arguments)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None


def dump_layers(layers: Sequence[Layer]) -> list[Any]:
    """Return `layers` as plain values, without what is as usual."""
    return [dump_layer(layer, usual) for layer, usual in zip(layers, automatic_names(layers), strict=True)]


def dump_layer(layer: Layer, usual_name: str) -> Any:
    """Return one layer as plain values; its name only if it is not the `usual_name`."""
    arguments: dict[str, Any] = {}
    if layer.name not in (None, usual_name):
        arguments["name"] = layer.name
    defaults = {entry.name: entry.default for entry in dataclasses.fields(layer)}
    for name in checks(type(layer)):
        value = getattr(layer, name)
        if value != defaults[name] or type(value) is not type(defaults[name]):
            arguments[name] = _plain(value)
    return {layer.kind: arguments} if arguments else layer.kind


def _split(item: Any, where: str) -> tuple[str, dict[str, Any]]:
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Mapping) and len(item) == 1:
        ((word, arguments),) = item.items()
        arguments = {} if arguments is None else arguments
        if isinstance(word, str) and isinstance(arguments, Mapping):
            return word, dict(arguments)
    raise SpecError(
        f"{where}: expected a kind of layer, as in 'relu' or 'conv2d: {{out_channels: 32, kernel_size: 3}}', "
        f"got {reprlib.repr(item)}."
    )


def _refuse_unknown(kind: type[Layer], arguments: Mapping[Any, Any], where: str) -> None:
    """Refuse arguments that a layer does not have, and the lack of those that it needs."""
    where = f"{where} ({kind.kind})"
    known = ("name", *checks(kind))
    for name in arguments:
        if name in INFERRED:
            raise SpecError(f"{where}: {name} follows from the data; leave it out.")
        if name not in known:
            guess = nearest(str(name), known)
            question = f"did you mean {guess!r}? " if guess else ""
            raise SpecError(
                f"{where}: unknown argument {reprlib.repr(name)}: {question}Known: {', '.join(known)}."
            )
    for entry in dataclasses.fields(kind):
        if entry.default is dataclasses.MISSING and entry.name not in arguments:
            raise SpecError(f"{where}: {entry.name} is missing.")


def _parse_parts(arguments: dict[str, Any], where: str, depth: int) -> dict[str, Any]:
    parsed = dict(arguments)
    for name in ("layers", "shortcut"):
        if parsed.get(name) is not None:
            parsed[name] = parse_layers(parsed[name], f"{where} {name}", depth)
    if isinstance(parsed.get("branches"), list):
        branches = enumerate(parsed["branches"], start=1)
        parsed["branches"] = [
            parse_layers(one, f"{where} branch {number}", depth) for number, one in branches
        ]
    return parsed


def _plain(value: Any) -> Any:
    """Return tuples as lists and layers as plain values."""
    if isinstance(value, tuple):
        if value and all(isinstance(one, Layer) for one in value):
            return dump_layers(value)
        return [_plain(one) for one in value]
    return value
