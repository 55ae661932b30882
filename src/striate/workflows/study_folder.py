"""The folder of a study: what it is about, and that one process alone works on it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from striate import config, files
from striate.config import TrainConfig
from striate.errors import RunError
from striate.workflows.designs import BASE, Recipe

FORMAT = 1
RECORD, LOCK = "study.json", ".lock"


def record(folder: Path, shared: Mapping[str, Any], made: Sequence[Recipe]) -> dict[str, str]:
    """Note what the study is about.

    Returns:
        By name of the recipe, that of the folder in `runs/`. One that was trained before stays where it is,
        however its values were spelled then (1e-2 or 0.01).

    Raises:
        RunError: the folder holds another study, or something else.
    """
    path = folder / RECORD
    settings = _stored(shared)
    known: dict[str, Any] = {"format": FORMAT, "settings": settings, "recipes": {}}
    if path.is_file() and any(folder.glob("runs/*/*/run.json")):  # a study that trained nothing binds nobody
        known = _read(path)
        if known["settings"] != settings:
            raise RunError(
                f"{folder} holds another study: {_first_difference(known['settings'], settings)} "
                "Choose another --out."
            )
    folders = {}
    for recipe in made:
        mine, name = _stored(recipe.settings), plain_name(recipe.name)
        alike = (other for other, one in known["recipes"].items() if _comparable(one) == _comparable(mine))
        folders[recipe.name] = name = name if name in known["recipes"] else next(alike, name)
        if _comparable(known["recipes"].setdefault(name, mine)) != _comparable(mine):
            raise RunError(f"{folder} holds other runs called {recipe.name!r}. Choose another --out.")
    files.write_json(path, known)
    return folders


def _comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored settings with numbers in place of the options that are some."""
    options = {name: _number(value) for name, value in settings.get("model_options", {}).items()}
    return {**settings, "model_options": options}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _stored(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as they are kept: the same, whether they came as text or as numbers."""
    values = config.make(TrainConfig, dict(settings)).model_dump(mode="json")
    options = {name: str(value) for name, value in values["model_options"].items()}
    return {name: options if name == "model_options" else values[name] for name in settings}


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        if known["format"] != FORMAT:
            raise ValueError(f"format {known['format']}, expected {FORMAT}")
        if not all(isinstance(known[name], dict) for name in ("settings", "recipes")):
            raise ValueError("settings and recipes must be objects")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"cannot read {path}: {error}. Choose another --out.") from error
    return dict(known)


def _first_difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    old, new = then.get(names[0]), now.get(names[0])
    if names[0] == "split_seed":  # which --seed sets where it is not given
        return (
            f"it was begun with --seed or --split-seed {old}, not {new}; --split-seed {old} keeps its split."
        )
    return f"it was begun with {names[0].replace('_', '-')} {old}, not {new}."


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second process away from the same study; a process that is killed lets go of it.

    Raises:
        RunError: another process works on it, or the folder holds something else than a study.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / RECORD).is_file():
        raise RunError(f"{folder} holds something else than a study. Choose another --out.")
    files.make_folder(folder)
    with open(folder / LOCK, "w", encoding="ascii") as lock:
        if not _locked(lock):
            raise RunError(
                f"another process works on the study in {folder}. Wait for it, or choose another --out."
            )
        try:
            yield
        finally:
            _leave_nothing_empty(folder)


def _leave_nothing_empty(folder: Path) -> None:
    """Remove a folder in which there is no file but the record and the lock: nothing was trained."""
    if {path.name for path in folder.rglob("*") if not path.is_dir()} <= {RECORD, LOCK}:
        shutil.rmtree(folder, ignore_errors=True)


def _locked(lock: Any) -> bool:
    """Whether the lock could be had; systems without such locks let everyone in."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def plain_name(name: str) -> str:
    """Return `name` as that of a folder; different names give different folders.

    Where more is lost than what stands between two changes, some digits of a checksum tell them apart.
    """
    listed = name.replace(", ", "-").replace(" ", "-")
    plain = re.sub(r"[^\w.=+-]+", "-", listed).strip("-.")[:120]
    if plain == listed:
        return plain
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}" if plain else BASE
