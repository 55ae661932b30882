"""The command `lesson`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from striate.cli.options import Log, Logged, Quiet, listener_for


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(lesson)


def lesson(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[BUNDLE]", help="Folder of a run or a model bundle; none: no own network."),
    ] = None,
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="[IMAGE...]", help="Images to play with, or folders.")
    ] = None,
    out: Annotated[Path, typer.Option(help="HTML file to write.", metavar="FILE")] = Path("lesson.html"),
    quiet: Quiet = False,
    log: Logged = Log.text,
) -> None:
    """Write a page in which a network can be touched: convolution step by step, and your own layers."""
    from striate.workflows.lesson import lesson as write_lesson

    with listener_for(log, quiet) as listener:
        page = write_lesson(model, images or [], out=out, listener=listener)
    listener.show_lesson(page)
