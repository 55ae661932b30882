"""Runs gathered to entries of a comparison: those that differ by their seed alone are one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from striate.errors import UserError
from striate.runs import Run
from striate.workflows.origins import settings_of, training_of

if TYPE_CHECKING:
    from striate.config import TrainConfig
    from striate.evaluation.study import Entry

NO_MATTER = frozenset(
    {"seed", "data", "data_root", "num_workers", "tensorboard", "audit", "figures", "goal", "device"}
)
"""Settings that do not make another recipe of a training."""


def group(runs: Sequence[Run]) -> list[Entry]:
    """Return an entry for each recipe, in the order in which they come first."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        settings = settings_of(run)
        recipe = str(run.folder) if settings is None else json.dumps([plain(settings), settings.data])
        found.setdefault(recipe, []).append(run)
    for members in found.values():
        _refuse_twice(members)
    settings_of_each = [settings_of(members[0]) for members in found.values()]
    differing = differences([None if one is None else plain(one) for one in settings_of_each])
    names = _names(list(found.values()))
    return [
        entry_of(name, members, settings)
        for name, members, settings in zip(names, found.values(), differing, strict=True)
    ]


def entry_of(name: str, runs: Sequence[Run], settings: Mapping[str, Any]) -> Entry:
    """Return the entry of `runs`, with what their files say of network and training."""
    from striate.evaluation.history import numbers
    from striate.evaluation.study import Entry

    trainings = [training for training in map(training_of, runs) if training is not None]
    seconds = [training.facts()["training"].get("seconds") for training in trainings]
    return Entry(
        name=name,
        runs=tuple(str(run.folder) for run in runs),
        seeds=tuple(None if known is None else known.seed for known in map(settings_of, runs)),
        settings=settings,
        network=runs[0].facts()["network"],
        seconds=tuple(float(each) for each in seconds if each is not None),
        histories=tuple(
            numbers(training.history()) for training in trainings if training.history_file.is_file()
        ),
    )


def _refuse_twice(runs: Sequence[Run]) -> None:
    """Refuse to count one training twice, as a run and as an evaluation of its model, or as a repetition.

    Raises:
        UserError: two runs of a recipe have the same seed.
    """
    seen: dict[int, Run] = {}
    for run in runs:
        settings = settings_of(run)
        if settings is not None and seen.setdefault(settings.seed, run) is not run:
            raise UserError(
                f"{seen[settings.seed].folder} and {run.folder} are the same training (settings and seed); "
                "name one of them."
            )


def plain(settings: TrainConfig) -> dict[str, Any]:
    """Return what makes the recipe, one level deep: options of the network beside the other settings."""
    values = settings.model_dump(mode="json", exclude=set(NO_MATTER))
    options: dict[str, Any] = values.pop("model_options")
    own = {f"option {name}" if name in values else name: str(value) for name, value in options.items()}
    return values | own


def differences(recipes: Sequence[Mapping[str, Any] | None]) -> list[dict[str, Any]]:
    """Return, for each recipe, those settings that are not the same in all of them."""
    known = [recipe for recipe in recipes if recipe is not None]
    names = dict.fromkeys(name for recipe in known for name in recipe)
    differing = [name for name in names if len({json.dumps(recipe.get(name)) for recipe in known}) > 1]
    return [
        {} if recipe is None else {name: recipe[name] for name in differing if name in recipe}
        for recipe in recipes
    ]


def _names(groups: Sequence[Sequence[Run]]) -> list[str]:
    """Return what the names of each entry's folders have in common, or the first, told apart."""
    folders = [[run.folder.resolve() for run in members] for members in groups]
    short = [_shared_name([folder.name for folder in members]) for members in folders]
    return [
        name if short.count(name) == 1 else f"{members[0].parent.name}/{members[0].name}"
        for members, name in zip(folders, short, strict=True)
    ]


def _shared_name(names: Sequence[str]) -> str:
    """Return how all `names` begin (`cnn` of `cnn-0` and `cnn-1`), or the first of them if not at all."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    shared = "".join(letters[0] for letters in alike).rstrip("-_. ")
    return shared if len(shared) > 1 else names[0]
