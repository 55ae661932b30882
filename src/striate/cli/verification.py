"""What people see when both engines have been compared: the table of layers, the losses, the verdict."""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from striate.cli.results import cell, result_console
from striate.cli.text import one_line
from striate.workflows.verification import TRAINING_STEPS, differences_of

if TYPE_CHECKING:
    from striate.architectures.comparison import Difference, Measured, Row
    from striate.workflows.verification import Named, Verification

_MODES = {
    "evaluation": "evaluation mode",
    "training": "training mode, with one set of dropout masks",
}


def show_verification(result: Verification) -> None:
    """Print the differences of every layer, what a pretrained network sees, the losses, and the verdict."""
    console = result_console()
    shape = " x ".join(str(length) for length in result.input_shape)
    console.print(
        f"{one_line(result.model)}: {result.images} images {shape} of {one_line(result.data)}, "
        f"{result.dtype}",
        soft_wrap=True,
        markup=False,
    )
    console.print(
        "largest differences between NumPy and PyTorch, absolute and relative to the largest value; "
        "both engines' layers get the same input",
        soft_wrap=True,
    )
    for mode, rows in groupby(result.rows, key=lambda row: row.mode):
        console.print(f"\n{_MODES.get(mode, mode)}", markup=False)
        console.print(_layer_table(list(rows), result.departing))
    for one in result.roundings:
        console.print(cell(_describe_rounding(one)), soft_wrap=True)
    for named in result.named:
        console.print()
        console.print(_named_table(named))
    if result.steps:
        console.print(f"\n{len(result.steps)} steps of training, each engine on its own")
        console.print(_loss_table(result.steps, result.loss_tolerance))
    if result.in_step:
        console.print(
            "\nThe losses part: training multiplies rounding, where a tie in a pooling window or a ReLU at 0 "
            "is decided otherwise. A second training, in step, decides: each step begins with the same "
            "weights, and PyTorch's layers get the inputs of NumPy's.",
            soft_wrap=True,
        )
        console.print(_loss_table(result.in_step, result.loss_tolerance))
    _show_verdict(console, result)


def _layer_table(rows: Sequence[Row], departing: Container[tuple[str, str, str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("layer")
    table.add_column("kind")
    for name in ("output", "", "input gradient", "", "parameter gradients", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        indent = "  " * row.layer.count(".")
        cells: list[str] = []
        for column in ("output", "input_gradient", "parameter_gradient"):
            cells += _pair(getattr(row, column), (row.mode, row.layer, column) in departing)
        table.add_row(indent + cell(row.layer), cell(row.kind), *cells)
    return table


def _pair(apart: Difference | None, departs: bool) -> tuple[str, str]:
    if apart is None:
        return "", ""
    absolute, relative = f"{apart.absolute:.1e}", f"{apart.relative:.1e}"
    return (f"[red]{absolute}[/red]", f"[red]{relative}[/red]") if departs else (absolute, relative)


def _describe_rounding(one: Measured) -> str:
    assert one.errors is not None  # else it would not count as rounding
    ours, theirs = one.errors
    return f"rounding: {one}; against float64 NumPy errs by {ours:.1e}, PyTorch by {theirs:.1e}"


def _named_table(named: Named) -> Table:
    """The most probable classes of a picture, as either engine has them."""
    table = Table(box=None, pad_edge=False)
    for column in (named.picture, "NumPy", "", "PyTorch", ""):
        table.add_column(cell(column), justify="left" if column else "right")
    for rank, (ours, theirs) in enumerate(zip(named.ours, named.theirs, strict=True), start=1):
        table.add_row(str(rank), cell(ours[0]), f"{ours[1]:.4%}", cell(theirs[0]), f"{theirs[1]:.4%}")
    return table


def _loss_table(losses: Sequence[tuple[float, float]], tolerance: float) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("step", "loss in NumPy", "in PyTorch", "difference", "relative"):
        table.add_column(column, justify="right")
    for number, ((ours, theirs), apart) in enumerate(
        zip(losses, differences_of(losses), strict=True), start=1
    ):
        cells = _pair(apart, not apart.relative <= tolerance)
        table.add_row(str(number), f"{ours:.12g}", f"{theirs:.12g}", *cells)
    return table


def _show_verdict(console: Console, result: Verification) -> None:
    limits = f"{result.tolerance:g} in every layer, {result.loss_tolerance:g} for the losses of training"
    departure = result.first_departure
    if departure is None:
        console.print(
            f"\n[bold green]PASS[/bold green]: no relative difference above {limits}", soft_wrap=True
        )
        return
    console.print(f"\n[bold red]FAIL[/bold red]: first departure: {cell(departure)}", soft_wrap=True)
    console.print(f"(largest relative difference allowed: {limits})", soft_wrap=True)
    console.print(explain(departure), soft_wrap=True, markup=False)


def explain(departure: Measured) -> str:
    """Return where to look."""
    if departure.mode == TRAINING_STEPS:
        return "All layers agree within a step: look at the optimizer, and at what is kept from step to step."
    if departure.quantity in ("output", "value"):
        return "Look at the forward pass of this layer: its input was the same on both engines."
    if "gradient" in departure.quantity:
        return "Look at the backward pass of this layer: forward it is right, and so are the later layers."
    return "Look at what this layer does in training beside its output."
