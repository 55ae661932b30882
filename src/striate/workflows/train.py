"""Images in, a trained and evaluated classifier out."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import bundle, recipes
from striate import config as config_file
from striate.config import TrainConfig
from striate.errors import RunError, TrainingError, UserError
from striate.runs import Run
from striate.workflows import on_features, records, results, transfer
from striate.workflows.calibration import calibrate
from striate.workflows.drawing import DrawingProcess
from striate.workflows.first_head import begin_with_features
from striate.workflows.kernel_course import KernelCourse
from striate.workflows.listener import Listener
from striate.workflows.run_audit import audit_run

if TYPE_CHECKING:
    from striate.backbones import Choice, Plan
    from striate.data import ImageSets, Survey
    from striate.training import Checkpoint, EpochRecord, Fitted

    PathLike = str | os.PathLike[str]


def train(
    data: PathLike | None = None,
    *,
    out: PathLike | None = None,
    config: PathLike | None = None,
    resume: PathLike | None = None,
    budget: str | None = None,
    started: float | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> Run:
    """Train a classifier, evaluate it once on the test split, and write the report.

    Args:
        data: folder, .zip, .csv, or the name of a data set.
        out: folder of the run; by default `runs/<data>-<model>`, with a number where that is taken.
        config: settings of an earlier run (`config.yaml`); `data` and `settings` overrule them.
        resume: folder of a run that was cut short, to be continued from its last whole epoch.
        budget: time for everything, such as `90s`, `2m` or `1h`: networks and strategies are tried, the quick
            ones first, and one is kept where it is better by more than chance (`striate.workflows.ladder`).
        started: when the budget began, by `time.monotonic`; by default now.
        listener: hears how it goes.
        **settings: fields of `striate.config.TrainConfig`: `model="custom-cnn"`, `epochs=10`, ...

    Returns:
        The run: `run.metrics()`, `run.history()`, `run.report` and `run.model` hold what came of it.

    Raises:
        UserError: the data, a setting or the folder cannot be used; nothing was written.
        TrainingError: the loss was not finite; the last good weights lie in the run, if there were any.
    """
    listener = listener or Listener()
    if data is not None:
        settings["data"] = os.fspath(data)
    if budget is not None:
        from striate.workflows.ladder import climb

        return climb(budget, started, settings, out=out, other=config or resume, listener=listener)
    if resume is not None:
        return _resume(Run.open(resume), settings, out or config, listener)
    if config is not None:
        settings = config_file.read(Path(config)) | settings
    chosen = absolute(config_file.make(TrainConfig, with_recipe(settings, listener)))
    return _start(chosen, settings.keys(), out, listener)


def with_recipe(settings: dict[str, Any], listener: Listener) -> dict[str, Any]:
    """Return `settings` completed by those of the recipe that they name, if they do."""
    if settings.get("recipe") is None:
        return settings
    recipe = recipes.find(str(settings["recipe"]))
    completed, remark = recipe.completed(settings, Path(str(settings.get("data", ""))).stem)
    if remark:
        listener.message(remark)
    return completed


def surveyed(
    config: TrainConfig, given: Collection[str], listener: Listener
) -> tuple[TrainConfig, Survey | None]:
    """Return `config` with a network in place of `auto`, and what was seen of the images, if anything.

    What a recipe says of splits gives way where the data has them.

    Args:
        config: settings completed by a recipe, if they name one.
        given: names of the settings that the user gave.
        listener: hears how it goes.
    """
    config, found = transfer.resolve_model(config, listener)
    carved = [name for name in ("val_fraction", "test_fraction") if getattr(config, name) is not None]
    if config.recipe is None or set(carved) <= set(given):
        return config, found
    from striate.data import survey
    from striate.data.splits import idle_fractions

    data = config.data_config()
    found = found or survey(data, progress=listener.stage)
    idle = [name for name in idle_fractions(found.source.splits, data) if name not in given]
    return config.model_copy(update=dict.fromkeys(idle)), found


def fitted_to(config: TrainConfig, given: Collection[str], sets: ImageSets) -> TrainConfig:
    """Return `config` with what its recipe leaves open; `given`: names of the settings that the user gave."""
    side = sets.preprocess.height
    return recipes.fitted(config, given, len(sets.train), sets.class_names, side)


def _start(config: TrainConfig, given: Collection[str], out: PathLike | None, listener: Listener) -> Run:
    """Train from the beginning; `given`: names of the settings that the user gave."""
    check_sizes(config, given)
    config, found = surveyed(config, given, listener)
    choice = transfer.choose_network(config, listener)
    run = Run.choose(out, f"{Path(config.data).stem}-{choice.model.name}", [config.data])
    if choice.strategy == "features":
        with DrawingProcess.start(config.figures) as beside:  # it gets ready while images are read
            sets = transfer.prepare_images(config, choice, found, listener)
            config = fitted_to(config, given, sets)
            with run.creating():
                return on_features.train(run, config, choice, sets, listener, beside)
    sets = transfer.prepare_images(config, choice, found, listener)
    config = fitted_to(config, given, sets)
    config = _fit_batch_size(config, len(sets.train), listener)
    training = Training.prepare(config, choice, sets, listener).with_found_lr(listener)
    with run.creating():
        records.record_start(run, training.config, choice, sets, training.source)
        fitted = training.fit(run, listener)
    return _finish(run, training, fitted, listener)


def _resume(run: Run, settings: dict[str, Any], other: PathLike | None, listener: Listener) -> Run:
    """Go on from the last whole epoch of `run`, or from its beginning if there is none."""
    from striate.training import CHECKPOINT_NAME, read_checkpoint

    if other is not None:
        raise UserError(
            "--resume goes on in the run's own folder, with its settings; leave out --out and --config."
        )
    config = run.config()
    _check_same(run, config, settings)
    _check_unfinished(run)
    file = run.checkpoints / CHECKPOINT_NAME
    checkpoint = read_checkpoint(file) if file.exists() else None  # cut short in its first epoch
    choice = transfer.choose_network(config, listener)
    sets = transfer.prepare_images(config, choice, None, listener)
    if sets.fingerprint != run.facts()["data"]["fingerprint"]:
        raise RunError(f"{config.data} has changed since {run.folder} was begun; start a new run.")
    if choice.strategy == "features":
        with DrawingProcess.start(config.figures) as beside:
            return on_features.train(run, config, choice, sets, listener, beside)
    source = run.facts()["network"].get("weights", "random")
    training = Training.prepare(config, choice, sets, listener, source if checkpoint else None)
    if training.source != source:
        raise RunError(f"{config.weights} has changed since {run.folder} was begun; start a new run.")
    fitted = training.fit(run, listener, checkpoint)
    return _finish(run, training, fitted, listener)


@dataclass(frozen=True)
class Training:
    """Everything that a training needs, ready to begin."""

    config: TrainConfig
    choice: Choice
    sets: ImageSets
    source: str  # of the first weights
    plan: Plan | None  # what learns; None: everything
    network: Any  # of torch or of the engine, as `config.engine` says; and so are the batches
    train: Any
    val: Any

    @classmethod
    def prepare(
        cls,
        config: TrainConfig,
        choice: Choice,
        sets: ImageSets,
        listener: Listener,
        begun_with: str | None = None,
    ) -> Training:
        """Build the network and the batches.

        Args:
            config: the settings.
            choice: the network.
            sets: the images.
            listener: hears how it goes.
            begun_with: where the first weights came from, if those of a checkpoint take their place.

        Raises:
            SpecError: the network does not fit the images or the classes.
            UserError: the batch is larger than the data, or the weights do not fit.
        """
        if config.engine == "torch":
            listener.stage("starting PyTorch", 0, 1)
        else:
            from striate.training.array_session import check_settings

            check_settings(config)
        sides_of(config, sets.preprocess.height)  # refused before large images are decoded
        network, source, plan = transfer.build_network(choice, config, sets, begun_with)
        if config.first_head == "features" and begun_with is None:
            begin_with_features(network, choice, config, sets, listener)
        if config.keep_pixels:
            sets = transfer.keep_pixels(sets, listener)
        return cls(config, choice, sets, source, plan, network, *_batches(config, sets))

    def with_found_lr(self, listener: Listener) -> Training:
        """Replace the learning rate `auto` by the one that a range test suggests."""
        if self.config.lr != "auto":
            return self
        from striate.training import find_lr

        found = find_lr(self.network, self.train, self.config, plan=self.plan)
        listener.message(
            f"learning rate {found.suggestion:.2g}, found by a range test of {len(found.lrs)} steps."
        )
        return replace(self, config=self.config.model_copy(update={"lr": found.suggestion}))

    def fit(self, run: Run, listener: Listener, checkpoint: Checkpoint | None = None) -> Fitted:
        """Train, and write the history after each epoch."""
        history = list(checkpoint.history) if checkpoint else []
        timing = list(checkpoint.timing) if checkpoint else []
        kernels = KernelCourse.of(run, self.network, len(history))

        def on_epoch(record: EpochRecord) -> None:
            history.append(record.history_row())
            timing.append(record.timing_row())
            run.write_history(history, timing)
            kernels.note(record.epoch)
            listener.epoch(record, self.config.epochs)

        parts = (self.network, self.train, self.val, self.config)
        common: dict[str, Any] = {
            "class_names": self.sets.class_names,
            "checkpoints": run.checkpoints,
            "on_epoch": on_epoch,
            "on_batch": listener.batch,
            "resume_from": checkpoint,
        }
        if self.config.engine == "torch":
            from striate.training import fit

            events = run.tensorboard if self.config.tensorboard else None
            return fit(*parts, tensorboard=events, plan=self.plan, **common)
        from striate.training.array_session import fit_arrays

        return fit_arrays(*parts, spec=self.choice.model.description, **common)


def _batches(config: TrainConfig, sets: ImageSets) -> tuple[Any, Any]:
    """Return training and validation batches, as tensors or as arrays; None without validation images.

    Raises:
        UserError: the batch is larger than the data, or an augmentation needs torch.
    """
    own: dict[str, Any] = {"num_classes": len(sets.class_names)}
    make: Callable[..., Any]
    growing: dict[str, Any] = {}
    if config.engine == "torch":
        from striate.data import loaders

        make = loaders.Batches
        growing["sides"] = sides_of(config, sets.preprocess.height)
        own["num_workers"] = default_workers() if config.num_workers is None else config.num_workers
    else:
        from striate.data import array_batches

        make = array_batches.ArrayBatches
        if config.sizes is not None:
            raise UserError("--sizes needs PyTorch; choose --engine torch, or leave it out.")
    train = make(
        sets.train,
        sets.preprocess,
        config.batch_size,
        shuffle=True,
        seed=config.seed,
        augment=config.augment,
        mixup=config.mixup,
        cutmix=config.cutmix,
        **own,
        **growing,
    )
    if sets.val is None:
        return train, None
    size = max(config.batch_size, sets.preprocess.batch_size)  # no influence on the result but for rounding
    return train, make(sets.val, sets.preprocess, size, shuffle=False, **own)


def check_sizes(config: TrainConfig, given: Collection[str]) -> None:
    """Refuse, before any image is read, `sizes` that cannot be; a recipe's are fitted, and so are its epochs.

    Args:
        config: settings completed by a recipe, if they name one.
        given: names of the settings that the user gave.

    Raises:
        UserError: the last is not the `image_size` that is named, or there are fewer epochs than sizes.
    """
    if config.recipe is not None and "sizes" not in given:
        return
    sizes = _sizes(config)
    if sizes and config.image_size is not None:
        _check_last(sizes, config.image_size)
    if config.recipe is None or "epochs" in given:
        _check_number(sizes, config)


def sides_of(config: TrainConfig, input_side: int) -> list[int]:
    """Return the side of the training images in each epoch; empty: always that of the input.

    Raises:
        UserError: the last is not that of the input, or there are fewer epochs than sizes.
    """
    sizes = _sizes(config)
    if not sizes:
        return []
    _check_last(sizes, input_side)
    _check_number(sizes, config)
    return [sizes[epoch * len(sizes) // config.epochs] for epoch in range(config.epochs)]


def _sizes(config: TrainConfig) -> list[int]:
    return [] if config.sizes is None else [int(text) for text in config.sizes.split(",")]


def _check_last(sizes: Sequence[int], input_side: int) -> None:
    if sizes[-1] != input_side:
        raise UserError(
            f"--sizes ends with {sizes[-1]}, but the input has {input_side} pixels; choose --image-size "
            f"{sizes[-1]}, or let --sizes end with {input_side}."
        )


def _check_number(sizes: Sequence[int], config: TrainConfig) -> None:
    if len(sizes) > config.epochs:
        raise UserError(
            f"--sizes has {len(sizes)} sizes, --epochs {config.epochs}; choose fewer, or train longer."
        )


def default_workers() -> int:
    """Return how many threads decode large images by default: all cores but one, from 1 to 8."""
    return min(8, max(1, (os.cpu_count() or 1) - 1))


def absolute(config: TrainConfig) -> TrainConfig:
    """Return `config` with paths that do not depend on the working folder; a net's name is no path."""
    from striate.backbones.models import is_file

    paths = ("data", "data_root", "exclude", "relabel")
    names = [name for name in paths if getattr(config, name) is not None]
    names += [name for name in ("model", "weights") if is_file(getattr(config, name))]
    names += ["recipe"] if config.recipe not in (None, *recipes.names()) else []
    return config.model_copy(update={name: config_file.located(getattr(config, name)) for name in names})


