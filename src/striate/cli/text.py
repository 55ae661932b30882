"""Text for a terminal: names may hold anything, and must neither break a line nor steer it."""

from __future__ import annotations

import shutil
import sys
import unicodedata

NARROW = 80
"""Columns of a terminal below which tables of the help cut the names of options off."""


def has_frames() -> bool:
    """Return whether standard output has the columns and the letters for help in frames."""
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    return shutil.get_terminal_size().columns >= NARROW and encoding.startswith("utf")


def one_line(text: str) -> str:
    """Return `text` with all that is not printed (line ends, escapes, turns of direction) written out."""
    return text if text.isprintable() else "".join(map(_shown, text))


def plain(text: str) -> str:
    """Return `text` as `one_line` does, but with its line ends."""
    return "\n".join(map(one_line, text.split("\n")))


def _shown(letter: str) -> str:
    if letter.isprintable():
        return letter
    if unicodedata.category(letter) == "Zs":  # a space of another width, or one that does not break
        return " "
    return letter.encode("unicode_escape").decode("ascii")
