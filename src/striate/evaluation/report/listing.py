"""Settings, environment and other facts as names and texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return names and texts of settings or facts, nested ones with their path in front."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            rows.extend(plain(value, f"{prefix}{name}: "))
        else:
            rows.append((f"{prefix}{name}", _text(name, value)))
    return rows


def _text(name: str, value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_bytes") and isinstance(value, int):
        return f"{value / 2**30:.1f} GiB"
    if isinstance(value, Mapping):
        return "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)
