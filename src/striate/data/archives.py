"""Zip archives of images: read where they are, never unpacked, and not trusted.

The table of contents is judged before any member is read; a member is read to its declared size, no further.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from striate.data.decode import MAX_BYTES, Undecodable
from striate.data.layout import arrange
from striate.data.sources import Source
from striate.errors import DataError

MAX_MEMBERS = 2_000_000
MAX_TOTAL_BYTES = 64 * 2**30
MAX_RATIO = 200
"""A member that shrinks more than this, and is larger than `RATIO_BYTES`, is taken for a bomb."""
RATIO_BYTES = 10 * 2**20

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zlib.error,
)


class ZipReader:
    """Reads members of one archive; each process opens it once, threads share it, and it can be pickled."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._process = -1
        self._archive: zipfile.ZipFile | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        self._reset()

    def read(self, path: str) -> bytes:
        """Return the bytes of one member.

        Raises:
            Undecodable: it is damaged, or not there any more.
        """
        try:
            archive = self._open()
            member = archive.getinfo(path)
            if member.file_size > MAX_BYTES:
                raise Undecodable(f"the file is larger than {MAX_BYTES // 2**20} MB")
            with archive.open(member) as file:
                return file.read(member.file_size + 1)
        except _ZIP_ERRORS as error:
            raise Undecodable(f"it is damaged in the archive ({error})") from error

    def content(self) -> str:
        """Return the SHA-256 of the archive."""
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _open(self) -> zipfile.ZipFile:
        """Return this process's own handle: a forked one would share its position in the file."""
        with self._lock:
            if self._archive is None or self._process != os.getpid():
                self._archive = zipfile.ZipFile(self.path)
                self._process = os.getpid()
            return self._archive


def read_archive(path: Path) -> Source:
    """Return the samples of a zip of class folders, or of split folders of class folders.

    Raises:
        DataError: it is damaged, not safe to read, or holds no class folders.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except _ZIP_ERRORS as error:
        raise DataError(
            f"{path} is damaged or not a zip archive ({error}). Download or pack it again."
        ) from error
    refuse_unsafe(members, path.stat().st_size, str(path))
    names = [member.filename for member in members if not member.is_dir()]
    files = set(names)
    repeats = len(names) - len(files)
    message = f"Ignored {repeats} file(s) whose name a later one in the archive has as well."
    layout = arrange(files, {member.filename for member in members if member.is_dir()}, str(path))
    return Source(
        name=path.stem,
        samples=layout.samples,
        reader=ZipReader(str(path.absolute())),
        classes=layout.classes,
        messages=(*layout.messages, *([message] if repeats else [])),
    )


def refuse_unsafe(members: Sequence[zipfile.ZipInfo], archive_bytes: int, data: str) -> None:
    """Judge an archive by its table of contents.

    Raises:
        DataError: a path that leads out of the archive, a link or device, an encrypted member, a bomb.
    """
    if len(members) > MAX_MEMBERS:
        raise DataError(f"{data} holds {len(members):,} members; more than {MAX_MEMBERS:,} are refused.")
    for member in members:
        reason = _unsafe(member)
        if reason:
            raise DataError(f"{data} is refused: member {member.orig_filename[:200]!r} {reason}.")
    total = sum(member.file_size for member in members)
    if total > MAX_TOTAL_BYTES:
        raise DataError(
            f"{data} is refused: it unpacks to {total / 2**30:.0f} GB; "
            f"at most {MAX_TOTAL_BYTES // 2**30} GB are read."
        )
    if sum(member.compress_size for member in members) > archive_bytes:
        raise DataError(f"{data} is refused: its members overlap or are larger than the archive itself.")


def _unsafe(member: zipfile.ZipInfo) -> str | None:
    """Return what is wrong with a member, if anything."""
    name = member.orig_filename
    if "\0" in name:
        return "has a NUL in its name"
    if "\\" in name:
        return "has a backslash in its path"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute path"
    if ".." in name.split("/"):
        return "has a path that leads out of the archive"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is a device or another special file"
    if member.flag_bits & 0x1:
        return "is encrypted"
    if member.file_size > MAX_BYTES:
        return f"unpacks to {member.file_size / 2**20:.0f} MB; at most {MAX_BYTES // 2**20} are read"
    if member.file_size > RATIO_BYTES and member.file_size > MAX_RATIO * member.compress_size:
        return f"unpacks to {member.file_size // max(1, member.compress_size)} times its size, as bombs do"
    return None
