"""Several labelled sets that one evaluation measures, each with its weight in the total."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from striate import schemas
from striate.errors import UserError

PathLike = str | os.PathLike[str]
Given = PathLike | tuple[PathLike, float | None]
"""A set as the user gives it: its data, or its data and its weight."""


@dataclass(frozen=True)
class EvaluatedSet:
    """One set: its name, the data, and its weight in the total, a positive number."""

    name: str
    data: str
    weight: float


def parse_sets(texts: Iterable[str]) -> dict[str, tuple[str, float | None]]:
    """Return what `--set NAME=DATA:WEIGHT`, repeated, says: name -> (data, weight or None).

    The first `=` ends the name, and the last `:` begins the weight where a number follows it; so a path may
    hold either.

    Raises:
        UserError: there is no name or no data, or the same name stands twice.
    """
    sets: dict[str, tuple[str, float | None]] = {}
    for text in texts:
        name, separator, rest = text.partition("=")
        data, weight = _weighted(rest)
        if not separator or not name or not data:
            raise UserError(
                f"--set {text!r}: expected NAME=DATA or NAME=DATA:WEIGHT, as in --set new=photos:0.1."
            )
        if name in sets:
            raise UserError(f"--set {name} is given twice; give every set a name of its own.")
        sets[name] = (data, weight)
    return sets


def check_sets(sets: Mapping[str, Given]) -> tuple[EvaluatedSet, ...]:
    """Return the sets, in their order, with their weights: equal ones where none is given.

    Raises:
        UserError: a name that cannot be part of a file's name, data that is not there, a weight that is not a
            positive number, or weights for some of the sets alone.
    """
    from striate.data import NAMES

    if not sets:
        raise UserError("sets are empty: expected at least one, as in --set new=photos.")
    _check_names(list(sets))
    pairs = {name: _pair(name, given) for name, given in sets.items()}
    for name, (data, _) in pairs.items():
        if not (data and os.path.exists(os.path.expanduser(data))) and data.lower() not in NAMES:
            raise UserError(f"set {name!r}: no such path: {data!r}; nor a known data set.")
    lacking = [name for name, (_, weight) in pairs.items() if weight is None]
    if lacking and len(lacking) < len(pairs):
        raise UserError(
            f"set {lacking[0]!r} has no weight, but others have. Give every set a weight, or none."
        )
    return tuple(
        EvaluatedSet(name, data, 1.0 if weight is None else weight) for name, (data, weight) in pairs.items()
    )


def _weighted(rest: str) -> tuple[str, float | None]:
    """Split `DATA:WEIGHT`; what follows the last colon and is no number belongs to the path."""
    data, separator, tail = rest.rpartition(":")
    try:
        return (data, float(tail)) if separator else (rest, None)
    except ValueError:
        return rest, None


def _check_names(names: list[str]) -> None:
    for name in names:
        if not isinstance(name, str) or not schemas.is_set_name(name):
            raise UserError(
                f"{name!r} cannot be the name of a set: expected up to 40 letters, digits, - and _, first a "
                f"letter or digit; {', '.join(schemas.SPLITS)} and total have meanings of their own."
            )
    lower = [name.casefold() for name in names]
    twice = [name for name, key in zip(names, lower, strict=True) if lower.count(key) > 1]
    if twice:
        raise UserError(f"the set names {' and '.join(map(repr, twice))} differ in letter case alone.")


def _pair(name: str, given: Any) -> tuple[str, float | None]:
    """Return the data and the weight of one set."""
    pair = given if isinstance(given, tuple | list) else (given, None)
    if len(pair) != 2 or not isinstance(pair[0], str | os.PathLike):
        raise UserError(f"set {name!r} is {given!r}: expected its data, or (data, weight).")
    data, weight = pair
    if weight is None:
        return os.fspath(data), None
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not (0 < weight < math.inf):
        raise UserError(f"set {name!r} has the weight {weight!r}: expected a positive number, such as 0.6.")
    return os.fspath(data), float(weight)
