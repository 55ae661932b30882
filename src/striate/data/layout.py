"""From a list of file names to labelled samples: split folders, class folders, and what is neither."""

from __future__ import annotations

import posixpath
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from striate.data.decode import EXTENSIONS
from striate.data.sources import Sample
from striate.errors import DataError

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "eval": "val",
    "evaluation": "val",
    "test": "test",
    "testing": "test",
}
"""What a split may be called (in lower case), and which one it is."""
EXPECTED = "expected <class>/image, train|val|test/<class>/image or <class>/train|val|test/image"
NOT_TEXT = "its name is not valid text (UTF-8)"
"""Why an image is left out whose name no table could hold."""


@dataclass(frozen=True)
class Layout:
    """Labelled samples, the class names found for each split (empty ones too), and what was passed over."""

    samples: tuple[Sample, ...]
    classes: dict[str, tuple[str, ...]]
    messages: tuple[str, ...]


def split_of(name: str) -> str | None:
    """Return the split that a folder called `name` stands for, if any; letter case does not matter."""
    return SPLIT_NAMES.get(name.strip().lower())


def is_hidden(path: str) -> bool:
    """Return whether a file, or a folder it lies in, is one that systems keep for themselves."""
    return any((part.startswith(".") and part != ".") or part == "__MACOSX" for part in path.split("/"))


def is_image_name(path: str) -> bool:
    """Return whether a file is called like an image; what it is, its content says."""
    return path.lower().endswith(EXTENSIONS)


def arrange(files: Iterable[str], folders: Iterable[str], data: str) -> Layout:
    """Find out which files are images of which class and split.

    Args:
        files: paths relative to the data set, with `/`.
        folders: likewise; folders that hold files need not be listed.
        data: what to call the data set in messages.

    Raises:
        DataError: there are no class folders, or two folders for the same split.
    """
    files = sorted(files)
    visible = [path for path in files if not is_hidden(path)]
    images = [path for path in visible if is_image_name(path)]
    children = _children(visible, [folder for folder in folders if not is_hidden(folder)])
    images_in = Counter(posixpath.dirname(path) for path in images)
    base = _unwrap(children, images_in)
    places, messages = _class_folders(children, images_in, base, data)
    samples = tuple(_samples(images, places))
    if not samples and not places:
        raise DataError(f"{data} holds no class folders: {EXPECTED}.")
    messages += _passed_over(len(files) - len(visible), len(visible) - len(images))
    stray = sum(images_in[folder] for folder in _above(places, base))
    if stray:
        messages.append(f"Ignored {stray} image(s) that lie in no class folder.")
    classes: dict[str, set[str]] = defaultdict(set)
    for split, label in places.values():
        classes[split].add(label)
    return Layout(samples, {split: tuple(sorted(names)) for split, names in classes.items()}, tuple(messages))


def _children(files: list[str], folders: list[str]) -> dict[str, set[str]]:
    """Return the names of each folder's sub-folders; the data set itself is `""`."""
    children: dict[str, set[str]] = defaultdict(set)
    pending = {posixpath.dirname(path) for path in files} | {folder.strip("/") for folder in folders}
    seen = {""}
    while pending:
        folder = pending.pop()
        if folder in seen:
            continue
        seen.add(folder)
        parent, name = posixpath.split(folder)
        children[parent].add(name)
        pending.add(parent)
    return children


def _unwrap(children: Mapping[str, set[str]], images_in: Mapping[str, int]) -> str:
    """Step into a folder that holds a single folder and no image, as archives often do."""
    base = ""
    while len(children.get(base, ())) == 1 and not images_in.get(base):
        (name,) = children[base]
        inner = posixpath.join(base, name)
        if not children.get(inner) or split_of(name):
            break
        base = inner
    return base


def _class_folders(
    children: Mapping[str, set[str]], images_in: Mapping[str, int], base: str, data: str
) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return the class folders with their (split, class), and messages about other folders."""
    names = sorted(children.get(base, ()))
    splits: dict[str, str] = {}
    for name in names:
        split = split_of(name)
        if split is None or not children.get(posixpath.join(base, name)):
            continue
        if split in splits:
            raise DataError(f"{data} has two {split} folders: {splits[split]!r} and {name!r}. Keep one.")
        splits[split] = name
    if not splits and _split_within(children, images_in, base):
        return {
            posixpath.join(base, name, inner): (split_of(inner) or "", class_name(name))
            for name in names
            for inner in children[posixpath.join(base, name)]
        }, []
    if not splits:
        if names and all(split_of(name) for name in names):
            raise DataError(f"{', '.join(names)} in {data} hold no class folders: {EXPECTED}.")
        return {posixpath.join(base, name): ("", class_name(name)) for name in names}, []
    places: dict[str, tuple[str, str]] = {}
    for split, name in splits.items():
        folder = posixpath.join(base, name)
        places |= {posixpath.join(folder, label): (split, class_name(label)) for label in children[folder]}
    return places, [
        _ignored_folder(name, images_in.get(posixpath.join(base, name), 0))
        for name in names
        if name not in splits.values()
    ]


def _split_within(children: Mapping[str, set[str]], images_in: Mapping[str, int], base: str) -> bool:
    """Return whether all that class folders hold are folders called after splits, at least two in all."""
    found: set[str] = set()
    for name in children.get(base, ()):
        folder = posixpath.join(base, name)
        splits = [split_of(inner) for inner in children.get(folder, ())]
        if not splits or None in splits or len(splits) > len(set(splits)) or images_in.get(folder):
            return False
        found.update(split for split in splits if split)
    return len(found) > 1


def _ignored_folder(name: str, images: int) -> str:
    if split_of(name) and images:
        return f"Ignored folder {name!r}: its {images} image(s) lie in no class folder."
    return f"Ignored folder {name!r}: it stands beside the split folders and is none."


def _samples(images: list[str], places: Mapping[str, tuple[str, str]]) -> Iterable[Sample]:
    depth = min((folder.count("/") for folder in places), default=0) + 1
    deepest = max((folder.count("/") for folder in places), default=0) + 1
    for path in images:
        parts = path.split("/")
        for length in range(depth, deepest + 1):
            place = places.get("/".join(parts[:length])) if len(parts) > length else None
            if place is not None:
                yield Sample(path, place[1], place[0])
                break


def _above(places: Mapping[str, tuple[str, str]], base: str) -> set[str]:
    """Return the folders right above the class folders: an image directly in them has no class."""
    return {base} | {posixpath.dirname(folder) for folder in places}


def class_name(name: str) -> str:
    """Return a class's name as it is kept: the same accent may be written in two ways."""
    return unicodedata.normalize("NFC", printable(name))


def printable(name: str) -> str:
    """Return `name` with what is no text (bytes that are not UTF-8) written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _passed_over(hidden: int, others: int) -> list[str]:
    parts = [f"{hidden} hidden file(s)"] * bool(hidden) + [f"{others} file(s) that are not images"] * bool(
        others
    )
    return [f"Ignored {' and '.join(parts)}."] if parts else []
