"""The folder that a look inside a model writes, and the names of the pictures in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from striate import bundle, files
from striate.runs import Run

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


@contextlib.contextmanager
def made_folder(
    name: str, out: PathLike | None, images: PathLike | Sequence[PathLike] | None = None
) -> Iterator[Path]:
    """Give the folder of `choose_folder`; where the block fails with nothing written, no new folder stays."""
    near = Path("runs") if out is None else Path(out)
    new = {path for path in (near, *near.parents) if not path.exists()}
    folder = choose_folder(name, out, images)
    if out is None:
        new.add(folder)
    try:
        yield folder
    except BaseException:
        for path in (folder, *folder.parents):
            if path not in new or any(path.iterdir()):
                break
            path.rmdir()
        raise


def name_of(model: PathLike, known_as: str) -> str:
    """Return what the folder about a model is called after: its run, its own folder, or its name.

    Args:
        model: folder of a bundle or run, or the name of a pretrained network.
        known_as: what the network calls itself.
    """
    if not Path(model).exists():
        return known_as
    folder = bundle.find(Path(model)).resolve()
    run = Run(folder.parent)
    in_run = folder == run.model and (run.facts_file.is_file() or run.config_file.is_file())
    return (folder.parent if in_run else folder).name or known_as


def picture_name(number: str, name: str) -> str:
    """Return the name of a picture's file, of letters that every system takes."""
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
    return f"{number}-{stem[:STEM].encode('ascii', 'replace').decode().replace('?', '-')}.png"
