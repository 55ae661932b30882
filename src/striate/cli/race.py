"""What `bench conv` prints: a row for each contender."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from striate.cli.results import cell, result_console
from striate.cli.text import one_line

if TYPE_CHECKING:
    import pandas as pd

    from striate.workflows.bench_conv import ConvolutionRace


def show_race(race: ConvolutionRace) -> None:
    """Print a row for each contender of a race, who does not take part, and on what terms it was run."""
    console = result_console()
    console.print(race.convolution, f"({race.multiply_adds:,} multiply-adds forward)", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in (
        "",
        "forward ms",
        "GFLOP/s",
        "backward ms",
        "GFLOP/s",
        "peak MiB",
        "difference",
        "turns",
        "",
    ):
        table.add_column(column, justify="right" if table.columns and column else "left")
    for _, row in race.table.iterrows():
        table.add_row(*_cells(row), style="bold" if row["auto"] else None)
    console.print(table)
    for name, reason in race.refused.items():
        console.print(f"{name} does not serve this shape: {reason}", soft_wrap=True, markup=False)
    console.print(
        f"{race.conditions}. GFLOP/s: two operations for each multiply-add of the definition. Peak: rise of "
        f"the resident set by one forward and backward in a fresh process. Difference: the largest of output "
        f"and gradients from {race.reference}, relative to the largest value.",
        soft_wrap=True,
        markup=False,
    )
    for figure in race.figures:
        console.print(one_line(str(figure)), soft_wrap=True, markup=False)


def _cells(row: pd.Series[Any]) -> list[str]:
    import pandas as pd

    def number(name: str, form: str, factor: float = 1) -> str:
        return "-" if pd.isna(row[name]) else form.format(float(row[name]) * factor)

    return [
        f"{row['algorithm']}{' (auto)' if row['auto'] else ''}",
        number("forward_seconds", "{:,.2f}", 1e3),
        number("forward_gflops", "{:,.1f}"),
        number("backward_seconds", "{:,.2f}", 1e3),
        number("backward_gflops", "{:,.1f}"),
        number("peak_bytes", "{:,.1f}", 2**-20),
        number("difference", "{:.1e}"),
        str(row["turns"]),
        cell(row["note"]),
    ]
