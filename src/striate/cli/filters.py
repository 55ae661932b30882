"""The command that filters: `filters`, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from striate.cli.text import one_line
from striate.errors import UserError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(filters)


def filters(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[KERNEL|gabor|bank|curves]", help="Without it, all kernels are listed."),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGE...]", help="One image; several for bank; names of functions for curves."
        ),
    ] = None,
    operation: Annotated[
        str, typer.Option(help="correlation, or convolution, which flips the kernel.", metavar="NAME")
    ] = "correlation",
    border: Annotated[
        str,
        typer.Option(help="Beyond the image: zero, edge, reflect, symmetric, wrap or valid.", metavar="NAME"),
    ] = "zero",
    channels: Annotated[str, typer.Option(help="each by itself, or their sum.", metavar="NAME")] = "each",
    grey: Annotated[bool, typer.Option("--grey", help="Turn the image grey first.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Write the response alone, at full size.")] = False,
    step: Annotated[
        str | None, typer.Option(help="Draw the computation of this one pixel.", metavar="ROW,COLUMN")
    ] = None,
    frequency: Annotated[
        list[float] | None, typer.Option(help="gabor, bank: periods a pixel; repeatable for bank.")
    ] = None,
    angle: Annotated[
        list[float] | None, typer.Option(help="gabor, bank: degrees; repeatable for bank.")
    ] = None,
    sigma: Annotated[
        list[float] | None, typer.Option(help="gabor, bank: pixels; repeatable for bank.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; by default named after image and filter.", metavar="FILE.png"),
    ] = None,
) -> None:
    """Apply classic filters to images, and draw what they do."""
    given = images or []
    waves = {"frequency": frequency or [], "angle": angle or [], "sigma": sigma or []}
    applied = {"operation": operation, "border": border, "channels": channels, "grey": grey}
    if what is None:
        _list_kernels()
    elif what == "curves":
        _curves(given, out)
    elif what == "bank":
        _bank(given, waves, out)
    else:
        _one(what, given, applied, waves, plain, step, out)


def _list_kernels() -> None:
    from rich.table import Table

    from striate.cli.results import cell, result_console
    from striate.workflows.filters import kernels

    table = Table(box=None, pad_edge=False)
    for column in ("kernel", "finds", "source"):
        table.add_column(column, overflow="fold")
    for name, about, source in kernels():
        table.add_row(cell(name), cell(about), cell(source))
    result_console().print(table)


def _curves(names: Sequence[str], out: Path | None) -> None:
    from striate.workflows.drawings import write_drawing
    from striate.workflows.filters import draw_curves

    target = out or Path("curves.png")
    write_drawing(draw_curves(names), target)
    _tell(target)


def _bank(images: Sequence[str], waves: dict[str, list[float]], out: Path | None) -> None:
    from striate.workflows.drawings import write_drawing
    from striate.workflows.filters import draw_bank

    target = out or Path("bank.png")
    figure = draw_bank(images, frequencies=waves["frequency"], angles=waves["angle"], sigmas=waves["sigma"])
    write_drawing(figure, target, *images)
    _tell(target)


def _one(
    kernel: str,
    images: Sequence[str],
    applied: dict[str, Any],
    waves: dict[str, list[float]],
    plain: bool,
    step: str | None,
    out: Path | None,
) -> None:
    from striate.workflows.drawings import write_drawing, write_picture
    from striate.workflows.filters import draw_filter, respond

    if not images and Path(kernel).is_file():
        raise UserError(f"{one_line(kernel)} is a file; name a kernel first: striate filters sobel-x IMAGE")
    if len(images) != 1:
        raise UserError(f"expected one image, got {len(images)}: striate filters {one_line(kernel)} IMAGE")
    target = out or Path(f"{Path(images[0]).stem}-{kernel}.png")
    wave = _single(kernel, waves)
    if plain:
        if step is not None:
            raise UserError("--plain writes the whole response and --step draws one pixel; choose one.")
        write_picture(respond(kernel, images[0], **applied, **wave), target, images[0])
    else:
        write_drawing(draw_filter(kernel, images[0], step=step, **applied, **wave), target, images[0])
    _tell(target)


def _single(kernel: str, waves: dict[str, list[float]]) -> dict[str, Any]:
    """Return the options of one Gabor filter; refuse them for any other kernel."""
    for name, values in waves.items():
        if values and kernel != "gabor":
            raise UserError(f"--{name} belongs to gabor and bank; leave it out for {one_line(kernel)}.")
        if len(values) > 1:
            raise UserError(f"--{name} is given {len(values)} times; several go with bank.")
    return {name: values[0] for name, values in waves.items() if values}


def _tell(path: Path) -> None:
    print(f"drawing: {one_line(str(path))}")
