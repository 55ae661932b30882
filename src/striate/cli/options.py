"""Options that several commands have, and what they choose."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from striate.cli import display
from striate.config import TrainConfig

if TYPE_CHECKING:
    from striate.cli.json_lines import JsonListener


class Log(StrEnum):
    """How a command tells what it does."""

    text = "text"
    json = "json"


AUGMENTATIONS = "|".join(get_args(TrainConfig.model_fields["augment"].annotation))
"""As the help shows them; importing `striate.data.augment`, which has them too, takes torch."""

Out = Annotated[Path | None, typer.Option(help="Folder to write.", metavar="DIR", show_default=False)]
Logged = Annotated[Log, typer.Option("--log", help="text for people; json: one JSON object a line.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the result and warnings.")]


def listener_for(log: Log, quiet: bool) -> display.ConsoleListener | JsonListener:
    """Return what hears a workflow, and shows its result."""
    if log is Log.json:
        from striate.cli.json_lines import JsonListener

        return JsonListener(quiet)
    return display.console_listener(quiet)
