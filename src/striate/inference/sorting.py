"""Copies of photos in a folder for each class: nothing is overwritten, moved or changed."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from striate import files
from striate.errors import UserError

UNSURE = "unsure"
"""Folder of the photos that are left to a person."""
OPTION = "--copy-to"

_UNSAFE = frozenset('/\\:*?"<>|')
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])( *\..*)?", re.IGNORECASE)
_MOST_BYTES = 200
"""Of a name in UTF-8; file systems take 255, and a number may follow."""
_LONGEST_ENDING = 16


def safe_name(name: str) -> str:
    """Return `name` as one that every usual file system takes, and that leads nowhere else.

    Characters that cannot be printed or that mean something in a path become `_`, as does a leading hyphen;
    dots and spaces at either end, and spaces before an ending, fall away; names that Windows keeps for itself
    get a `_` in front; what is too long is cut before its ending. Where nothing is left, it is `_`.
    """
    plain = "".join(c if c.isprintable() and c not in _UNSAFE else "_" for c in name).strip(" .")
    stem, ending = _parts(plain)
    kept = stem.encode()[: _MOST_BYTES - len(ending.encode())].decode(errors="ignore").strip(" .")
    if not kept or kept.startswith("-") or _RESERVED.fullmatch(kept):
        kept = "_" + kept.removeprefix("-")
    return f"{kept}{ending}"


class Names:
    """Names in one folder, each given once; capitals and the form of accents make no difference.

    A number is counted for each name, so many photos that are called alike take no longer than others.

    Args:
        taken: names that are there already.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {_folded(name) for name in taken}
        self._next: dict[str, int] = {}

    def give(self, name: str) -> str:
        """Return `name`, or where that is taken the first free of `name-2`, `name-3`, ... and take it."""
        folded = _folded(name)
        stem, ending = _parts(name)
        number, given = self._next.get(folded, 2), name
        while _folded(given) in self._taken:
            given = f"{stem}-{number}{ending}"
            number += 1
        self._next[folded] = number
        self._taken.add(_folded(given))
        return given


@dataclass(frozen=True)
class ClassFolders:
    """Where copies go.

    Attributes:
        folder: the whole.
        classes: (K,), the folder of each class.
        unsure: the folder of photos that are left to a person.
    """

    folder: Path
    classes: tuple[Path, ...]
    unsure: Path

    def check(self) -> None:
        """Make the whole folder, and refuse folders that cannot be made in it.

        Raises:
            UserError: so.
        """
        files.make_folder(self.folder, OPTION)
        for each in (self.unsure, *self.classes):
            if each.exists() and not each.is_dir():
                raise UserError(f"cannot copy into {each}: it is no folder. Choose another {OPTION}.")

    def place(self, predicted: int, abstained: bool) -> Path:
        """Return the folder of a photo."""
        return self.unsure if abstained else self.classes[predicted]


def class_folders(folder: Path, class_names: Sequence[str], sources: Iterable[Path]) -> ClassFolders:
    """Return the folders of `class_names` within `folder`; none is made.

    A class called `unsure` gets a number.

    Args:
        folder: the whole.
        class_names: (K,).
        sources: folders of photos, within which nothing may be written.

    Raises:
        UserError: one of the folders lies within a source.
    """
    names = Names()
    unsure = folder / names.give(UNSURE)
    classes = tuple(folder / names.give(safe_name(name)) for name in class_names)
    for source in sources:
        for each in (folder, unsure, *classes):
            files.check_apart(each, source, OPTION)
    return ClassFolders(folder, classes, unsure)


def copy_photos(
    photos: Sequence[Path], places: Sequence[Path], progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Copy each of `photos` into its place, under its own name or that with a number; return the copies.

    A copy is whole or not there. What is there already stays as it is.

    Args:
        photos: (N,), files.
        places: (N,), folders; made where they do not exist.
        progress: called with the number of copies done, and N.

    Raises:
        UserError: a photo or a folder cannot be used; the copies before it stay.
    """
    names: dict[Path, Names] = {}
    copies = []
    for photo, place in zip(photos, places, strict=True):
        if place not in names:
            files.make_folder(place, OPTION)
            names[place] = Names(os.listdir(place))
        wanted = safe_name(photo.name)
        copy = place / names[place].give(wanted)
        while not files.copy_new(photo, copy, OPTION):  # another process took the name meanwhile
            copy = place / names[place].give(wanted)
        copies.append(copy)
        if progress is not None:
            progress(len(copies), len(photos))
    return copies


def _parts(name: str) -> tuple[str, str]:
    """Return a name and its ending; none where that is too long for one, or has a space in it."""
    stem, dot, ending = name.rpartition(".")
    if not dot or " " in ending or len(ending.encode()) >= _LONGEST_ENDING:
        return name, ""
    return stem, f".{ending}"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
