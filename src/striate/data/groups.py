"""Groups of images that belong together (of one plant, one patient, one video) and must stay in one split."""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from striate.data.sources import Source
from striate.errors import DataError


def group_names(source: Source, data: str, group_by: str) -> list[str]:
    """Return the group of each sample of `source`.

    Args:
        source: what `data` was found to be.
        data: as the user calls it.
        group_by: a column of the CSV file `data`; else a regular expression, searched for in each path: what
            its first pair of brackets (or all of it) matches names the group. An image without a value is a
            group of its own.

    Raises:
        DataError: there is no such column, and it is no pattern that any path has; or the column gives one
            image two groups.
    """
    named = _by_column(source, data, group_by)
    named = _by_pattern(source, group_by) if named is None else named
    return [
        f"group {name}" if name else f"image {sample.path}"
        for name, sample in zip(named, source.samples, strict=True)
    ]


def spread_over(groups: Sequence[str], splits: Sequence[str]) -> list[str]:
    """Return the groups whose images lie in several of the splits, sorted; `""` is no split."""
    places: dict[str, set[str]] = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        if split:
            places[group].add(split)
    return sorted(group for group, found in places.items() if len(found) > 1)


def _by_column(source: Source, data: str, column: str) -> list[str] | None:
    """Return the value of each image in a column of a CSV file; None where there is no such column."""
    path = Path(os.path.expanduser(data))
    if path.suffix.lower() != ".csv" or not path.is_file():
        return None
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, skipinitialspace=True)
        header = [name.strip().lower() for name in next(reader, [])]
        if column.strip().lower() not in header:
            return None
        image, value = header.index("image"), header.index(column.strip().lower())
        rows = [row for row in reader if row]
    values: dict[str, str] = {}
    for row in rows:
        if len(row) <= max(image, value) or not row[value].strip():
            continue
        place, named = _place(path, row[image].strip()), row[value].strip()
        if values.setdefault(place, named) != named:
            raise DataError(
                f"{path} gives {row[image].strip()!r} two values of {column}: {values[place]!r} and "
                f"{named!r}. Keep one."
            )
    return [values.get(_place(path, sample.path), "") for sample in source.samples]


def _place(table: Path, image: str) -> str:
    """Return the file that a table means by `image`, however it writes the path."""
    return os.path.normpath(table.parent / image)


def _by_pattern(source: Source, pattern: str) -> list[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(
            f"--group-by {pattern!r} is neither a column of the data nor a pattern: {error}. "
            "Expected a regular expression, such as '([^/]+)_[0-9]+'."
        ) from error
    found = [compiled.search(sample.path) for sample in source.samples]
    names = [
        "" if match is None else (match.group(1) or "" if compiled.groups else match.group(0))
        for match in found
    ]
    if not any(names):
        example = source.samples[0].path if source.samples else ""
        raise DataError(
            f"--group-by {pattern!r} is no column of the data, and no path has it (the first: {example!r})."
        )
    return names
