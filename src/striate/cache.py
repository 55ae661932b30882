"""Where everything lies that can be made or fetched again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder for everything that can be made or fetched again; it may be deleted at any time.

    `$STRIATE_CACHE`, else `striate` in `$XDG_CACHE_HOME`, else `~/.cache/striate`.
    """
    if os.environ.get("STRIATE_CACHE"):
        return Path(os.environ["STRIATE_CACHE"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "striate"
