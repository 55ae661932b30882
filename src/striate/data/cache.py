"""Decoded images kept on disk, so that they need not be decoded again.

An entry is a folder named by a digest of everything that its arrays depend on. It is written under a
temporary name and renamed, carries the checksum of each array, and counts as absent if anything about it is
wrong. The cache can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import PIL

from striate.cache import cache_folder

FORMAT_VERSION = 2
_MAKER = f"striate images {FORMAT_VERSION}, Pillow {PIL.__version__}"
"""What made an entry: another version of Pillow may decode differently."""
_ABANDONED_SECONDS = 24 * 3600


def key_of(*parts: object) -> str:
    """Return a digest of `parts` (anything JSON can hold) and of the versions that decode images."""
    text = json.dumps([_MAKER, *parts], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load(kind: str, key: str, *, mapped: bool = False) -> dict[str, np.ndarray] | None:
    """Return the arrays of an entry; None if there is no such entry, or not a whole one.

    Args:
        kind: of the entry.
        key: of the entry.
        mapped: the arrays stay on disk and are read as they are used; they cannot be written.
    """
    mode: Literal["r"] | None = "r" if mapped else None
    folder = _entry(kind, key)
    try:
        record = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
        if record["maker"] != _MAKER or record["key"] != key:
            return None
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode=mode, allow_pickle=False)
            for name in record["arrays"]
        }
        whole = all(_checksum(arrays[name]) == checksum for name, checksum in record["arrays"].items())
        return arrays if whole else None
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return None


def store(kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> str | None:
    """Write an entry, in place of any that is there.

    Returns:
        None, or, where it cannot be written, a message that says why: the work goes on without it.
    """
    try:
        with written(kind, key) as temporary:
            for name, array in arrays.items():
                np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        return None
    except OSError as error:
        return f"Decoded images are not cached in {cache_folder()}: {error.strerror or error}."


@contextlib.contextmanager
def written(kind: str, key: str) -> Iterator[Path]:
    """Give a folder to write `<name>.npy` files to, which becomes the entry on leaving, unless by an error.

    What a process that is killed leaves half-written is removed a day later.

    Raises:
        OSError: the cache cannot be written.
    """
    folder = _entry(kind, key)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        yield temporary
        checksums = {
            path.stem: _checksum(np.load(path, mmap_mode="r", allow_pickle=False))
            for path in sorted(temporary.glob("*.npy"))
        }
        record = json.dumps({"maker": _MAKER, "key": key, "arrays": checksums})
        (temporary / "entry.json").write_text(record, encoding="utf-8")
        _put(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(temporary: Path, folder: Path) -> None:
    """Rename an entry into place; one that is in the way (damaged, or from another process) goes first."""
    try:
        os.rename(temporary, folder)
    except OSError:
        if not folder.is_dir():
            raise
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder.parent) as aside:
            os.rename(folder, Path(aside) / "replaced")
            os.rename(temporary, folder)


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed have left half-written."""
    for left in folder.glob(".writing-*"):
        with contextlib.suppress(FileNotFoundError):  # another process sweeps too
            if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _entry(kind: str, key: str) -> Path:
    return cache_folder() / "images" / f"{kind}-{key[:40]}"


def _checksum(array: np.ndarray) -> str:
    description = f"{array.dtype.str} {array.shape}".encode()
    return hashlib.sha256(description + hashlib.sha256(np.ascontiguousarray(array).data).digest()).hexdigest()
