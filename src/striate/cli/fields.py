"""Receptive fields, as `summary --receptive-fields` shows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from striate.cli.text import one_line
from striate.errors import UserError

Wanted = Annotated[
    bool,
    typer.Option("--receptive-fields", help="Show what one value of each layer sees of the image instead."),
]
Photo = Annotated[
    Path | None,
    typer.Option(help="With --receptive-fields: draw them on this image.", metavar="IMAGE"),
]
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", help="Layer to draw on the photo; repeatable.", metavar="NAME"),
]
ObjectSize = Annotated[
    str | None,
    typer.Option("--object", help="Size of what is to be recognised, in input pixels.", metavar="H,W"),
]
Picture = Annotated[
    Path | None,
    typer.Option("--out", help="File of the drawing; by default receptive-fields.png.", metavar="FILE.png"),
]
DRAWING = Path("receptive-fields.png")


def show_fields(
    model: str,
    input: str | None,
    num_classes: int,
    settings: dict[str, Any],
    *,
    photo: Path | None,
    layers: Sequence[str] | None,
    object_size: str | None,
    out: Path | None,
) -> None:
    """Print the table of receptive fields, or draw them and print what that shows."""
    from striate.workflows.receptive_fields import draw_receptive_fields, receptive_fields

    unused = [name for name in settings if name != "model_options"]
    if unused:
        raise UserError(f"--receptive-fields does not go with {', '.join(unused)}; leave one out.")
    named: dict[str, Any] = {"input": input, "num_classes": num_classes, **settings}
    if photo is None:
        if layers or out is not None:
            raise UserError("--layer and --out are for a drawing; give --photo IMAGE too.")
        fields = receptive_fields(model, **named)
        print(fields.table(object_size=object_size))
        return
    from striate.allocator import tune
    from striate.workflows.drawings import write_drawing

    tune()
    target = out or DRAWING
    drawn = draw_receptive_fields(model, photo, layers=layers or (), object_size=object_size, **named)
    write_drawing(drawn.figure, target, photo)
    height, width = drawn.effective_size
    print(f"effective field of {drawn.layer}: {height:.0f} x {width:.0f} (four standard deviations)")
    print("\n".join([*drawn.remarks, f"drawing: {one_line(str(target))}"]))


def refuse(**drawing: Any) -> None:
    """Refuse what only `--receptive-fields` takes."""
    given = [name.replace("_size", "") for name, value in drawing.items() if value]
    if given:
        raise UserError(f"{', '.join(given)}: these tell of receptive fields; add --receptive-fields.")
