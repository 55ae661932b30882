"""`--log json`: one JSON object a line on standard output, and nothing else there.

`docs/console.md` describes the events: `stage`, `epoch`, `message`, `result` and `error`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, TextIO

from striate.workflows.listener import Listener

if TYPE_CHECKING:
    from pathlib import Path

    from striate.architectures.comparison import Measured
    from striate.runs import Run
    from striate.training import EpochRecord, Progress
    from striate.workflows.ablate import Study
    from striate.workflows.audit import Audit
    from striate.workflows.augment_data import AugmentedData
    from striate.workflows.bench_conv import ConvolutionRace
    from striate.workflows.bench_train import TrainingBench
    from striate.workflows.compare import Comparison
    from striate.workflows.data import DataDescription
    from striate.workflows.explain import Explained
    from striate.workflows.export_onnx import Exported
    from striate.workflows.gradients import GradientChecks
    from striate.workflows.predict import Abstention, PredictionTable
    from striate.workflows.robustness import Robustness
    from striate.workflows.verification import Verification

STAGE_SECONDS = 1.0
"""A stage is told when it begins and ends, and no more often than this between."""
_METRICS = (
    *("samples", "correct", "accuracy", "balanced_accuracy", "f1", "log_loss"),
    *("threshold", "abstention", "test_views"),  # where they were asked for
)
"""What a result says of each split; everything else lies in `metrics.json`."""


def write(stream: TextIO, event: str, **values: Any) -> None:
    """Write one event as a line of ASCII; numbers that JSON does not know become null."""
    stream.write(json.dumps({"event": event} | _finite(values)) + "\n")
    stream.flush()


class JsonListener(Listener):
    """Tells everything as JSON lines on what is standard output; other prints go to standard error meanwhile.

    Attributes:
        quiet: whether stages and epochs are left out.
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self._stream = sys.stdout
        self._redirection = contextlib.redirect_stdout(sys.stderr)
        self._stage = ""
        self._told = 0.0
        self._remarks: list[str] = []

    def __enter__(self) -> Self:
        self._redirection.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._redirection.__exit__(*error)

    def _write(self, event: str, **values: Any) -> None:
        write(self._stream, event, **values)

    def stage(self, name: str, done: int, total: int) -> None:
        """Tell how far a stage is."""
        self._tell_stage(name, done, total)

    def batch(self, progress: Progress) -> None:
        """Tell how far the training is, as a stage of all its steps."""
        self._tell_stage(
            "training",
            (progress.epoch - 1) * progress.steps + progress.step,
            progress.epochs * progress.steps,
            images_per_second=progress.images_per_second,
        )

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """Tell what an epoch came to."""
        if not self.quiet:
            row = record.history_row() | record.timing_row() | {"best": record.best}
            self._write("epoch", **{"epoch": record.epoch, "epochs": epochs} | row)

    def message(self, text: str) -> None:
        """Tell something that the user should know."""
        self._write("message", text=text)

    def remarks(self, texts: Sequence[str]) -> None:
        """Keep the report's remarks for the result."""
        self._remarks = list(texts)

    def show_run(self, run: Run) -> None:
        """Tell the result of `train` and `evaluate`: where it lies, its metrics and remarks."""
        self._write(
            "result",
            run=str(run.folder),
            report=str(run.report),
            model=str(run.facts().get("model", run.model)),
            stopped=run.facts()["training"].get("stopped"),
            metrics={
                split: {key: entry[key] for key in _METRICS if key in entry}
                for split, entry in run.metrics().items()
            },
            metrics_file=str(run.metrics_file),
            total=run.total(),
            remarks=self._remarks,
        )

    def show_predictions(self, result: PredictionTable, out: Path | None) -> None:
        """Tell the result of `predict`: the classes of each image, or where the file lies that holds them."""
        abstention, copies = result.abstention, result.copies
        self._write(
            "result",
            images=len(result.table),
            out=None if out is None else str(out),
            predictions=None if out is not None else result.records(),
            problems=[{"image": path, "reason": reason} for path, reason in result.problems],
            abstention=None if abstention is None else _abstention(abstention),
            copies=None if copies is None else len(copies),
        )

    def show_exported(self, found: Exported) -> None:
        """Tell the result of `export`: the file, its input and classes, and how well it agrees."""
        values = dataclasses.asdict(found) | {"path": str(found.path)}
        self._write("result", **values)

    def show_data(self, description: DataDescription) -> None:
        """Tell the result of `data`: counts, sizes, formats, and where the figures lie."""
        self._write(
            "result",
            folder=str(description.folder),
            counts=json.loads(description.counts.to_json(orient="records")),
            sizes=json.loads(description.sizes.to_json(orient="records")),
            formats=json.loads(description.formats.to_json(orient="records")),
            figures=[str(figure) for figure in description.figures],
        )

    def show_gradients(self, checks: GradientChecks) -> None:
        """Tell the result of `verify --gradcheck`."""
        from striate.cli.gradients import as_record

        self._write("result", **as_record(checks))

    def show_verification(self, result: Verification) -> None:
        """Tell the result of `verify`: the verdict, the differences of every layer, the losses."""
        departure = result.first_departure
        self._write(
            "result",
            model=result.model,
            images=result.images,
            dtype=result.dtype,
            passed=result.passed,
            first_departure=None if departure is None else _departure(departure),
            tolerance=result.tolerance,
            loss_tolerance=result.loss_tolerance,
            layers=[dataclasses.asdict(row) for row in result.rows],
            losses=[{"numpy": ours, "torch": theirs} for ours, theirs in result.steps],
            losses_in_step=[{"numpy": ours, "torch": theirs} for ours, theirs in result.in_step],
            named=[dataclasses.asdict(named) for named in result.named],
        )

    def show_race(self, race: ConvolutionRace) -> None:
        """Tell the result of `bench conv`: a row for each contender, and on what terms."""
        self._write(
            "result",
            convolution=race.convolution,
            conditions=race.conditions,
            reference=race.reference,
            multiply_adds=race.multiply_adds,
            contenders=json.loads(race.table.to_json(orient="records", double_precision=15)),
            refused=race.refused,
            figures=[str(figure) for figure in race.figures],
        )

    def show_training_bench(self, found: TrainingBench) -> None:
        """Tell the result of `bench train`: the parts of a step, the rates, the largest waste."""
        from striate.cli.step_parts import as_record

        self._write("result", **as_record(found))

    def show_comparison(self, found: Comparison | Study) -> None:
        """Tell the result of `compare` and `ablate`: sets, entries with their scores, comparisons."""
        from striate.cli.comparison import as_record

        self._write("result", **as_record(found))

    def show_robustness(self, found: Robustness) -> None:
        """Tell the result of `evaluate --robustness`: what `robustness.json` holds, and where the page is."""
        self._write("result", folder=str(found.folder), page=str(found.page), **found.result)

    def show_augmented(self, found: AugmentedData) -> None:
        """Tell the result of `data augment`: where the images lie, and which are left out."""
        left_out = [{"image": path, "reason": reason} for path, reason in found.left_out]
        self._write(
            "result", folder=str(found.folder), data=str(found.data), images=found.images, left_out=left_out
        )

    def show_audit(self, audit: Audit) -> None:
        """Tell the result of `data audit`: what `audit.json` holds, and where page and tables lie."""
        self._write(
            "result",
            folder=str(audit.folder),
            page=str(audit.page),
            tables=[str(table) for table in audit.tables],
            **audit.findings.facts(),
        )

    def show_lesson(self, page: Path) -> None:
        """Tell where the page of `lesson` lies."""
        self._write("result", page=str(page))

    def show_explained(self, explained: Explained) -> None:
        """Tell the result of `explain`: what `explain.json` holds, and where the page lies."""
        from striate.cli.explain import as_record

        self._write("result", **as_record(explained))

    def _tell_stage(self, name: str, done: int, total: int, **values: Any) -> None:
        now = time.monotonic()
        if self.quiet or (name == self._stage and done < total and now - self._told < STAGE_SECONDS):
            return
        self._stage, self._told = name, now
        self._write("stage", name=name, done=done, total=total, **values)


def _abstention(found: Abstention) -> dict[str, Any]:
    values = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return values | {"abstained": int(found.abstained.sum())}


def _departure(departure: Measured) -> dict[str, Any]:
    values = departure._asdict()
    return values | {"difference": departure.difference._asdict(), "text": str(departure)}


def _finite(value: Any) -> Any:
    """Return `value` with None in place of every number that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
