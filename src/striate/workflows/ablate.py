"""A study: recipes that differ in what is varied, each trained with several seeds, and compared."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import config, files
from striate.config import DataConfig, TrainConfig
from striate.errors import DataError, TrainingError, UserError
from striate.report_file import ReportFile
from striate.runs import Run
from striate.workflows.compare import common_sets, write_comparison
from striate.workflows.designs import CHOOSE_THE_NETWORK, Recipe, Resolve, completed, recipes, written
from striate.workflows.entries import differences, entry_of, fingerprint_of, plain
from striate.workflows.listener import Listener, Once
from striate.workflows.sets import PathLike
from striate.workflows.study_folder import alone, plain_name, record
from striate.workflows.train import check_sizes, fitted_to, sides_of, surveyed, train, with_recipe
from striate.workflows.transfer import AUTO, choose_network, prepare_images, resolve_model

if TYPE_CHECKING:
    from striate.evaluation.study import Entry

FINISHED = ("finished", "early")
_MOVES_TEST = ("fraction", "val_fraction", "test_fraction", "classes", "exclude", "relabel", "group_by")
"""Settings that may change which images are tested."""


@dataclass(frozen=True)
class Study:
    """What a study found, and where it lies.

    Attributes:
        result: what `comparison.json` holds.
        folder: holds the page, the tables and the runs.
        page: one HTML file; in a notebook it shows itself.
        runs: recipe -> the folders of its runs.
    """

    result: dict[str, Any]
    folder: Path
    page: ReportFile
    runs: dict[str, tuple[str, ...]]


def ablate(
    data: PathLike,
    *,
    vary: Mapping[str, Sequence[Any]],
    seeds: int = 3,
    design: str = "grid",
    out: PathLike | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> Study:
    """Train every recipe of a design with several seeds, and compare each with the base.

    A study that was cut short goes on where it stopped when it is asked for again: runs that are finished are
    kept, and none is counted twice. More values and more seeds may be added in the same way.

    Args:
        data: folder, .zip, .csv, or the name of a data set.
        vary: what varies, name -> values: a setting of `striate.config.TrainConfig`, or an option of the
            network. The first values make the base.
        seeds: how often each recipe is trained, from `seed` upwards; all on the same split.
        design: "grid": every combination; "one-at-a-time": the base, each change alone, and all together.
        out: folder of the study; by default `runs/<data>-<model>-study`.
        listener: hears how it goes.
        **settings: what all recipes share, as for `train`.

    Raises:
        UserError: something varies that does not exist or has no effect, or the folder holds another study.
    """
    listener = listener or Listener()
    once = Once(listener)
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise UserError(f"seeds is {seeds!r}; expected a whole number, 1 or more.")
    given = {"data": os.fspath(data), **settings}
    first = config.make(TrainConfig, with_recipe(given, once))
    shared = {**given, "data": config.located(os.fspath(data))}
    shared.pop("seed", None)
    shared.setdefault("split_seed", first.seed)
    shared.setdefault("audit", False)  # the data is the same in every run
    made = recipes(shared, vary, design, _resolver(once))
    _check_networks(made)
    _check_test_images(made, vary, once)
    _check_sizes(made, once)
    folder = (
        Path(out)
        if out is not None
        else Path("runs") / plain_name(f"{Path(first.data).stem}-{Path(first.model).stem}-study")
    )
    files.check_apart(folder, first.data)
    numbers = range(first.seed, first.seed + seeds)
    with alone(folder):
        folders = record(folder, completed(shared), made)
        found = _train_all(folder, made, folders, numbers, once)
        return _compare(folder, made, found, numbers, design, vary, shared, listener)


def _resolver(listener: Listener) -> Resolve:
    """Return what puts a network in place of `auto`; images are looked at once for all that ask the same."""

    @functools.cache
    def found(text: str) -> TrainConfig:
        settings = TrainConfig.model_validate_json(text)
        return resolve_model(settings, listener)[0]

    def resolve(settings: TrainConfig) -> TrainConfig:
        if settings.model != AUTO:
            return settings
        deciding = {"data", "data_root", "classes", "exclude", "relabel", *CHOOSE_THE_NETWORK} - {
            "recipe",
            "target",
        }
        chosen = found(settings.model_dump_json(include=deciding))
        return settings.model_copy(update={"model": chosen.model, "strategy": chosen.strategy})

    return resolve


def _train_all(
    folder: Path,
    made: Sequence[Recipe],
    folders: Mapping[str, str],
    seeds: Sequence[int],
    listener: Listener,
) -> dict[str, list[Run]]:
    """Train what is not trained yet; a seed of every recipe before the next, so that all are equally far."""
    found: dict[str, list[Run]] = {recipe.name: [] for recipe in made}
    first: dict[DataConfig, Run] = {}
    total = len(made) * len(seeds)
    tasks = [(seed, recipe) for seed in seeds for recipe in made]
    for number, (seed, recipe) in enumerate(tasks, 1):
        run = Run(folder / "runs" / folders[recipe.name] / f"seed-{seed}")
        if not _is_finished(run):
            listener.message(f"run {number} of {total}: {recipe.name}, seed {seed}")
            run = _train(run, recipe, seed, listener)
        if _is_finished(run):
            _check_same_images(run, first.setdefault(recipe.config(0).data_config(), run))
            found[recipe.name].append(run)
    return found


def _check_same_images(run: Run, first: Run) -> None:
    """Refuse a run that learned from other images than the first one with the same settings of the data."""
    if fingerprint_of(run) != fingerprint_of(first):
        raise DataError(
            f"the images have changed between {first.folder} and {run.folder}: runs of a study learn "
            "from the same. Bring them back and delete the newer run, or choose another --out."
        )


def _train(run: Run, recipe: Recipe, seed: int, listener: Listener) -> Run:
    """Train one run, or go on with it; a training that diverges is told and left out."""
    try:
        if run.facts_file.is_file():
            if run.facts()["training"].get("stopped") == "non-finite":
                raise TrainingError("its loss was not finite.")
            run = train(resume=run.folder, listener=listener)
        else:
            shutil.rmtree(run.folder, ignore_errors=True)  # cut short before anything could be resumed
            settings = {"figures": False} | recipe.given  # the study has its own
            run = train(out=run.folder, listener=listener, **settings, seed=seed)
    except TrainingError as error:
        listener.message(f"{recipe.name}, seed {seed}, diverged and is left out: {error}")
        return run
    if run.facts()["training"].get("stopped") == "interrupted":
        listener.message("The study was interrupted; the same command goes on where it stopped.")
        raise KeyboardInterrupt
    return run


def _is_finished(run: Run) -> bool:
    if not run.facts_file.is_file() or not run.report.is_file():
        return False
    return run.facts()["training"].get("stopped") in FINISHED


def _compare(
    folder: Path,
    made: Sequence[Recipe],
    found: Mapping[str, Sequence[Run]],
    seeds: Sequence[int],
    design: str,
    vary: Mapping[str, Sequence[Any]],
    shared: Mapping[str, Any],
    listener: Listener,
) -> Study:
    entries = _entries(made, found)
    lost = [
        f"{name}: {len(seeds) - len(runs)} of {len(seeds)} runs diverged and are left out."
        for name, runs in found.items()
        if len(runs) < len(seeds)
    ]
    if len(entries) < 2 or not found[made[0].name]:
        raise TrainingError("too few trainings came to an end to compare anything: lower --lr.")
    runs = [run for each in found.values() for run in each]
    facts = {
        "kicker": "Ablation study",
        "title": f"{folder.name}: study",
        "lead": _lead(made, runs, seeds, design, vary),
        "messages": lost,
        "settings": _shared(runs),
        "commands": [_command(shared, vary, seeds, design, folder)],
    }
    comparison = write_comparison(entries, common_sets(runs), folder, listener, with_first=True, study=facts)
    listener.remarks(lost)
    return Study(comparison.result, folder, comparison.page, {entry.name: entry.runs for entry in entries})


def _entries(made: Sequence[Recipe], found: Mapping[str, Sequence[Run]]) -> list[Entry]:
    kept = [recipe for recipe in made if found[recipe.name]]
    differing = differences([plain(recipe.config(0)) for recipe in kept])
    return [
        entry_of(recipe.name, found[recipe.name], settings)
        for recipe, settings in zip(kept, differing, strict=True)
    ]


def _lead(
    made: Sequence[Recipe],
    runs: Sequence[Run],
    seeds: Sequence[int],
    design: str,
    vary: Mapping[str, Sequence[Any]],
) -> str:
    samples, every = runs[0].samples(), [run.config() for run in runs]
    trained, tested = (int((samples["split"] == split).sum()) for split in ("train", "test"))
    how = "every combination" if design == "grid" else "each change alone, and all together"
    times = "once" if len(seeds) == 1 else f"with {len(seeds)} seeds"
    least, most = (end(each.epochs for each in every) for end in (min, max))
    epochs = f"{least} to {most} epochs" if least < most else f"{most} epoch{'s' * (most > 1)}"
    kept = {"the last epoch" if each.best_by == "last" else "the best epoch" for each in every}
    return (
        f"{len(made)} recipes ({how}), each trained {times} for {epochs} on {trained:,} images of "
        f"{Path(every[0].data).name}; the weights of {' or '.join(sorted(kept))} were measured on the same "
        f"{tested:,} test images. The base: {_base(vary)}."
    )


def _base(vary: Mapping[str, Sequence[Any]]) -> str:
    return ", ".join(f"{name} {values[0]}" for name, values in vary.items())


def _shared(runs: Sequence[Run]) -> dict[str, Any]:
    """The settings that all runs have in common."""
    every = [run.config().model_dump(mode="json") for run in runs]
    return {name: value for name, value in every[0].items() if all(each[name] == value for each in every)}


def _command(
    shared: Mapping[str, Any],
    vary: Mapping[str, Sequence[Any]],
    seeds: Sequence[int],
    design: str,
    folder: Path,
) -> Any:
    from striate.evaluation import Command

    words = ["striate", "ablate", shared["data"]]
    for name, values in vary.items():
        words += ["--vary", f"{name}={written(values)}"]
    varied = set(vary) | {"data", "model_options"}
    for name, value in shared.items():
        if name not in varied and value is not None:
            words += _option(name, value)
    for name, value in shared.get("model_options", {}).items():
        if name not in vary:
            words += ["--model-option", f"{name}={value}"]
    words += ["--seed", str(seeds[0]), "--seeds", str(len(seeds)), "--design", design, "--out", str(folder)]
    return Command("Repeat this study, or go on with it", shlex.join(words))


def _option(name: str, value: Any) -> list[str]:
    """Return a setting as the command line takes it."""
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return [f"--{option}", text]


def _check_networks(made: Sequence[Recipe]) -> None:
    """Refuse, before anything is trained, a network that does not exist or that cannot be trained so."""
    from striate.training.array_session import check_settings

    configs = [recipe.resolved() for recipe in made]
    for each in configs:
        if each.engine != "torch":
            check_settings(each)
    for each in {
        (one.model, str(one.model_options), one.engine, one.strategy): one for one in configs
    }.values():
        choose_network(each, Listener())


def _check_test_images(made: Sequence[Recipe], vary: Mapping[str, Sequence[Any]], listener: Listener) -> None:
    """Refuse, before anything is trained, recipes that would be measured on different images."""
    configs = [recipe.config(0) for recipe in made]
    if all(getattr(each, name) == getattr(configs[0], name) for each in configs for name in _MOVES_TEST):
        return
    from striate.data import prepare

    first: list[tuple[str, int]] | None = None
    for each in {_surveyed(recipe, listener).data_config(): recipe.name for recipe in made}:
        test = prepare(each, progress=listener.stage).test
        images = sorted(zip(test.paths, test.labels.tolist(), strict=True))
        if first is not None and images != first:
            moving = " and ".join(name for name in vary if name in (*_MOVES_TEST, "recipe", "target"))
            raise DataError(
                f"--vary {moving} changes which images are tested, so that the recipes could not be "
                "compared. Give the data a test split of its own (a folder test), or vary something else."
            )
        first = images


def _surveyed(recipe: Recipe, listener: Listener) -> TrainConfig:
    """Return the settings of a recipe's first run, with what gives way to the splits that the data has."""
    return surveyed(recipe.resolved(), recipe.given, listener)[0]


def _check_sizes(made: Sequence[Recipe], listener: Listener) -> None:
    """Refuse, before anything is trained, `sizes` that do not fit the input or the epochs."""
    for recipe in made:
        if recipe.given.get("sizes") is None:
            continue  # those of a recipe are fitted
        settings = _surveyed(recipe, listener)
        check_sizes(settings, recipe.given)
        sets = prepare_images(settings, choose_network(settings, Listener()), None, Listener())
        sides_of(fitted_to(settings, recipe.given, sets), sets.preprocess.height)
