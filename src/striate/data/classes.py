"""Class names: choosing some, and telling which classes a split lacks or has too many of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from striate.data.layout import class_name
from striate.data.sources import Source
from striate.errors import DataError, unknown_name


def choose_classes(source: Source, wanted: Sequence[str] | None) -> Source:
    """Return `source` with only the classes `wanted`; None: all.

    Raises:
        DataError: there is no class of that name, or none is named.
    """
    if wanted is None:
        return source
    known = {label for labels in source.classes.values() for label in labels}
    if not wanted:
        raise DataError(f"--classes names no class. Known: {', '.join(sorted(known))}.")
    wanted = _named(wanted, known)
    unknown = [label for label in wanted if label not in known]
    if unknown:
        raise DataError(unknown_name("class", unknown[0], known))
    chosen = set(wanted)
    rows = [row for row, sample in enumerate(source.samples) if sample.label in chosen]
    return replace(
        source,
        samples=tuple(source.samples[row] for row in rows),
        array=None if source.array is None else source.array[rows],
        quarantine=tuple(row for row in source.quarantine if row[1] in chosen),
        classes={
            split: tuple(label for label in labels if label in chosen)
            for split, labels in source.classes.items()
        },
    )


def _named(wanted: Sequence[str], known: Collection[str]) -> list[str]:
    """Return the classes meant by `wanted`, which commas may have divided within a class's own name."""
    names = [class_name(name) for name in wanted]
    if all(name in known for name in names):
        return names
    most = 1 + max((name.count(",") for name in known), default=0)
    found = []
    while names:
        lengths = range(min(most, len(names)), 0, -1)
        length = next((n for n in lengths if _joined(names[:n], known) is not None), 1)
        found.append(_joined(names[:length], known) or names[0])
        names = names[length:]
    return found


def _joined(parts: Sequence[str], known: Collection[str]) -> str | None:
    """Return the class whose name the parts are when commas, with or without a space, join them."""
    return next((name for name in (",".join(parts), ", ".join(parts)) if name in known), None)


def empty_classes(source: Source, reasons: Sequence[str]) -> list[str]:
    """Return a message for each class folder that has no image, or none that decodes."""
    found = Counter((sample.split, sample.label) for sample in source.samples)
    usable = Counter(
        (sample.split, sample.label)
        for sample, reason in zip(source.samples, reasons, strict=True)
        if not reason
    )
    messages = []
    for split, labels in source.classes.items():
        where = f" in {split}" if split else ""
        for label in labels:
            if not found[split, label]:
                messages.append(f"Class folder {label!r}{where} is empty: it holds no image.")
            elif not usable[split, label]:
                messages.append(
                    f"None of the {found[split, label]} image(s) of class {label!r}{where} decodes."
                )
    return messages


def compare_classes(
    class_names: Sequence[str], labels_of: Mapping[str, Iterable[str]], skip: set[tuple[str, str]]
) -> list[str]:
    """Return a message for each class that a split lacks, or has although it cannot be learned.

    Args:
        class_names: the classes that are learned.
        labels_of: for each split, the labels of its images.
        skip: (split, label) pairs that have had their message.
    """
    messages = []
    for split, labels in labels_of.items():
        counts = Counter(labels)
        lacking = [label for label in class_names if not counts[label] and (split, label) not in skip]
        if lacking:
            messages.append(f"No image in {split} of {name_classes(lacking)}: trained, but not judged there.")
        extra = {label: counts[label] for label in sorted(set(counts) - set(class_names))}
        if extra:
            messages.append(
                f"Left out {sum(extra.values())} image(s) in {split} of {name_classes(list(extra))}, "
                "which no training image shows."
            )
    return messages


def name_classes(labels: Sequence[str]) -> str:
    """Return `class 'a'` or `classes 'a', 'b'` for a message; the first twenty."""
    shown = ", ".join(repr(label) for label in labels[:20])
    more = f" and {len(labels) - 20} more" if len(labels) > 20 else ""
    return f"{'class' if len(labels) == 1 else 'classes'} {shown}{more}"


def labels_to_numbers(labels: Iterable[str], class_names: Sequence[str]) -> np.ndarray:
    """Return int64 (N,): each label's position in `class_names`; -1 where it is not there."""
    position = {label: number for number, label in enumerate(class_names)}
    return np.array([position.get(label, -1) for label in labels], np.int64)