def _fit_batch_size(config: TrainConfig, images: int, listener: Listener) -> TrainConfig:
    """Make the default batch size fit a small data set; one that was asked for is left alone."""
    if "batch_size" in config.model_fields_set or images >= config.batch_size:
        return config
    listener.message(f"batch size {images}: there are no more training images.")
    return config.model_copy(update={"batch_size": images})


def _check_same(run: Run, config: TrainConfig, settings: dict[str, Any]) -> None:
    """Refuse settings that differ from those of the run to be resumed."""
    wanted = absolute(config_file.make(TrainConfig, {"data": config.data} | settings))
    for name in settings:
        now, then = getattr(wanted, name), getattr(config, name)
        if now != then:
            raise RunError(
                f"cannot resume {run.folder}: it was begun with {name.replace('_', '-')} {then}, not {now}. "
                "Leave the option out, or start a new run."
            )


def _check_unfinished(run: Run) -> None:
    """Refuse to resume a run that has nothing left to do, or cannot go on."""
    stopped = run.facts()["training"].get("stopped")
    if run.ladder_file.is_file():
        raise RunError(f"{run.folder} climbed a ladder, which is not resumed. Start a new one with --budget.")
    if stopped in ("finished", "early") and run.report.is_file():  # else it was cut short after training
        raise RunError(f"{run.folder} is finished: it has its report. Start a new run.")
    if stopped == "non-finite":
        raise RunError(f"{run.folder} diverged and would diverge again. Start a new run with a lower --lr.")


