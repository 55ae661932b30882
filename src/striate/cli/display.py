"""What the commands print: progress and messages on standard error, results on standard output."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from striate.workflows.listener import Listener

if TYPE_CHECKING:
    from pathlib import Path

    from striate.runs import Run
    from striate.training import EpochRecord
    from striate.training import Progress as Step
    from striate.workflows.data import DataDescription
    from striate.workflows.predict import PredictionTable

_REFRESH_SECONDS = 0.1
_UNLIMITED = 100_000


def console_listener(quiet: bool) -> ConsoleListener:
    """Return what shows progress on standard error; `quiet` leaves the messages alone."""
    return ConsoleListener(Console(stderr=True, highlight=False), quiet)


class ConsoleListener(Listener):
    """A progress bar on a terminal, a line an epoch anywhere else.

    Attributes:
        console: where it prints.
        quiet: whether only messages are printed.
    """

    def __init__(self, console: Console, quiet: bool) -> None:
        self.console = console
        self.quiet = quiet
        self._shown = 0.0
        self._stage = ""
        self._task: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stage(self, name: str, done: int, total: int) -> None:
        """Show `done` of `total`, with the rate unknown."""
        self._update(name, done, total, "")

    def message(self, text: str) -> None:
        """Print `text`."""
        self.console.print(f"[yellow]![/yellow] {escape(text)}", soft_wrap=True)

    def batch(self, progress: Step) -> None:
        """Show the step within all epochs, and the rate."""
        done = (progress.epoch - 1) * progress.steps + progress.step
        name = f"epoch {progress.epoch}/{progress.epochs}"
        self._update(
            name, done, progress.steps * progress.epochs, f"{progress.images_per_second:,.0f} images/s"
        )

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """Print a line with losses and accuracies."""
        if not self.quiet:
            self.console.print(_epoch_line(record, epochs), soft_wrap=True)

    def _update(self, name: str, done: int, total: int, rate: str) -> None:
        """Show a stage, no more often than the eye can follow; take it away once it is done."""
        now = time.monotonic()
        stage = name.split(" ")[0]
        if done < total and stage == self._stage and now - self._shown < _REFRESH_SECONDS:
            return
        self._shown = now
        if self._task is not None and (stage != self._stage or done >= total):
            self._progress.remove_task(self._task)
            self._task = None
        self._stage = stage
        if done >= total:
            return
        if self._task is None:
            self._task = self._progress.add_task(name, total=total, completed=done, rate=rate)
        self._progress.update(self._task, description=name, completed=done, total=total, rate=rate)


def _epoch_line(record: EpochRecord, epochs: int) -> str:
    parts = [f"epoch {record.epoch:>{len(str(epochs))}}/{epochs}"]
    parts.append(f"train loss {record.train_loss:.4f} accuracy {record.train_accuracy:.1%}")
    if record.val_loss is not None and record.val_accuracy is not None:
        parts.append(f"val loss {record.val_loss:.4f} accuracy {record.val_accuracy:.1%}")
    parts.append(f"{record.seconds:.1f} s")
    if record.best and record.val_loss is not None:
        parts.append("best")
    return "   ".join(parts)


def _result_console() -> Console:
    """Return what prints to standard output; a file or a pipe is as wide as what is printed."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_UNLIMITED)


def _table(columns: Iterable[str]) -> Table:
    """Return a table that breaks texts that are too long, and cuts none."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(escape(column), overflow="fold")
    return table


def show_run(run: Run) -> None:
    """Print the metrics of each split and where the report lies."""
    console = _result_console()
    table = Table(box=None, pad_edge=False)
    for column in ("split", "images", "accuracy", "95 % interval", "macro F1", "log loss"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split, metrics in run.metrics().items():
        table.add_row(split, *_metric_cells(metrics))
    console.print(table)
    console.print(f"report: {run.report}", soft_wrap=True, markup=False)


def _metric_cells(metrics: dict[str, Any]) -> list[str]:
    accuracy = metrics["accuracy"]
    return [
        f"{metrics['samples']:,}",
        f"{accuracy['value']:.2%}",
        f"{accuracy['low']:.1%} to {accuracy['high']:.1%}",
        f"{metrics['f1']['macro']['value']:.4f}",
        f"{metrics['log_loss']['value']:.4f}",
    ]


def show_predictions(result: PredictionTable, out: Path | None) -> None:
    """Print the predictions, or where they were written."""
    console = _result_console()
    if out is not None:
        console.print(f"{len(result.table)} images: {out}", soft_wrap=True, markup=False)
        return
    table = _table(("image", "predicted", "probability"))
    for image, predicted, probability in result.table[["image", "predicted", "probability"]].itertuples(
        index=False
    ):
        table.add_row(escape(image), escape(predicted), f"{float(probability):.1%}")
    console.print(table)


def show_data(description: DataDescription) -> None:
    """Print counts and sizes, and where the figures lie."""
    console = _result_console()
    for frame in (description.counts, description.sizes):
        table = _table(map(str, frame.columns))
        for row in frame.itertuples(index=False):
            table.add_row(*(escape(str(cell)) for cell in row))
        console.print(table)
        console.print()
    for figure in description.figures:
        console.print(str(figure), soft_wrap=True, markup=False)
