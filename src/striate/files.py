"""Writing files so that a reader never finds half of one.

Every file is written under a temporary name in the same folder, synced to disk and renamed.
A failure (disk full, no permission) leaves the old file as it was and no temporary one behind.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from striate.errors import UserError


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically.

    A link is replaced, not what it leads to: so nothing is written outside of an output folder. Where a user
    names the file, `named_file` follows it.

    Raises:
        UserError: the file cannot be written (disk full, no permission, no such folder), or something else
            than a file is there.
    """
    write_several({path: content})


def write_several(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together, each atomically and in the order given.

    All of them are on disk under temporary names before the first takes its place, so a disk that is full
    leaves every old file as it was.

    Raises:
        UserError: one of the files cannot be written.
    """
    for path in contents:
        check_file(path)
    try:
        _replace(contents)
    except OSError as error:
        reason = error.strerror or str(error)
        names = " and ".join(str(path) for path in contents)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "Free some space or choose another --out." if full else "Choose another --out."
        raise UserError(f"cannot write {names}: {reason}. {advice}") from error


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, atomically."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as indented JSON, atomically; NaN and infinity are refused."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def check_file(path: Path) -> None:
    """Refuse to write in place of what is no ordinary file, or to a link that leads to none.

    Raises:
        UserError: there is a folder, a device, a pipe or a link that leads back to itself.
    """
    there = os.path.exists(path) or os.path.islink(os.path.realpath(path))
    if there and not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else "no ordinary file"
        raise UserError(f"cannot write {path}: it is {kind}. Choose another --out.")


def named_file(path: str | os.PathLike[str]) -> Path:
    """Return the file to write where a user names `path`: what it leads to, if it is a link.

    Raises:
        UserError: as `check_file`, or its folder is not there.
    """
    if not Path(path).absolute().parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {Path(path).parent}.")
    check_file(Path(path))
    return Path(os.path.realpath(path))


def check_apart(folder: Path, images: str | os.PathLike[str], option: str = "--out") -> None:
    """Refuse to write to a `folder` within the folder of images: it would be taken for one of their classes.

    Args:
        folder: to be written; need not be there.
        images: a folder; anything else (an archive, a table, a name) is no matter.
        option: that names `folder`.

    Raises:
        UserError: `folder` lies within `images`, or is that folder.
    """
    if not os.path.isdir(images):
        return
    whole = os.path.realpath(images)
    if os.path.commonpath([whole, os.path.realpath(folder)]) == whole:
        raise UserError(
            f"{folder} lies within {whole}, where it would be counted among the images. "
            f"Choose another {option}, outside of it."
        )


def make_folder(folder: Path, option: str = "--out") -> None:
    """Make `folder` and those around it, where they do not exist; `option` names it.

    Raises:
        UserError: it cannot be made, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_create(folder, error, option) from error


def make_new_folder(folder: Path) -> bool:
    """Make `folder` and those around it; return False where it is there: no two processes both get True.

    Raises:
        UserError: it cannot be made.
    """
    make_folder(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    except OSError as error:
        raise _cannot_create(folder, error) from error
    return True


def copy_new(source: Path, target: Path, option: str = "--out") -> bool:
    """Copy a file, with the time of its last change, to where nothing is; return False where something is.

    The copy takes its name when all of it is on disk, and never that of another file.

    Raises:
        UserError: `source` cannot be read or `target` not be written; `option` names its folder.
    """
    if os.path.lexists(target):
        return False
    temporary = target.parent / f".striate-{secrets.token_hex(8)}.tmp"
    try:
        _copy_synced(source, temporary)
        return _take_name(temporary, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot copy {source} to {target}: {reason}. Choose another {option}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _copy_synced(source: Path, target: Path) -> None:
    with open(source, "rb") as original:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(original, file)
            file.flush()
            os.fsync(file.fileno())
        known = os.fstat(original.fileno())
    os.utime(target, ns=(known.st_atime_ns, known.st_mtime_ns))


def _take_name(temporary: Path, target: Path) -> bool:
    """Give a file its name, if no other has it: by a link, or by a claim where there are no hard links."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError:
        try:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        try:
            os.replace(temporary, target)
        except OSError:
            os.unlink(target)
            raise
    return True


def _cannot_create(folder: Path, error: OSError, option: str = "--out") -> UserError:
    reason = error.strerror or str(error)
    return UserError(f"cannot create the folder {folder}: {reason}. Choose another {option}.")


def _replace(contents: Mapping[Path, bytes]) -> None:
    temporaries = {path: path.parent / f".striate-{secrets.token_hex(8)}.tmp" for path in contents}
    try:
        for path, content in contents.items():
            _write_synced(temporaries[path], content)
        for path, temporary in temporaries.items():
            os.replace(temporary, path)
            _sync_folder(path.parent)
    except BaseException:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
        raise


def _write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets a folder be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
