"""CSV files with a row for each image: `image,label` and, if wanted, `split`."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from striate.data.folders import FolderReader
from striate.data.layout import SPLIT_NAMES, class_name, split_of
from striate.data.sources import Sample, Source
from striate.errors import DataError

EXPECTED = "image, label and, if wanted, split"


def read_csv(path: Path) -> Source:
    """Return the samples of a CSV file; image paths are relative to its folder, or absolute.

    Raises:
        DataError: columns or values are missing or unknown, or files that it names are.
    """
    rows = _rows(path)
    samples, messages = _without_repeats(rows, path)
    missing = [sample.path for sample in samples if not os.path.isfile(path.parent / sample.path)]
    if missing:
        shown = ", ".join(repr(name) for name in missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise DataError(
            f"{len(missing)} of the {len(samples)} files that {path} names are missing: {shown}. "
            f"Paths are relative to {path.parent.absolute()}."
        )
    samples = _with_notes(samples)
    unsplit = sum(1 for sample in samples if sample.note)
    if unsplit:
        messages.append(f"Left out {unsplit} row(s) that have no split, as others do.")
    classes: dict[str, tuple[str, ...]] = {
        split: tuple(sorted({sample.label for sample in samples if sample.split == split}))
        for split in {sample.split for sample in samples}
    }
    return Source(
        name=path.stem,
        samples=tuple(sorted(samples, key=lambda sample: sample.path)),
        reader=FolderReader(str(path.parent.absolute())),
        classes=classes,
        messages=tuple(messages),
    )


def _rows(path: Path) -> list[tuple[int, Sample]]:
    """Return each row's line number and sample."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            columns = _columns(next(reader, []), path)
            return [
                (reader.line_num, _sample(row, columns, f"{path}, line {reader.line_num}"))
                for row in reader
                if any(cell.strip() for cell in row)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}. Expected a CSV file in UTF-8.") from error


def _columns(header: list[str], path: Path) -> dict[str, int]:
    names = [name.strip().lower() for name in header]
    if "image" not in names or "label" not in names:
        found = ", ".join(name.strip()[:40] for name in header[:10]) or "none"
        raise DataError(f"{path} lacks columns: expected {EXPECTED}; found {found}.")
    return {name: names.index(name) for name in ("image", "label", "split") if name in names}


def _sample(row: list[str], columns: dict[str, int], where: str) -> Sample:
    if len(row) <= max(columns.values()):
        raise DataError(f"{where} has {len(row)} values; expected {EXPECTED}, as in the first line.")
    image, label = row[columns["image"]].strip(), class_name(row[columns["label"]].strip())
    split = row[columns["split"]].strip() if "split" in columns else ""
    if "\0" in image:
        raise DataError(f"{where} has a NUL in the name of the image; no file is called so.")
    if not image or not label:
        raise DataError(f"{where} has no {'image' if not image else 'label'}.")
    if split and split_of(split) is None:
        raise DataError(f"{where} has the split {split!r}; expected one of {', '.join(SPLIT_NAMES)}.")
    return Sample(image, label, split_of(split) or "")


def _without_repeats(rows: list[tuple[int, Sample]], path: Path) -> tuple[list[Sample], list[str]]:
    """Keep one row for each file; one that a link names again is the same file, as in folders.

    Raises:
        DataError: two rows give one path different labels or splits.
    """
    kept: dict[str, tuple[int, Sample]] = {}
    for line, sample in rows:
        place = path.parent / sample.path
        first_line, first = kept.setdefault(os.path.realpath(place), (line, sample))
        linked = os.path.normpath(place) != os.path.normpath(path.parent / first.path)
        if not linked and (first.label, first.split) != (sample.label, sample.split):
            raise DataError(
                f"{path} names {sample.path!r} twice, with different labels or splits: "
                f"lines {first_line} and {line}. Keep one."
            )
    repeats = len(rows) - len(kept)
    messages = [f"Ignored {repeats} row(s) that name an image again."] if repeats else []
    return [sample for _, sample in kept.values()], messages


def _with_notes(samples: list[Sample]) -> list[Sample]:
    """Note the rows without a split, where others have one."""
    if not any(sample.split for sample in samples):
        return samples
    return [
        sample if sample.split else Sample(sample.path, sample.label, "", "the table gives it no split")
        for sample in samples
    ]
