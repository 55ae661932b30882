"""The folder that a look inside a model writes, and the names of the pictures in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from striate import files

PathLike = str | os.PathLike[str]
STEM = 40
"""So much of a name becomes part of a file's."""


def choose_folder(
    name: str, out: PathLike | None, images: PathLike | Sequence[PathLike] | None = None
) -> Path:
    """Return the folder to write, made; it lies outside of the folders of images.

    Args:
        name: of the folder in `runs/` that is taken where `out` is None, with a number where it exists.
        out: named by the user.
        images: folders and files that are looked at.
    """
    if out is not None:
        for given in [images] if isinstance(images, str | os.PathLike) else images or ():
            files.check_apart(Path(out), given)
        files.make_folder(Path(out))
        return Path(out)
    number = 1
    while True:
        folder = Path("runs") / (name if number == 1 else f"{name}-{number}")
        if files.make_new_folder(folder):
            return folder
        number += 1


def picture_name(number: str, name: str) -> str:
    """Return the name of a picture's file, of letters that every system takes."""
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
    return f"{number}-{stem[:STEM].encode('ascii', 'replace').decode().replace('?', '-')}.png"
