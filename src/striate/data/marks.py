"""Marks that a person gave to images: which to leave out, and which have another class.

An audit's page saves them as a CSV file with the columns `image,action,label`. One file serves `--exclude`
(its rows marked `drop`) and `--relabel` (its rows marked `relabel`); without `action`, every row counts.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from striate.data.layout import class_name
from striate.data.sources import Source
from striate.errors import DataError, unknown_name
from striate.schemas import unguard

ACTIONS = ("keep", "drop", "relabel")
EXCLUDED = "left out by --exclude"


def apply_marks(source: Source, exclude: str | None, relabel: str | None) -> Source:
    """Return `source` with the images that `relabel` names in new classes, and those of `exclude` left out.

    Raises:
        DataError: a file cannot be read, or names an image, a class or an action that there is not.
    """
    changed = source if relabel is None else _relabel(source, relabel)
    return changed if exclude is None else _exclude(changed, exclude)


def _relabel(source: Source, file: str) -> Source:
    labels = {image: class_name(label) for image, label in _rows(file, "relabel", ("image", "label"))}
    _check_images(labels, source, f"--relabel {file}")
    known = {label for names in source.classes.values() for label in names}
    unknown = [label for label in labels.values() if label not in known]
    if unknown:
        raise DataError(f"--relabel {file}: {unknown_name('class', unknown[0], known)}")
    samples = tuple(replace(sample, label=labels.get(sample.path, sample.label)) for sample in source.samples)
    changed = sum(new.label != old.label for new, old in zip(samples, source.samples, strict=True))
    message = f"Gave {changed} image(s) another class, as --relabel says."
    return replace(source, samples=samples, messages=(*source.messages, message))


def _exclude(source: Source, file: str) -> Source:
    images = {image for image, _ in _rows(file, "drop", ("image",))}
    _check_images(images, source, f"--exclude {file}")
    samples = tuple(
        replace(sample, note=EXCLUDED) if sample.path in images and not sample.note else sample
        for sample in source.samples
    )
    message = f"Left out {len(images)} image(s), as --exclude says."
    return replace(source, samples=samples, messages=(*source.messages, message))


def _rows(file: str, wanted: str, columns: Sequence[str]) -> list[tuple[str, str]]:
    """Return image and label of the rows whose action is `wanted`."""
    try:
        with Path(file).expanduser().open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened)
            names = reader.fieldnames or ()
            missing = [column for column in columns if column not in names]
            if missing:
                raise DataError(
                    f"{file} has no column {missing[0]!r}: expected image,action,label, "
                    "as an audit's page saves them."
                )
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read marks from {file}: {reason}. Expected a CSV file in UTF-8.") from error
    found = []
    for line, row in rows:
        action = (row.get("action") or wanted) if "action" in names else wanted
        if action not in ACTIONS:
            raise DataError(f"{file}, line {line}: {unknown_name('action', action, ACTIONS)}")
        if action == wanted:
            found.append((unguard(row["image"] or ""), unguard(row.get("label") or "")))
    return found


def _check_images(images: Sequence[str] | set[str] | dict[str, str], source: Source, where: str) -> None:
    """Refuse names of images that the data does not hold.

    Raises:
        DataError: names the first and says how many there are.
    """
    known = {sample.path for sample in source.samples} | {row[0] for row in source.quarantine}
    unknown = [image for image in images if image not in known]
    if unknown:
        raise DataError(
            f"{where} names {len(unknown)} image(s) that {source.name} does not hold, the first: "
            f"{unknown[0]!r}. Expected paths as in samples.csv."
        )
