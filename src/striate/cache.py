"""Where everything lies that is not in a run: what can be made or fetched again, and what cannot."""

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


def state_folder() -> Path:
    """Return the folder for what cannot be made again, such as how often a test set was looked at.

    `$STRIATE_STATE`, else `striate` in `$XDG_STATE_HOME`, else `~/.local/state/striate`.
    """
    if os.environ.get("STRIATE_STATE"):
        return Path(os.environ["STRIATE_STATE"]).expanduser()
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "striate"
