"""The run folder: made, read and written. Tables, predictions and facts go through `Run`."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import safetensors
import safetensors.numpy

from striate import config, consistency, files, schemas
from striate.config import TrainConfig
from striate.errors import RunError
from striate.run_files import RunFiles
from striate.schemas import Predictions

if TYPE_CHECKING:
    import pandas as pd


class Run(RunFiles):
    """A folder that holds one training run, or one evaluation of a model on other data.

    Attributes:
        folder: where it lies.
    """

    def __init__(self, folder: str | os.PathLike[str], *, numbered: bool = False) -> None:
        """Name the run in `folder`; `numbered`: it moves on to `-2`, `-3`, ... where `folder` is taken."""
        self._first = Path(folder) if numbered else None
        super().__init__(_free(Path(folder)) if numbered else Path(folder))

    # Creating and finding

    @classmethod
    def choose(
        cls, out: str | os.PathLike[str] | None, name: str, images: Iterable[str | os.PathLike[str]] = ()
    ) -> Run:
        """Return the run folder to write: `out`, or a free `runs/<name>`, `runs/<name>-2`, ...

        Nothing is created.

        Args:
            out: named by the user; None: chosen here.
            name: of the folder that is chosen here.
            images: folders of images, which must not come to hold the run.

        Raises:
            RunError: `out` holds a run already, is a file, or cannot be written.
            UserError: it lies within `images`.
        """
        if out is not None and not os.fspath(out):
            raise RunError("--out is empty: expected the folder to write.")
        run = cls(Path("runs") / _plain(name), numbered=True) if out is None else cls(out)
        own = (*run.written(schemas.SPLITS), run.model, run.checkpoints)
        taken = [path.name for path in own if os.path.exists(path)]
        if taken:
            raise run._taken(taken[0])
        _check_writable(run.folder)
        for folder in images:
            files.check_apart(run.folder, folder)
        return run

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Run:
        """Return the run that lies in `folder`.

        Raises:
            RunError: no run lies there.
        """
        run = cls(folder)
        if not run.folder.is_dir():
            raise RunError(f"no run at {folder}: there is no such folder.")
        if not run.facts_file.is_file():
            raise RunError(
                f"no run at {folder}: {run.facts_file.name} is missing. Name a folder made by 'train'."
            )
        return run

    @contextlib.contextmanager
    def creating(self) -> Iterator[None]:
        """Make the folder; an error that leaves no checkpoint behind takes away what was written."""
        made = self._claim()
        try:
            yield
        except BaseException:
            if not os.path.isdir(self.checkpoints) or not any(self.checkpoints.iterdir()):
                self._discard(made)
            raise
        if not any(self.checkpoints.iterdir()):
            self.checkpoints.rmdir()  # an evaluation, or a training cut short in its first epoch

    def _claim(self) -> list[Path]:
        """Make the folders, though another process may be about to; return those that were not there.

        Raises:
            UserError: they cannot be made, or another run has begun in a folder that the user named.
        """
        made = [folder for folder in self.folder.parents if not os.path.exists(folder)]
        try:
            while self._first is not None and not files.make_new_folder(self.folder):
                self.folder = _free(self._first)
            if self._first is not None or not os.path.exists(self.folder):
                made.insert(0, self.folder)
            if not files.make_new_folder(self.checkpoints):
                raise self._taken(self.checkpoints.name)
        except BaseException:
            _remove_empty(made)
            raise
        return made

    def _taken(self, name: str) -> RunError:
        return RunError(f"{self.folder} holds a run already ({name}). Choose another --out, or --resume it.")

    def _discard(self, made: Sequence[Path]) -> None:
        """Remove the files that a run writes, and the folders that were `made` for it."""
        names: list[str] = list(schemas.SPLITS)
        if self.folder in made:  # else files named like those of a set may be the user's
            with contextlib.suppress(RunError):
                names += self.sets()
        for path in (self.checkpoints, self.tensorboard, self.figures, self.model):
            shutil.rmtree(path, ignore_errors=True)
        for path in self.written(names):
            path.unlink(missing_ok=True)
        _remove_empty(made)

    # Reading

    def config(self) -> TrainConfig:
        """The settings."""
        return config.make(TrainConfig, config.read(self.config_file))

    def facts(self) -> dict[str, Any]:
        """What data, network and training turned out to be."""
        facts = self._json(self.facts_file)
        missing = [name for name in ("data", "network", "training") if not isinstance(facts.get(name), dict)]
        if missing:
            _unreadable(self.facts_file, f"{missing[0]!r} is missing")
        return facts

    def environment(self) -> dict[str, Any]:
        """Versions and hardware."""
        return self._json(self.environment_file)

    def metrics(self) -> dict[str, Any]:
        """Metrics by split or set."""
        return {name: entry for name, entry in self._json(self.metrics_file).items() if name != "total"}

    def total(self) -> dict[str, Any] | None:
        """The weighted score of several sets: `value`, `low`, `high`, `parts`; None where there are none."""
        total: dict[str, Any] | None = self._json(self.metrics_file).get("total")
        return total

    def audit(self) -> dict[str, Any]:
        """What an audit found among the images of the training; empty where there was none."""
        return self._json(self.audit_file) if self.audit_file.is_file() else {}

    def ladder(self) -> dict[str, Any]:
        """What was tried within a budget, as `ladder.json` holds it; empty where there was none."""
        return self._json(self.ladder_file) if self.ladder_file.is_file() else {}

    def leaked(self) -> dict[str, set[str]]:
        """The images that have a copy among the training images: split -> paths.

        Raises:
            RunError: what is recorded of them makes no sense.
        """
        found: dict[str, set[str]] = {}
        try:
            for leak in self.audit().get("leaks", ()):
                found.setdefault(leak["split"], set()).add(leak["image"])
        except (TypeError, KeyError):
            _unreadable(self.audit_file, "'leaks' is not a list of images")
        return found

    def history(self) -> pd.DataFrame:
        """A row an epoch, as numbers; empty where the run has none."""
        return self._numbers(self.history_file, schemas.HISTORY_COLUMNS, "epoch", "best")

    def timing(self) -> pd.DataFrame:
        """Seconds and images a second of each epoch; empty where the run has none."""
        return self._numbers(self.timing_file, schemas.TIMING_COLUMNS, "epoch")

    def samples(self) -> pd.DataFrame:
        """Every image with its label and split, as text."""
        return self._table(self.samples_file, schemas.SAMPLE_COLUMNS, schemas.read_images)

    def quarantine(self) -> pd.DataFrame:
        """The images that could not be used, as text."""
        return self._table(self.quarantine_file, schemas.QUARANTINE_COLUMNS, schemas.read_images)

    def splits(self) -> list[str]:
        """The splits, then the sets, for which predictions lie in the folder."""
        return [name for name in (*schemas.SPLITS, *self.sets()) if self.predictions_file(name).is_file()]

    def sets(self) -> dict[str, dict[str, Any]]:
        """The sets that were evaluated together, in their order: name -> `path`, `weight` and so on.

        Empty for a training, and for an evaluation of one data set.

        Raises:
            RunError: what is recorded of them makes no sense.
        """
        sets = self._json(self.facts_file).get("sets", {}) if self.facts_file.is_file() else {}
        if not isinstance(sets, dict) or not all(isinstance(entry, dict) for entry in sets.values()):
            _unreadable(self.facts_file, "'sets' is not an object of objects")
        wrong = [name for name in sets if not schemas.is_set_name(name)]
        if wrong:
            _unreadable(self.facts_file, f"{wrong[0]!r} cannot be the name of a set")
        return sets

    def predictions(self, split: str) -> Predictions:
        """What the network put out for the images of `split`: logits before any temperature.

        Raises:
            RunError: the files are missing, damaged, or do not fit each other.
        """
        path = self.predictions_file(split)
        try:
            with safetensors.safe_open(path, "numpy") as file:
                class_names = tuple(json.loads(file.metadata()["class_names"]))
                logits, labels = file.get_tensor("logits"), file.get_tensor("labels")
            _check_kinds(logits, labels, class_names)
        except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"cannot read the predictions in {path}: {error}. Evaluate the model anew."
            ) from error
        table = self._table(self.predictions_table(split), ("image", "label", "predicted"))
        images = tuple(schemas.unguard(cell) for cell in table["image"])
        if logits.shape != (len(images), len(class_names)) or labels.shape != (len(images),):
            raise RunError(
                f"{path} does not fit {self.predictions_table(split).name}: logits {logits.shape}, "
                f"labels {labels.shape}, {len(images)} images, {len(class_names)} classes."
            )
        predictions = Predictions(images, labels, logits, class_names)
        consistency.check_rows(
            predictions, table, f"{path} does not fit {self.predictions_table(split).name}"
        )
        return predictions

    def temperature(self) -> float:
        """What logits are divided by before softmax; 1 for runs that were not calibrated.

        Raises:
            RunError: what is recorded is no number above 0.
        """
        recorded = self.facts().get("calibration", {})
        value = recorded.get("temperature", 1.0) if isinstance(recorded, dict) else None
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            _unreadable(self.facts_file, f"'calibration' holds the temperature {value!r}")
        return float(value)

    def calibrated(self, split: str) -> Predictions:
        """As `predictions`, logits divided by the run's temperature."""
        return self.predictions(split).at_temperature(self.temperature())

    def check(self, split: str, predictions: Predictions) -> None:
        """Make sure that `predictions` are those of the images of `split` and of the run's classes.

        Raises:
            RunError: the classes, the images or their labels are others.
        """
        file = self.predictions_file(split)
        class_names = self.facts()["data"].get("class_names", predictions.class_names)
        consistency.check_classes(predictions, class_names, f"{file} does not fit {self.facts_file.name}")
        if self.samples_file.is_file():
            samples = self.samples()
            consistency.check_samples(
                predictions,
                samples[samples["split"] == split],
                f"{file} does not fit {self.samples_file.name}",
            )

    # Writing

    def write_config(self, settings: TrainConfig) -> None:
        """Write the settings."""
        config.write(self.config_file, settings)

    def write_facts(self, facts: dict[str, Any]) -> None:
        """Write what data, network and training turned out to be."""
        files.write_json(self.facts_file, facts)

    def write_predictions(self, split: str, predictions: Predictions, table: pd.DataFrame) -> None:
        """Write both files of predictions; `table` is the one for people."""
        tensors: dict[str, np.ndarray] = {
            "logits": np.ascontiguousarray(predictions.logits, np.float32),
            "labels": np.ascontiguousarray(predictions.labels, np.int64),
        }
        metadata = {"class_names": json.dumps(predictions.class_names)}
        schemas.write_table(self.predictions_table(split), table)
        files.write_bytes(self.predictions_file(split), safetensors.numpy.save(tensors, metadata))

    def write_history(self, history: Sequence[dict[str, Any]], timing: Sequence[dict[str, Any]]) -> None:
        """Write a row an epoch of `schemas.HISTORY_COLUMNS` and of `schemas.TIMING_COLUMNS`."""
        import pandas as pd

        schemas.write_table(self.history_file, pd.DataFrame(history, columns=schemas.HISTORY_COLUMNS))
        schemas.write_table(self.timing_file, pd.DataFrame(timing, columns=schemas.TIMING_COLUMNS))

    def _json(self, path: Path) -> dict[str, Any]:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            _unreadable(path, error)
        if not isinstance(content, dict):
            _unreadable(path, "expected a JSON object")
        return content

    def _table(
        self,
        path: Path,
        columns: tuple[str, ...],
        read: Callable[[Path], pd.DataFrame] = schemas.read_table,
    ) -> pd.DataFrame:
        try:
            table = read(path)
        except (OSError, ValueError) as error:
            _unreadable(path, error)
        missing = [column for column in columns if column not in table.columns]
        if missing:
            _unreadable(path, f"column {missing[0]!r} is missing")
        return table

    def _numbers(self, path: Path, columns: tuple[str, ...], *whole: str) -> pd.DataFrame:
        """Return a table of numbers, those in the columns `whole` whole ones; empty where there is none."""
        if not path.exists():
            import pandas as pd

            return pd.DataFrame(columns=list(columns))
        table = self._table(path, columns)
        try:
            return table.replace("", "nan").astype(float).astype(dict.fromkeys(whole, int))
        except ValueError as error:
            _unreadable(path, error)


