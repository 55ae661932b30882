"""What `bench train` prints: where the time of a step goes, and what wastes most of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from rich.table import Table

from striate.cli.results import cell, result_console

if TYPE_CHECKING:
    from striate.workflows.bench_train import TrainingBench

_NAMES = {
    "decode": "decode",
    "augment": "augment",
    "normalize": "normalize",
    "transfer": "transfer",
    "forward": "forward",
    "backward": "backward",
    "optimizer": "optimizer",
    "logging": "logging",
    "rest": "the loop around",
}
_WASTE = {"rest": "the loop around the steps", "computing": "forward and backward, beyond the peak's time"}


def show_training_bench(found: TrainingBench) -> None:
    """Print a row for each part of a step, the rates, and the largest waste."""
    console = result_console()
    table = Table(box=None, pad_edge=False)
    for column in ("a step", "ms", "share"):
        table.add_column(column, justify="right" if table.columns else "left")
    for name, seconds in found.parts.items():
        table.add_row(_NAMES[name], f"{1e3 * seconds:,.2f}", f"{seconds / found.seconds:.1%}")
    table.add_row("together", f"{1e3 * found.seconds:,.2f}", "100.0%", style="bold")
    console.print(table)
    for line in _lines(found):
        console.print(cell(line), soft_wrap=True)


def as_record(found: TrainingBench) -> dict[str, Any]:
    """Return what `--log json` tells."""
    return dataclasses.asdict(found)


def _lines(found: TrainingBench) -> list[str]:
    device = (
        f", {found.device_bytes / 2**20:,.0f} MiB on the device" if found.device_bytes is not None else ""
    )
    memory = "not told here" if found.peak_bytes is None else f"{found.peak_bytes / 2**20:,.0f} MiB"
    waste = found.waste
    return [
        f"{found.images_per_second:,.0f} images/s: {found.model}, means over the middle half of "
        f"{found.steps} steps of {found.batch_size} images.",
        f"{1e-9 * found.operations:,.3g} billion operations a step: {found.peak_share:.1%} of the peak of "
        f"{1e-9 * found.peak:,.0f} GFLOP/s that products of matrices reach here; forward and backward alone "
        f"{found.computing_share:.1%}.",
        f"Peak memory of the process: {memory}{device}.",
        f"{found.conditions}; {found.engine}.",
        f"Largest waste: {_WASTE.get(waste.part, waste.part)}, {waste.share:.0%} of a step. "
        f"{waste.advice[0].upper()}{waste.advice[1:]}",
    ]