def _finish(run: Run, training: Training, fitted: Fitted, listener: Listener) -> Run:
    """Write the bundle, evaluate what it holds, and write the report."""
    from striate.inference import load

    run.write_history(fitted.history, fitted.timing)
    records.write_bundle(run, training.choice, training.sets, training.source, fitted.weights)
    classifier = load(run.model, fitted.engine.device, training.config.engine)
    splits = {"val": training.sets.val, "test": training.sets.test}
    results.predict_splits(run, classifier, splits, listener)
    records.write_facts(run, training.choice, training.sets, training.source, outcome(fitted))
    results.measure_views(run, classifier, training.sets.test, training.config.test_views, listener)
    calibrate(run)
    audit_run(run, training.config, training.sets, listener)
    results.write_results(run, listener, figures=training.config.figures)
    bundle.amend(run.model, metrics=run.metrics())
    if fitted.stopped == "non-finite":
        raise TrainingError(f"{fitted.message} They are kept in {run.model}.")
    if fitted.message:
        listener.message(fitted.message)
    return run


def outcome(fitted: Fitted) -> dict[str, Any]:
    """Return what `run.json` says of a training."""
    return {
        "stopped": fitted.stopped,
        "message": fitted.message,
        "best_epoch": fitted.best_epoch,
        "epochs_run": fitted.epochs_run,
        "seconds": sum(row["seconds"] for row in fitted.timing),
        "device": str(fitted.engine),
    }