def _unreadable(path: Path, reason: object) -> NoReturn:
    cause = reason if isinstance(reason, Exception) else None
    text = reason.strerror if isinstance(reason, OSError) and reason.strerror else reason
    raise RunError(f"cannot read {path}: {text}.") from cause


def _check_kinds(logits: np.ndarray, labels: np.ndarray, class_names: tuple[Any, ...]) -> None:
    """Refuse what another program wrote as numbers or names of another kind.

    Raises:
        ValueError: says which.
    """
    for name, array, kinds, expected in (
        ("logits", logits, "f", "floating-point"),
        ("labels", labels, "iu", "whole"),
    ):
        if array.dtype.kind not in kinds:
            raise ValueError(f"{name} are {array.dtype}, expected {expected} numbers")
    if not all(isinstance(name, str) for name in class_names):
        raise ValueError("class_names are not all texts")


def _plain(name: str) -> str:
    """Return `name` with everything that is awkward in a folder's name replaced."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80] or "run"


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove `folders`, the inner ones first, but for those in which something lies."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _free(folder: Path) -> Path:
    """Return `folder`, or the first of `folder-2`, `folder-3`, ... that does not exist."""
    candidate, number = folder, 1
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def _check_writable(folder: Path) -> None:
    """Fail early where `folder` cannot be made or written."""
    if os.path.exists(folder) and not folder.is_dir():
        raise RunError(f"{folder} is a file; --out names a folder.")
    existing = folder
    while not os.path.exists(existing):  # unlike Path.exists, no for a name that is too long
        existing = existing.parent
    if not existing.is_dir():
        raise RunError(f"cannot create {folder}: {existing} is a file.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise RunError(f"cannot write to {existing}: permission denied. Choose another --out.")
