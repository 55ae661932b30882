"""Going up from step to step, as far as the time reaches and something is gained."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import config as config_file
from striate import recipes
from striate.config import DataConfig, TrainConfig
from striate.errors import UserError
from striate.runs import Run
from striate.workflows import on_features, run_audit, transfer
from striate.workflows.ladder import attempts, record, trials
from striate.workflows.ladder.budget import Clock, in_words, parse_budget
from striate.workflows.ladder.closing import close
from striate.workflows.ladder.record import LadderRecord, StepRecord
from striate.workflows.ladder.steps import FEATURES, NETWORK_SIDE, Rung, Step, photo_steps, small_image_steps
from striate.workflows.listener import Listener, Once
from striate.workflows.train import Training, absolute

if TYPE_CHECKING:
    from striate.data import ImageSets, Survey
    from striate.workflows.ladder.attempts import Attempt

    PathLike = str | os.PathLike[str]

TAKEN = {"model", "audit", "figures", "goal", "num_workers", "device"} | (
    DataConfig.model_fields.keys() - {"permute_pixels"}
)
"""Settings that a user may give; the ladder chooses the others."""
WRITING_SECONDS = 10.0
"""Kept free for metrics, figures and the report."""
MARGIN = 0.04
"""And this share of the budget, for what takes longer than it was measured."""
AUDIT_SECONDS = 20.0
AUDIT_SHARE = 0.1
"""Of the time that is left after the first step, at most, looking for copies and shortcuts may take."""
OVERTIME = 1.5
"""A training that takes so many times what was estimated is ended."""
PRESSED = "Ctrl-C; what was best by then is kept"
STARTING_SECONDS = 8.0
"""With less left than this, a training is not even tried: loading PyTorch takes most of it."""


def climb(
    budget: str,
    started: float | None,
    settings: dict[str, Any],
    *,
    out: PathLike | None = None,
    other: PathLike | None = None,
    listener: Listener | None = None,
) -> Run:
    """Try networks and strategies within a time, and keep the last that was better by more than chance.

    Args:
        budget: such as `90s`, `2m` or `1h`.
        started: when it began, by `time.monotonic`; None: now.
        settings: those of `striate.config.TrainConfig` that are in `TAKEN`.
        out: folder of the run.
        other: of `--config` or `--resume`, with which a budget makes no sense.
        listener: hears how it goes.

    Raises:
        UserError: the budget is no time, or too short for one step; a setting that the ladder chooses; no
            validation images.
    """
    clock = Clock(parse_budget(budget), time.monotonic() if started is None else started)
    listener = listener or Listener()
    config = _checked(settings, other)
    if clock.left < WRITING_SECONDS + MARGIN * clock.budget:
        raise UserError(
            f"--budget {in_words(clock.budget)} is too short for one step: the report alone is given "
            f"{in_words(WRITING_SECONDS)}. Give --budget {_least_budget(clock)}s at least; where the first "
            "step needs more, that is said."
        )
    from striate.data import survey

    found = survey(config.data_config(), progress=listener.stage)
    photos = found.median_side >= transfer.PHOTO_SIDE and config.channels != "grey"
    run = Run.choose(out, f"{Path(config.data).stem}-auto", [config.data])
    kind = "photos" if photos else "small images"
    mirroring: tuple[Rung, ...] = ()
    if photos:
        rungs = photo_steps(config.image_size or NETWORK_SIDE)
    else:
        side = config.image_size or found.median_side
        rungs = small_image_steps(side, mirrored=False)
        if not recipes.are_characters(found.classes):
            mirroring = small_image_steps(side, mirrored=True)
    with run.creating():
        return _Ladder(run, config, found, clock, listener, Once(listener), kind, mirroring).climb(rungs)


def _least_budget(clock: Clock) -> int:
    """Return the whole seconds in which a quick step on few images fits."""
    return math.ceil((clock.elapsed + STARTING_SECONDS + WRITING_SECONDS) / (1 - MARGIN))


def _checked(settings: dict[str, Any], other: PathLike | None) -> TrainConfig:
    if other is not None:
        raise UserError("--budget begins anew; leave out --config and --resume, or --budget.")
    config = absolute(config_file.make(TrainConfig, settings))
    if config.model != transfer.AUTO:
        raise UserError(
            f"--budget chooses networks itself, and --model is {config.model}; leave out one of the two "
            "(--model auto goes with --budget)."
        )
    refused = sorted(name for name in settings if name not in TAKEN)
    if refused:
        option = refused[0].replace("_", "-")
        raise UserError(f"--budget chooses {option} itself; leave out --{option}, or --budget.")
    if config.val_fraction == 0:
        raise UserError("--budget compares steps on validation images; leave out --val-fraction 0.")
    return config


@dataclass
class _Ladder:
    """A ladder while it is climbed."""

    run: Run
    config: TrainConfig
    found: Survey
    clock: Clock
    listener: Listener
    once: Listener  # the same; tells what each step says anew only at the first
    kind: str
    mirroring: Sequence[Rung] = ()  # in the place of the later rungs, where the first knows mirror images
    entries: list[StepRecord] = field(default_factory=list)
    kept: Attempt | None = None
    kept_name: str = ""
    audit: dict[str, Any] | None = None
    test_seconds: float = 0.0  # what predicting the test images by the kept step takes
    features_seconds: float = 0.0  # an image at the size of the step `features`
    pressed: bool = False  # Ctrl-C

    def climb(self, rungs: Sequence[Rung]) -> Run:
        """Try one rung after the other, and write the run."""
        try:
            stopped = self._climb(rungs)
        except KeyboardInterrupt:
            if self.kept is None:
                raise
            self.pressed, stopped = True, PRESSED
            if self.entries[-1].outcome == "not started":
                self.entries[-1].outcome, self.entries[-1].reason = "cut short", "Ctrl-C"
        assert self.kept is not None
        if self.pressed:
            self.kept.training.update(stopped="interrupted")
        assert self.kept.sets.val is not None
        self.listener.message(f"The ladder ends with {self.kept_name}: {stopped}.")
        content = LadderRecord(
            budget_seconds=self.clock.budget,
            reserved_seconds=self.reserve,
            kind=self.kind,
            validation_images=len(self.kept.sets.val),
            steps=self.entries,
            kept=self.kept_name,
            stopped=stopped,
            seconds=self.clock.elapsed,
        )
        audit = self.audit or {"skipped": "the budget left no time for it"}
        return close(self.run, self.kept, content, audit, self.clock, self.listener)

    @property
    def reserve(self) -> float:
        """Seconds that the test images and the report need."""
        return WRITING_SECONDS + self.test_seconds + MARGIN * self.clock.budget

    @property
    def left(self) -> float:
        """Seconds that are left for steps."""
        return self.clock.left - self.reserve

    def _climb(self, rungs: Sequence[Rung]) -> str:
        """Try the rungs; return why it ended."""
        for number in range(len(rungs)):
            if self.kept is not None and (why := self._nothing_to_gain(self.kept)):
                return why
            self._try((self.mirroring if self._mirrors else rungs)[number])
            if self.pressed:
                return PRESSED
        if self.entries[-1].outcome == "not started":
            return f"{self.entries[-1].name} did not fit into the time"
        return "every step was tried"

    @property
    def _mirrors(self) -> bool:
        """Whether the first step has shown that mirror images do no harm."""
        first = self.entries[0].mirroring if self.entries else None
        return first is not None and not first["turned"]

    def _nothing_to_gain(self, kept: Attempt) -> str:
        wrong = record.mistakes(kept.val)
        if wrong >= record.FEWEST_DECISIVE:
            return ""
        n = len(kept.val.labels)
        return (
            f"{self.kept_name} names {n - wrong} of {n} validation images correctly, and a gain "
            f"would have to be {record.FEWEST_DECISIVE} images at least to be more than chance"
        )

    def _try(self, rung: Rung) -> None:
        """Do the first alternative that fits into the time; one entry of the record for each looked at."""
        entry = StepRecord("")
        for step in rung:
            entry = StepRecord(step.name)
            self.entries.append(entry)
            begun = self.clock.elapsed
            try:
                attempt = self._features(step, entry) if step.name == FEATURES else self._train(step, entry)
            finally:
                entry.seconds = self.clock.elapsed - begun
            if attempt is not None:
                self._judge(entry, attempt)
                entry.seconds = self.clock.elapsed - begun
                if len(self.entries) == 1:
                    self._audit(attempt.sets)
            if entry.outcome != "not started":
                break
        if self.kept is None:
            raise UserError(self._too_short(entry))

    def _too_short(self, entry: StepRecord) -> str:
        if entry.outcome != "not started":
            return f"{entry.name} came to nothing: {entry.reason}."
        needed = self.clock.elapsed + (entry.estimated_seconds or 0.0) + self.reserve
        return (
            f"--budget {in_words(self.clock.budget)} is too short for one step: "
            f"{in_words(self.clock.elapsed)} passed until here, {entry.name} would take "
            f"{in_words(entry.estimated_seconds or 0.0)} and the report {in_words(self.reserve)}. "
            f"Give --budget {int(needed * 1.2) + 1}s or more."
        )

    def _prepared(self, step: Step, entry: StepRecord) -> tuple[TrainConfig, Any, ImageSets]:
        """Return settings, network and images of a step."""
        config = self.config.model_copy(update=dict(step.settings))
        choice = transfer.choose_network(config, self.once)
        sets = transfer.prepare_images(config, choice, self.found, self.once)
        if sets.val is None:
            raise UserError(
                "--budget compares steps on validation images, and there are none: each class needs three "
                "images, to train, to validate and to test with. Add some, or leave out --budget."
            )
        entry.model, entry.strategy = choice.model.name, choice.strategy
        entry.side = sets.preprocess.height
        return config, choice, sets

    def _features(self, step: Step, entry: StepRecord) -> Attempt | None:
        config, choice, sets = self._prepared(step, entry)
        begun = self.clock.elapsed
        network = on_features.open_network(choice, config, sets.preprocess.input_shape, len(sets.class_names))
        cost = trials.time_features(network, sets, self.listener)
        entry.trial_seconds = self.clock.elapsed - begun
        entry.estimated_seconds = cost.here
        self.test_seconds, self.features_seconds = cost.test, cost.an_image
        if cost.here > self.left:
            entry.reason = f"{in_words(max(self.left, 0))} are left"
            return None
        return attempts.compute_head(network, config, choice, sets, self.listener)

    def _cannot_fit(self, step: Step, epochs: int, sets: ImageSets) -> str:
        """Return why a trial is not worth its time, judged by what features and other trials took."""
        least = epochs * step.least_work * self.features_seconds * len(sets.train)
        trial = max((entry.trial_seconds for entry in self.entries[1:]), default=0.0)
        if self.kept is None or max(least, trial, STARTING_SECONDS) < self.left:
            return ""
        left = f"{in_words(max(self.left, 0))} are left"
        if least > max(trial, STARTING_SECONDS):
            return f"{epochs} epochs would take {in_words(least)} at least, {left}"
        return f"{left}, too little to begin it and see what it costs"

    def _train(self, step: Step, entry: StepRecord) -> Attempt | None:
        begun = self.clock.elapsed
        config, choice, sets = self._prepared(step, entry)
        size = min(config.batch_size, len(sets.train))
        least, most = step.epochs(len(sets.train), size)
        if why := self._cannot_fit(step, least, sets):
            entry.reason = why
            return None
        config = config.model_copy(update={"batch_size": size, "epochs": most})
        plain = config.model_copy(update={"first_head": "random", "keep_pixels": False, "num_workers": 0})
        cost = trials.time_training(Training.prepare(plain, choice, sets, self.listener), max(self.left, 0))
        entry.trial_seconds = self.clock.elapsed - begun
        once, an_epoch = self._costs(cost, sets, config)
        room = self._room(step, entry.trial_seconds, once + least * an_epoch)
        entry.epochs = min(most, int(max(room - once, 0) / an_epoch + 1e-6))
        if entry.epochs < least:
            entry.estimated_seconds = once + least * an_epoch
            entry.reason = (
                f"{least} epochs would take {in_words(entry.estimated_seconds)}, its share of "
                f"the time left is {in_words(max(room, 0))}"
            )
            return None
        entry.estimated_seconds = once + entry.epochs * an_epoch
        allowed = STARTING_SECONDS + OVERTIME * entry.estimated_seconds
        end = time.monotonic() + min(allowed, self.left)
        config = config.model_copy(update={"epochs": entry.epochs})
        training = Training.prepare(config, choice, sets, self.once)
        deadline = attempts.Deadline(self.listener, end)
        asked = bool(self.mirroring) and self.kept is None
        attempt = attempts.train_network(training, self.run.folder, deadline, mirrored=asked)
        if isinstance(attempt, str):
            entry.outcome, entry.reason = "cut short", attempt
            return None
        entry.epochs_run = attempt.training["epochs_run"]
        self.pressed = attempt.interrupted
        return attempt

    def _room(self, step: Step, trial: float, least: float) -> float:
        """Return the seconds that a step may take, whose trial took some and whose least is known."""
        if self.kept is None:  # better a short first step than none; its trial loaded what all steps need
            return min(max(step.share * self.left, least), self.left)
        return min(step.share * (self.left + trial) - trial, self.left)

    def _costs(self, cost: trials.TrainingCost, sets: ImageSets, config: TrainConfig) -> tuple[float, float]:
        """Return the seconds that a training takes once, and in each epoch."""
        assert sets.val is not None
        once = 2 * cost.evaluation * len(sets.val)
        if config.keep_pixels:
            once += trials.time_decoding(sets)
        if config.first_head == "features":
            assert self.kept is not None
            side = sets.preprocess.height / self.kept.sets.preprocess.height
            computed = 0.0 if side == 1 else self.features_seconds * side**2 * len(sets.train)
            once += computed + trials.HEAD_SECONDS_AN_IMAGE * len(sets.train)
        return once, cost.training * len(sets.train) + cost.evaluation * len(sets.val)

    def _judge(self, entry: StepRecord, attempt: Attempt) -> None:
        """Keep the attempt where it is better than what was kept by more than chance."""
        entry.accuracy = record.accuracy(attempt.val)
        cut = "" if attempt.training["stopped"] == "finished" else ", cut short"
        if self.kept is None:
            entry.outcome, entry.reason = "kept", f"the first step{cut}"
            if attempt.mirrored is not None:
                found = record.mirror_test(attempt.val, attempt.mirrored)
                entry.mirroring, entry.reason = asdict(found), f"{entry.reason}; {found}"
            self._keep(entry, attempt)
            return
        verdict = record.judge(attempt.val, self.kept.val)
        entry.verdict = asdict(verdict) | {"before": self.kept_name}
        counts = (
            f"it alone names {verdict.only_new} validation images correctly, {self.kept_name} alone "
            f"{verdict.only_before} (p = {verdict.p_value:.2g})"
        )
        entry.outcome = "kept" if verdict.kept else "not kept"
        entry.reason = counts + cut
        if verdict.kept:
            self._keep(entry, attempt)

    def _keep(self, entry: StepRecord, attempt: Attempt) -> None:
        self.kept, self.kept_name = attempt, entry.name
        if attempt.test is None:
            self.test_seconds = attempt.predicting_seconds * len(attempt.sets.test)

    def _audit(self, sets: ImageSets) -> None:
        """Look for copies and shortcuts once, before the time is spent on training."""
        seconds = min(AUDIT_SECONDS, AUDIT_SHARE * max(self.left, 0.0))
        self.audit = run_audit.find(self.config, sets, self.listener, seconds)
