"""How the figures of this room look: as all of Striate's, with the names of classes shortened."""

from __future__ import annotations

from collections.abc import Sequence

from striate.evaluation.wording import LONGEST_NAME, shorten
from striate.figure_style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PNG_DPI,
    PURPLE,
    QUIET,
    SEQUENTIAL,
    SPLIT_COLOURS,
    VERMILION,
    drawing,
    literal,
    new_figure,
    percent_axis,
    png,
    quiet_grid,
    save,
    svg,
)

__all__ = [
    "BLUE",
    "FAINT",
    "GREEN",
    "INK",
    "ORANGE",
    "PNG_DPI",
    "PURPLE",
    "QUIET",
    "SEQUENTIAL",
    "SPLIT_COLOURS",
    "VERMILION",
    "drawing",
    "literal",
    "new_figure",
    "percent_axis",
    "png",
    "quiet_grid",
    "save",
    "shorten_all",
    "svg",
]


def shorten_all(names: Sequence[str], longest: int = LONGEST_NAME) -> list[str]:
    """Shorten all `names`; those that would look the same get their position in front."""
    short = [shorten(name, longest) for name in names]
    return [
        f"{index}: {text}" if not text or short.count(text) > 1 else text for index, text in enumerate(short)
    ]
