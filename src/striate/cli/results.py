"""What people see when a command is done: small tables on standard output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from striate.cli.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from striate.runs import Run
    from striate.workflows.audit import Audit
    from striate.workflows.data import DataDescription
    from striate.workflows.export_onnx import Exported
    from striate.workflows.predict import Abstention, PredictionTable

TOP_REMARKS = 3
"""So many remarks are printed; the report holds all."""
_UNLIMITED = 100_000


def result_console() -> Console:
    """Return what prints to standard output; a file or a pipe is as wide as what is printed."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_UNLIMITED)


def _table(columns: Iterable[str]) -> Table:
    """Return a table that breaks texts that are too long, and cuts none."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(cell(column), overflow="fold")
    return table


def cell(value: object) -> str:
    """Return a text that fills one line and holds no markup."""
    return escape(one_line(str(value)))


def show_run(run: Run, remarks: Sequence[str] = ()) -> None:
    """Print the metrics of each split or set, what must be known to judge them, and where the report lies."""
    console = result_console()
    table = Table(box=None, pad_edge=False)
    name, total = ("set", run.total()) if run.sets() else ("split", None)
    for column in (name, "images", "accuracy", "95 % interval", "macro F1", "log loss"):
        table.add_column(column, justify="left" if column == name else "right")
    for split, metrics in run.metrics().items():
        table.add_row(split, *_metric_cells(metrics))
    if total is not None:
        images = sum(part["samples"] for part in total["parts"])
        table.add_row("weighted", f"{images:,}", *_share_cells(total))
    console.print(table)
    for split, metrics in run.metrics().items():
        if views := metrics.get("test_views"):
            share = f"{100 * views['accuracy']['value']:.2f}%"
            line = f"{split} averaged over {views['views']} views of each image ({views['name']}): {share}"
            console.print(line, soft_wrap=True, markup=False)
        if "threshold" in metrics:
            console.print(_threshold_line(split, metrics["threshold"]), soft_wrap=True, markup=False)
        if "abstention" in metrics:
            console.print(_abstention_line(split, metrics["abstention"]), soft_wrap=True, markup=False)
    for remark in remarks[:TOP_REMARKS]:
        console.print(f"[yellow]![/yellow] {cell(remark)}", soft_wrap=True)
    if len(remarks) > TOP_REMARKS:
        more = len(remarks) - TOP_REMARKS
        noun = "remark stands" if more == 1 else "remarks stand"
        console.print(f"  {more} more {noun} in the report", soft_wrap=True)
    console.print(f"report: {one_line(str(run.report))}", soft_wrap=True, markup=False)


def _metric_cells(metrics: Mapping[str, Any]) -> list[str]:
    return [
        f"{metrics['samples']:,}",
        *_share_cells(metrics["accuracy"]),
        f"{metrics['f1']['macro']['value']:.4f}",
        f"{metrics['log_loss']['value']:.4f}",
    ]


def _share_cells(share: Mapping[str, float]) -> tuple[str, str]:
    return f"{share['value']:.2%}", f"{share['low']:.1%} to {share['high']:.1%}"


def _threshold_line(split: str, found: Mapping[str, Any]) -> str:
    cost, half = found["cost"], found["at_half"]
    return (
        f"{split}: '{one_line(found['positive'])}' above {found['threshold']:.3f} (chosen on "
        f"{found['chosen_on']}; a missed one costs {found['miss_cost']:g}, a false alarm "
        f"{found['false_alarm_cost']:g}): {cost['value']:.3f} an image, {cost['low']:.3f} to "
        f"{cost['high']:.3f}; at 0.5 it would be {half['value']:.3f}"
    )


def _abstention_line(split: str, found: Mapping[str, Any]) -> str:
    """Say how many images of a split are answered from a probability on, and how many of these rightly."""
    answered = f"{found['answered']:,} of {found['samples']:,} images ({found['coverage']['value']:.1%})"
    line = f"{split}: from {100 * found['threshold']:.6g}% on, {answered} are answered"
    if found["accuracy"] is None:
        return line
    share, interval = _share_cells(found["accuracy"])
    return f"{line}, {share} of them rightly ({interval})"


def show_predictions(result: PredictionTable, out: Path | None) -> None:
    """Print the predictions, or where they were written."""
    console = result_console()
    if out is not None:
        console.print(f"{len(result.table)} images: {one_line(str(out))}", soft_wrap=True, markup=False)
    else:
        console.print(_predictions(result))
    if result.copies is not None:
        console.print(_copies_line(result.copies), soft_wrap=True, markup=False)
    if result.abstention is not None:
        for line in abstention_lines(result.abstention):
            console.print(line, soft_wrap=True, markup=False)


def _predictions(result: PredictionTable) -> Table:
    """A row an image; what is left to a person has its guess in brackets."""
    further = result.top is not None and result.top > 1
    table = _table(("image", "predicted", "probability", *(["then"] if further else [])))
    for number, record in enumerate(result.records()):
        left = result.abstention is not None and result.abstention.abstained[number]
        name = record["predicted"]
        cells = [record["image"], f"? ({name})" if left else name, f"{record['probability']:.1%}"]
        if further:
            _, *others = record["probabilities"].items()
            cells.append(", ".join(f"{other} {probability:.1%}" for other, probability in others))
        table.add_row(*map(cell, cells))
    return table


def _copies_line(copies: Sequence[Path]) -> str:
    """Say how many photos were copied, and how many of them into each folder."""
    counts = Counter(copy.parent for copy in copies)
    parts = ", ".join(f"{counts[place]:,} to {place.name}" for place in sorted(counts))
    noun = "photo" if len(copies) == 1 else "photos"
    return one_line(f"{len(copies):,} {noun} copied into {copies[0].parent.parent}: {parts}")


def abstention_lines(found: Abstention) -> list[str]:
    """Say how many images are left to a person, and what the other answers are worth."""
    left, n = int(found.abstained.sum()), len(found.abstained)
    whose = "is left to a person: its" if left == 1 else "are left to a person: their"
    noun = "image" if n == 1 else "images"
    lines = [f"{left:,} of {n:,} {noun} {whose} class is less than {100 * found.threshold:.6g}% probable."]
    if found.expected is not None:
        share = f"{found.expected:.1%}"
        other = "other " if left else ""
        told = f"{share} of the {other}{n - left:,} answers are right"
        if n - left == 1:
            told = f"the {'other' if left else 'one'} answer is right with a probability of {share}"
        lines.append(f"By its probabilities, {told}.")
    if found.measured is not None:
        known = found.measured
        share, right = known["answered"] / known["samples"], known["correct"] / known["answered"]
        noun = "image" if known["samples"] == 1 else "images"
        lines.append(
            f"Of its {known['samples']:,} {known['split']} {noun}, it was as sure of {share:.1%}, "
            f"and {right:.1%} of these were right."
        )
    if not found.calibrated:
        lines.append("The probabilities of this model are not calibrated.")
    return lines


def show_exported(found: Exported) -> None:
    """Print where the ONNX file lies, what it takes and gives, and how well it agrees with the model."""
    shape = " x ".join(map(str, found.input_shape))
    agreement = found.agreement
    text = (
        f"{found.path}: {shape} -> {len(found.class_names)} classes; on {agreement.images} random images its "
        f"probabilities differ from the model's by {agreement.probabilities:.1g} at most"
    )
    result_console().print(one_line(text), soft_wrap=True, markup=False)


def show_data(description: DataDescription) -> None:
    """Print counts and sizes, and where the figures lie."""
    console = result_console()
    for frame in (description.counts, description.sizes):
        table = _table(map(str, frame.columns))
        for row in frame.itertuples(index=False):
            table.add_row(*map(cell, row))
        console.print(table)
        console.print()
    for figure in description.figures:
        console.print(one_line(str(figure)), soft_wrap=True, markup=False)


def show_audit(audit: Audit) -> None:
    """Print what must be known of the data, and where the page lies on which images are marked."""
    console = result_console()
    sentences = audit.findings.sentences()
    for sentence in sentences or ["Nothing was found: no copies, no shortcuts."]:
        console.print(cell(sentence), soft_wrap=True)
    console.print(f"page: {one_line(str(audit.page))}", soft_wrap=True, markup=False)


def show_page(page: Path) -> None:
    """Print where a page lies that a command wrote."""
    result_console().print(f"page: {one_line(str(page))}", soft_wrap=True, markup=False)
