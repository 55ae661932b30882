"""Carrying out a step: what comes of it is all in memory, and no test image was looked at."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import files
from striate.errors import TrainingError
from striate.runs import Run
from striate.schemas import Predictions
from striate.workflows import on_features, records
from striate.workflows.listener import Listener, Once
from striate.workflows.train import Training, outcome

if TYPE_CHECKING:
    import numpy as np

    from striate.backbones import Choice
    from striate.config import TrainConfig
    from striate.data import ImageSets
    from striate.inference import Classifier
    from striate.training import Fitted, Progress
    from striate.workflows.on_features import FrozenNetwork


@dataclass(frozen=True)
class Attempt:
    """What came of a step.

    Attributes:
        config: its settings; with them `striate train --config` repeats it.
        choice: its network.
        sets: the images at its size.
        source: where its first weights came from.
        weights: all of the network, by name.
        val: predictions of the validation images.
        training: what `run.json` says of it.
        predicting_seconds: an image of `val`.
        history: a row an epoch; likewise `timing`.
        kernels: content of the file of the first layer's kernels through training; empty without one.
        test: gives the predictions of the test images where the bundle is not needed for that.
        mirrored: predictions of the validation images' mirror images, where they were asked for.
    """

    config: TrainConfig
    choice: Choice
    sets: ImageSets
    source: str
    weights: dict[str, np.ndarray]
    val: Predictions
    training: dict[str, Any]
    predicting_seconds: float
    history: Sequence[dict[str, Any]] = ()
    timing: Sequence[dict[str, Any]] = ()
    kernels: bytes = b""
    test: Callable[[], Predictions] | None = field(default=None, repr=False)
    mirrored: Predictions | None = None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        return bool(self.training["stopped"] == "interrupted")


class Deadline(Once):
    """Ends a training when its time is over.

    Args:
        listener: hears everything.
        end: by `time.monotonic`.

    Attributes:
        passed: whether it ended one.
    """

    def __init__(self, listener: Listener, end: float) -> None:
        super().__init__(listener)
        self.end = end
        self.passed = False

    def batch(self, progress: Progress) -> None:
        """Pass on; raises `Stop` after the end."""
        from striate.training.module import Stop

        self.listener.batch(progress)
        if time.monotonic() > self.end:
            self.passed = True
            raise Stop("interrupted", f"the step's time was over in epoch {progress.epoch}.")


def compute_head(
    network: FrozenNetwork, config: TrainConfig, choice: Choice, sets: ImageSets, listener: Listener
) -> Attempt:
    """Train a head on features."""
    fitted = on_features.fit(network, config, sets, listener, splits=("train", "val"))
    for message in fitted.messages:
        listener.message(message)

    def test() -> Predictions:
        features = on_features.features_of(network.frozen, sets, {"test": sets.test}, listener)["test"]
        return on_features.predict(fitted.trained.head, features.values, sets.test, sets.class_names)

    return Attempt(
        config=config,
        choice=choice,
        sets=sets,
        source=network.source,
        weights=fitted.weights,
        val=fitted.predictions["val"],
        training=fitted.describe(),
        predicting_seconds=0.0,
        test=test,
    )


def train_network(
    training: Training, folder: Path, listener: Deadline, *, mirrored: bool = False
) -> Attempt | str:
    """Train by gradient steps, and predict the validation images with the weights that are kept.

    Args:
        training: ready to begin.
        folder: in which a folder for what is written meanwhile is made, and removed.
        listener: ends it.
        mirrored: whether to predict their mirror images as well.

    Returns:
        What came of it, or why nothing did: no epoch was whole, or it diverged.

    Raises:
        KeyboardInterrupt: Ctrl-C in the first epoch.
    """
    with tempfile.TemporaryDirectory(prefix="trying-", dir=folder) as aside:
        staged = Run(aside)
        try:
            fitted = training.fit(staged, listener)
        except TrainingError as error:
            return str(error)
        if not fitted.epochs_run and not listener.passed:
            raise KeyboardInterrupt
        if not fitted.epochs_run:
            return "its first epoch was not completed"
        if listener.passed:
            fitted = replace(fitted, stopped="early")
        attempt, classifier = _predicted(training, fitted, staged, listener)
        if mirrored and training.sets.val is not None:
            turned = classifier.predict_set(training.sets.val, views="mirrored")
            attempt = replace(attempt, mirrored=turned)
        return attempt


def _predicted(
    training: Training, fitted: Fitted, staged: Run, listener: Listener
) -> tuple[Attempt, Classifier]:
    from striate.inference import load

    assert training.sets.val is not None
    files.make_folder(staged.folder)
    records.write_bundle(staged, training.choice, training.sets, training.source, fitted.weights)
    classifier = load(staged.model, fitted.engine.device)
    started = time.perf_counter()
    val = classifier.predict_set(
        training.sets.val, lambda done, total: listener.stage("evaluating val", done, total)
    )
    seconds = (time.perf_counter() - started) / len(training.sets.val)
    kernels = staged.kernels_file.read_bytes() if staged.kernels_file.is_file() else b""
    attempt = Attempt(
        config=training.config,
        choice=training.choice,
        sets=training.sets,
        source=training.source,
        weights=fitted.weights,
        val=val,
        training=outcome(fitted),
        predicting_seconds=seconds,
        history=fitted.history,
        timing=fitted.timing,
        kernels=kernels,
    )
    return attempt, classifier
