"""What people see while a command works: progress, epochs and messages, on standard error."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from striate.cli import results
from striate.cli.text import plain
from striate.workflows.listener import Listener

if TYPE_CHECKING:
    from pathlib import Path

    from striate.runs import Run
    from striate.training import EpochRecord
    from striate.training import Progress as Step
    from striate.workflows.ablate import Study
    from striate.workflows.audit import Audit
    from striate.workflows.augment_data import AugmentedData
    from striate.workflows.bench_conv import ConvolutionRace
    from striate.workflows.bench_train import TrainingBench
    from striate.workflows.compare import Comparison
    from striate.workflows.data import DataDescription
    from striate.workflows.explain import Explained
    from striate.workflows.gradients import GradientChecks
    from striate.workflows.predict import PredictionTable
    from striate.workflows.robustness import Robustness
    from striate.workflows.verification import Verification

_REFRESH_SECONDS = 0.1
_FIRST_LINE_SECONDS = 5.0
"""Off a terminal, a stage that takes longer is told by a line; shorter ones are over soon enough."""
_LINE_SECONDS = 30.0
"""From then on it gets a line so often at most."""


def console_listener(quiet: bool) -> ConsoleListener:
    """Return what shows progress on standard error; `quiet` leaves the messages alone."""
    return ConsoleListener(Console(stderr=True, highlight=False), quiet)


class ConsoleListener(Listener):
    """A display that stays in place on a terminal, a line an epoch anywhere else.

    Attributes:
        console: where it prints.
        quiet: whether only messages are printed.
    """

    def __init__(self, console: Console, quiet: bool) -> None:
        self.console = console
        self.quiet = quiet
        self._live = console.is_terminal and not console.is_dumb_terminal and not quiet
        self._shown = 0.0
        self._stage = ""
        self._told = ("", 0)
        self._next_line = 0.0
        self._task: TaskID | None = None
        self._last: tuple[EpochRecord, int] | None = None
        self._best: EpochRecord | None = None
        self._said: set[str] = set()
        self._remarks: list[str] = []
        self._progress = _Display(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=not self._live,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close_training()
        self._progress.stop()

    def stage(self, name: str, done: int, total: int) -> None:
        """Show `done` of `total`, with the rate unknown; off a terminal in a line now and then."""
        self._close_training()
        if not self._live:
            self._tell(name, done, total)
        self._update(name, done, total, "")

    def message(self, text: str) -> None:
        """Print `text`."""
        self._said.add(text)
        self.console.print(f"[yellow]![/yellow] {escape(plain(text))}", soft_wrap=True)

    def batch(self, progress: Step) -> None:
        """Show the step within all epochs, and the rate."""
        done = (progress.epoch - 1) * progress.steps + progress.step
        name = f"epoch {progress.epoch}/{progress.epochs}"
        self._update(
            name, done, progress.steps * progress.epochs, f"{progress.images_per_second:,.0f} images/s"
        )

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """Show losses and accuracies of this epoch, and of the best so far."""
        self._last = (record, epochs)
        if record.best:
            self._best = record
        if self._live:
            self._progress.below = _epoch_table(record, self._best)
        elif not self.quiet:
            self.console.print(_epoch_line(record, epochs), soft_wrap=True)

    def remarks(self, texts: Sequence[str]) -> None:
        """Keep the report's remarks for the end, but for those that were printed already."""
        self._remarks = [text for text in texts if text not in self._said]

    def show_run(self, run: Run) -> None:
        """Print what `train` and `evaluate` came to."""
        results.show_run(run, self._remarks)

    def show_predictions(self, result: PredictionTable, out: Path | None) -> None:
        """Print what `predict` came to."""
        results.show_predictions(result, out)

    def show_data(self, description: DataDescription) -> None:
        """Print what `data` found."""
        results.show_data(description)

    def show_verification(self, result: Verification) -> None:
        """Print what `verify` found."""
        from striate.cli.verification import show_verification

        show_verification(result)

    def show_gradients(self, checks: GradientChecks) -> None:
        """Print what `verify --gradcheck` found."""
        from striate.cli.gradients import show_gradients

        show_gradients(checks)

    def show_race(self, race: ConvolutionRace) -> None:
        """Print what `bench conv` measured."""
        from striate.cli.race import show_race

        show_race(race)

    def show_training_bench(self, found: TrainingBench) -> None:
        """Print what `bench train` measured."""
        from striate.cli.step_parts import show_training_bench

        show_training_bench(found)

    def show_comparison(self, found: Comparison | Study) -> None:
        """Print what `compare` and `ablate` found."""
        from striate.cli.comparison import show_comparison

        show_comparison(found)

    def show_robustness(self, found: Robustness) -> None:
        """Print what `evaluate --robustness` found."""
        from striate.cli.comparison import show_robustness

        show_robustness(found)

    def show_augmented(self, found: AugmentedData) -> None:
        """Print what `data augment` wrote."""
        from striate.cli.comparison import show_augmented

        show_augmented(found)

    def show_audit(self, audit: Audit) -> None:
        """Print what `data audit` found."""
        results.show_audit(audit)

    def show_lesson(self, page: Path) -> None:
        """Print where the page of `lesson` lies."""
        results.show_page(page)

    def show_explained(self, explained: Explained) -> None:
        """Print what `explain` found."""
        from striate.cli.explain import show_explained

        show_explained(explained)

    def _close_training(self) -> None:
        """Leave one line of a training whose display goes away."""
        if self._last is None:
            return
        (record, epochs), self._last = self._last, None
        self._progress.below = None
        if self._live:
            self.console.print(_epoch_line(record, epochs), soft_wrap=True)
            if self._best is not None and self._best.epoch != record.epoch:
                self.console.print(_epoch_line(self._best, epochs), soft_wrap=True)

    def _tell(self, name: str, done: int, total: int) -> None:
        """Print a line of a stage that goes on for seconds, and later one each half minute."""
        now = time.monotonic()
        stage = name.split(" ")[0]
        (before, reached), self._told = self._told, (stage, done)
        if stage != before or done < reached:  # it begins
            self._next_line = now + _FIRST_LINE_SECONDS
        elif done < total and now >= self._next_line and not self.quiet:
            self._next_line = now + _LINE_SECONDS
            self.console.print(f"{escape(plain(name))} {done:,}/{total:,}", soft_wrap=True)

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


