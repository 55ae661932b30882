"""The command that shows recipes: `recipes`."""

from __future__ import annotations

from typing import Annotated

import typer

from striate.cli.results import cell, result_console


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(recipes)


def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Without it, all recipes are listed.")
    ] = None,
) -> None:
    """List recipes for `train --recipe`, or print one as YAML, to be copied and changed."""
    from striate import recipes as room

    if name is not None:
        typer.echo(room.text(name), nl=False)
        return
    console = result_console()
    for known in room.names():
        recipe = room.find(known)
        console.print(f"[bold]{cell(known)}[/bold]: {cell(recipe.about)}", soft_wrap=True)
        for level in recipe.levels:
            reached = ", ".join(f"{data} {100 * share:g} %" for data, share in level.reaches.items())
            console.print(f"  {level.images:,} images: {cell(reached or 'not measured')}", soft_wrap=True)
