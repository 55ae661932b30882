"""Runs gathered to entries of a comparison: those that differ by their seed alone are one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.errors import UserError
from striate.runs import Run
from striate.workflows.origins import settings_of, training_of

if TYPE_CHECKING:
    from striate.config import TrainConfig
    from striate.evaluation.study import Entry

NO_MATTER = frozenset(
    {
        "seed",
        "split_seed",
        "data",
        "data_root",
        "num_workers",
        "tensorboard",
        "audit",
        "figures",
        "goal",
        "device",
    }
)
"""Settings that do not make another recipe of a training."""


def group(runs: Sequence[Run]) -> list[Entry]:
    """Return an entry for each recipe, in the order in which they come first."""
    groups = _alike(runs)
    for members in groups:
        _refuse_twice(members)
    settings_of_each = [settings_of(members[0]) for members in groups]
    differing = differences([None if one is None else plain(one) for one in settings_of_each])
    return [
        entry_of(name, members, settings)
        for name, members, settings in zip(_names(groups), groups, differing, strict=True)
    ]


def _alike(runs: Sequence[Run]) -> list[list[Run]]:
    """Return runs of the same settings and data together.

    Where the same split gave other training images, the data has changed in between, and is not the same.
    """
    groups: list[list[Run]] = []
    known: list[tuple[str, dict[int | None, str | None]]] = []
    for run in runs:
        settings = settings_of(run)
        recipe = str(run.folder) if settings is None else json.dumps([plain(settings), settings.data])
        split, images = _split_of(settings), fingerprint_of(run)
        places = [
            place
            for place, (other, seen) in enumerate(known)
            if other == recipe and seen.get(split, images) == images
        ]
        if not places:
            known.append((recipe, {}))
            groups.append([])
        place = places[0] if places else -1
        known[place][1][split] = images
        groups[place].append(run)
    return groups


def _split_of(settings: TrainConfig | None) -> int | None:
    """Return the seed by which the images were split."""
    if settings is None:
        return None
    return settings.seed if settings.split_seed is None else settings.split_seed


def fingerprint_of(run: Run) -> str | None:
    """Return the SHA-256 of the images and labels that the network of a run learned from, where known."""
    training = training_of(run)
    found: str | None = None if training is None else training.facts().get("data", {}).get("fingerprint")
    return found


def entry_of(name: str, runs: Sequence[Run], settings: Mapping[str, Any]) -> Entry:
    """Return the entry of `runs`, with what their files say of network and training."""
    from striate.evaluation.history import numbers
    from striate.evaluation.study import Entry

    known = list(map(settings_of, runs))
    trainings = [training for training in map(training_of, runs) if training is not None]
    seconds = [training.facts()["training"].get("seconds") for training in trainings]
    return Entry(
        name=name,
        runs=tuple(str(run.folder) for run in runs),
        seeds=tuple(None if each is None else each.seed for each in known),
        settings=settings,
        network=runs[0].facts()["network"],
        seconds=tuple(float(each) for each in seconds if each is not None),
        histories=tuple(
            numbers(training.history()) for training in trainings if training.history_file.is_file()
        ),
        loss="auto" if known[0] is None else known[0].loss,
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
    """Return what the names of each entry's folders have in common, or the first, told apart.

    An evaluation is called after the training whose network it measured.
    """
    folders = [[(training_of(run) or run).folder.resolve() for run in members] for members in groups]
    named = [_above_seeds(members) for members in folders]
    shared = [_shared_name([folder.name for folder in members]) for members in folders]
    short = [
        name if folder == members[0] else folder.name
        for folder, members, name in zip(named, folders, shared, strict=True)
    ]
    return tell_apart(named, short)


def _above_seeds(folders: Sequence[Path]) -> Path:
    """Return the first folder, or that of the recipe where a study trained it with several seeds."""
    parents = {folder.parent for folder in folders}
    several = len(folders) > 1 and len(parents) == 1 and all(map(_is_of_a_seed, folders))
    return folders[0].parent if several else folders[0]


def _is_of_a_seed(folder: Path) -> bool:
    """Whether it is called as a study calls its runs, which says nothing by itself."""
    return re.fullmatch(r"seed-\d+", folder.name) is not None


def tell_apart(folders: Sequence[Path], short: Sequence[str] | None = None) -> list[str]:
    """Return a name for each folder: its own, or with as many of those above as no other has.

    Args:
        folders: absolute.
        short: to begin with, in place of the folders' own names.
    """
    names = list(short or [folder.name for folder in folders])
    for depth in range(2, 1 + max(len(folder.parts) for folder in folders)):
        longer = ["/".join(folder.parts[-depth:]) for folder in folders]
        names = [
            long if names.count(name) > 1 or (depth == 2 and _is_of_a_seed(Path(name))) else name
            for name, long in zip(names, longer, strict=True)
        ]
    return [name if names.count(name) == 1 else f"{number}: {name}" for number, name in enumerate(names, 1)]


def _shared_name(names: Sequence[str]) -> str:
    """Return how all `names` begin (`cnn` of `cnn-0` and `cnn-1`), or the first of them if not at all."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    shared = "".join(letters[0] for letters in alike).rstrip("-_. ")
    return shared if len(shared) > 1 else names[0]