class _Display(Progress):
    """A progress bar, and something below it.

    Attributes:
        below: shown below the bar; None: nothing.
    """

    def __init__(self, *columns: Any, **options: Any) -> None:
        self.below: RenderableType | None = None
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the bar and what is below it; called by rich at every refresh."""
        yield self.make_tasks_table(self.tasks)
        if self.below is not None:
            yield self.below


def _epoch_table(record: EpochRecord, best: EpochRecord | None) -> Table:
    """Two rows: the last epoch, and the one whose weights are kept so far."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in ("", "train loss", "accuracy", "val loss", "accuracy"):
        table.add_column(column, justify="right" if column else "left", header_style="dim")
    rows = [(f"epoch {record.epoch}", record)]
    if best is not None and record.val_loss is not None:
        rows.append((f"kept: epoch {best.epoch}", best))
    for name, row in rows:
        table.add_row(name, *_cells(row))
    return table


def _cells(record: EpochRecord) -> list[str]:
    cells = [f"{record.train_loss:.4f}", f"{record.train_accuracy:.1%}"]
    if record.val_loss is not None and record.val_accuracy is not None:
        cells += [f"{record.val_loss:.4f}", f"{record.val_accuracy:.1%}"]
    return cells


def _epoch_line(record: EpochRecord, epochs: int) -> str:
    parts = [f"epoch {record.epoch:>{len(str(epochs))}}/{epochs}"]
    parts.append(f"train loss {record.train_loss:.4f} accuracy {record.train_accuracy:.1%}")
    if record.val_loss is not None and record.val_accuracy is not None:
        parts.append(f"val loss {record.val_loss:.4f} accuracy {record.val_accuracy:.1%}")
    parts.append(f"{record.seconds:.1f} s")
    if record.best and record.val_loss is not None:
        parts.append("kept")
    return "   ".join(parts)
