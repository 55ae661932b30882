"""How often each test set was looked at: every model whose score on it was seen is a look.

Who tries forty models on one test set and keeps the best has chosen by that set, and its score flatters. So
every evaluation leaves a line in a file of the user's, one file a test set. The same answers are a look once,
however often their report is made, and whatever was deleted since.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from striate.cache import state_folder
from striate.errors import RunError
from striate.workflows.origins import origin

if TYPE_CHECKING:
    from striate.runs import Run
    from striate.schemas import Predictions

SEEN = ("train", "val")
"""Splits that a training uses; looking at them is what they are for."""


def record(run: Run) -> None:
    """Note that the predictions of `run` for its test images were scored.

    A home that cannot be written, and an old evaluation that does not say where its images are, are let be.
    """
    for split in run.splits():
        if split in SEEN:
            continue
        predictions = run.predictions(split)
        try:
            path = _file(origin(run, split), predictions)
            _add(path, _answers(predictions), run)
        except (OSError, RunError):
            return


def count(run: Run, split: str) -> int:
    """Return how many different models were scored on the images of `split` of `run`."""
    return len(_known(_file(origin(run, split), run.predictions(split))))


def _file(source: str, predictions: Predictions) -> Path:
    """The file of a test set: a name made of where it lies, its images and their labels."""
    names = (*predictions.class_names, "")  # [-1]: unknown
    rows: Iterable[str] = sorted(
        f"{image}\0{names[label]}"
        for image, label in zip(predictions.images, predictions.labels, strict=True)
    )
    digest = hashlib.sha256("\0".join((source, *rows)).encode("utf-8", "surrogatepass")).hexdigest()
    return state_folder() / "looks" / f"{digest[:32]}.jsonl"


def _answers(predictions: Predictions) -> str:
    """A digest of which class each image was given, whatever the order of the images."""
    given = sorted(zip(predictions.images, predictions.predicted.tolist(), strict=True))
    return hashlib.sha256(json.dumps(given).encode()).hexdigest()


def _add(path: Path, answers: str, run: Run) -> None:
    if answers in _known(path):
        return
    line = {"answers": answers, "run": str(run.folder.resolve()), "at": datetime.now(UTC).isoformat()}
    path.parent.mkdir(parents=True, exist_ok=True)
    _append(path, json.dumps(line) + "\n")


def _known(path: Path) -> set[str]:
    """The answers noted; a line that was cut short, as by a full disk, is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    known = set()
    for line in lines:
        try:
            known.add(str(json.loads(line)["answers"]))
        except (ValueError, KeyError, TypeError):
            continue
    return known


def _append(path: Path, line: str) -> None:
    """Add a line in one write, so that two processes that do so at once lose none."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(descriptor, line.encode("utf-8"))
    finally:
        os.close(descriptor)
