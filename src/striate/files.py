"""Writing files so that a reader never finds half of one.

Every file is written under a temporary name in the same folder, synced to disk and renamed.
A failure (disk full, no permission) leaves the old file as it was and no temporary one behind.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from striate.errors import UserError


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically.

    Raises:
        UserError: the file cannot be written (disk full, no permission, no such folder).
    """
    try:
        _replace(path, content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write {path}: {reason}. Free some space or choose another --out.") from error


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, atomically."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as indented JSON, atomically; NaN and infinity are refused."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _replace(path: Path, content: bytes) -> None:
    temporary = path.parent / f".striate-{secrets.token_hex(8)}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets a folder be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
