"""Folders of images on disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from striate.data.decode import MAX_BYTES, Undecodable
from striate.data.layout import NOT_TEXT, arrange, printable
from striate.data.sources import Sample, Source
from striate.errors import DataError


@dataclass(frozen=True)
class FolderReader:
    """Reads files of one folder (or, where a path is absolute, that file)."""

    root: str

    def read(self, path: str) -> bytes:
        """Return the bytes of one file.

        Raises:
            Undecodable: it is missing, too large, not a plain file or cannot be read.
        """
        try:
            return _read_plain_file(os.path.join(self.root, path))
        except (OSError, ValueError) as error:
            raise Undecodable(f"it cannot be read ({getattr(error, 'strerror', None) or error})") from error

    def content(self) -> str | None:
        """Return None: the files must be read one by one."""
        return None


def _read_plain_file(path: str) -> bytes:
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise Undecodable("it is not a plain file")
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise Undecodable(f"the file is larger than {MAX_BYTES // 2**20} MB")
    return content


@dataclass
class Walk:
    """What lies in a folder and below: paths relative to it, with `/`."""

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    linked: bool = False
    messages: list[str] = field(default_factory=list)


def read_folder(root: Path) -> Source:
    """Return the samples of a folder of class folders, or of split folders of class folders.

    Raises:
        DataError: it cannot be opened or holds no class folders.
    """
    walk = walk_folder(root)
    layout = arrange(walk.files, walk.folders, str(root))
    samples = _drop_repeats(layout.samples, root) if walk.linked else layout.samples
    repeats = sum(1 for sample in samples if sample.note)
    if repeats:
        walk.messages.append(f"Left out {repeats} image(s) that links give a second place.")
    named, unnamed = _split_off_unnamed(samples)
    return Source(
        name=root.resolve().name or "data",
        samples=named,
        reader=FolderReader(str(root.absolute())),
        quarantine=unnamed,
        classes=layout.classes,
        messages=tuple(walk.messages) + layout.messages,
    )


def walk_folder(root: Path) -> Walk:
    """List everything in `root` and below, following links, but none that leads back to where it came from.

    Raises:
        DataError: `root` itself cannot be opened.
    """
    walk = Walk()
    pending: list[tuple[str, tuple[str, ...]]] = [("", (os.path.realpath(root),))]
    while pending:
        folder, ancestors = pending.pop()
        try:
            entries = list(os.scandir(root / folder))
        except OSError as error:
            if not folder:
                raise DataError(f"cannot open folder {root}: {error.strerror}.") from error
            walk.messages.append(f"Ignored folder {folder!r}: {error.strerror}.")
            continue
        pending.extend(_enter(entries, folder, ancestors, walk))
    return walk


def _enter(
    entries: list[os.DirEntry[str]], folder: str, ancestors: tuple[str, ...], walk: Walk
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for entry in entries:
        path = f"{folder}/{entry.name}" if folder else entry.name
        link = entry.is_symlink()
        walk.linked |= link
        if entry.is_dir():
            real = os.path.realpath(entry.path) if link else os.path.join(ancestors[-1], entry.name)
            if real not in ancestors:
                walk.folders.append(path)
                yield path, (*ancestors, real)
        elif entry.is_file() or link:  # a broken link too: reading it will tell
            walk.files.append(path)


def _drop_repeats(samples: tuple[Sample, ...], root: Path) -> tuple[Sample, ...]:
    """Note samples that are, through links, the same file as another; the more protected split keeps it."""
    rank = {"test": 0, "val": 1, "train": 2, "": 3}
    kept: dict[str, Sample] = {}
    for sample in sorted(samples, key=lambda sample: (rank[sample.split], sample.path)):
        kept.setdefault(os.path.realpath(root / sample.path), sample)
    first = {sample.path for sample in kept.values()}
    return tuple(
        sample
        if sample.path in first
        else replace(sample, note=f"the same file as {kept[os.path.realpath(root / sample.path)].path}")
        for sample in samples
    )


def _split_off_unnamed(
    samples: tuple[Sample, ...],
) -> tuple[tuple[Sample, ...], tuple[tuple[str, str, str, str], ...]]:
    """Separate the files whose names are no text, which no table could hold."""
    named, unnamed = [], []
    for sample in samples:
        if printable(sample.path) == sample.path:
            named.append(sample)
        else:
            unnamed.append((printable(sample.path), sample.label, sample.split, NOT_TEXT))
    return tuple(named), tuple(unnamed)
