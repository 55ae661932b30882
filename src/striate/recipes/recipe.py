"""Reading a recipe, and what it says for a target, a data set and the settings that the user gives."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from striate import config as config_file
from striate.config import TrainConfig
from striate.errors import UserError, unknown_name

REFERENCE = "cifar10"
"""The data set by whose accuracy levels are chosen for data on which none was measured."""
MOST_EPOCHS = 100
"""However small the data set."""
LEAST_STEPS = 4
"""Of an epoch: where a data set is smaller than so many batches of the recipe's, its batches are smaller."""
RATES = ("lr", "bias_lr", "muon_sgd_lr", "momentum")
"""Settings that belong to a kind of optimizer: `ADAPTIVE` ones scale each step by the gradients before."""
ADAPTIVE = ("adam", "adamw")
_SUFFIX = ".yaml"


class Level(BaseModel):
    """How much is trained.

    Attributes:
        images: that pass through the network in all; the epochs follow from the size of the data set, and
            from the share of it that the later ones pass over (`hard_share`).
        reaches: measured test accuracy by data set, each in (0, 1]; a set is also known by its name without
            hyphens, in capitals or not, as its folder may be called.
        settings: of this level, before those of the recipe.
        pictures: settings where classes are things, whose mirror image shows the same.
        characters: settings where every class is named by one character, a digit or a letter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int = Field(ge=1, strict=True)
    reaches: dict[str, Annotated[float, Field(gt=0, le=1, allow_inf_nan=False, strict=True)]] = {}
    settings: dict[str, Any] = {}
    pictures: dict[str, Any] = {}
    characters: dict[str, Any] = {}

    def measured(self, data: str) -> float | None:
        """Return what the level was measured to reach on `data`; None where it was not."""
        return {_plain(name): share for name, share in self.reaches.items()}.get(_plain(data))


class Recipe(BaseModel):
    """Settings that go well together.

    Attributes:
        name: how it was asked for.
        about: what it is for, in a sentence or two.
        settings: fields of `striate.config.TrainConfig`.
        pictures: settings where classes are things, whose mirror image shows the same.
        characters: settings where every class is named by one character, a digit or a letter.
        usual_target: accuracy aimed at where the user names none; None: the first level.
        levels: from quick to accurate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    about: str
    settings: dict[str, Any] = {}
    pictures: dict[str, Any] = {}
    characters: dict[str, Any] = {}
    usual_target: float | None = Field(None, gt=0, le=1, strict=True)
    levels: tuple[Level, ...]

    @field_validator("levels", mode="before")
    @classmethod
    def _read_levels(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        if not value:
            raise ValueError("levels: there is none; expected one or more, with images in each")
        wrong = next((level for level in value if not isinstance(level, Level | Mapping)), None)
        if wrong is not None:
            raise ValueError(f"levels: expected images, reaches and settings in each, got {wrong!r}")
        return tuple(level if isinstance(level, Level) else config_file.make(Level, level) for level in value)

    @model_validator(mode="after")
    def _known_settings(self) -> Self:
        parts: tuple[Recipe | Level, ...] = (self, *self.levels)
        for part in parts:
            for settings in (part.settings, part.pictures, part.characters):
                for name in settings:
                    if name not in _settable():
                        raise ValueError(unknown_name("setting", name, _settable()).rstrip("."))
                config_file.check_alone(TrainConfig, settings)
        return self

    def level(self, target: float | None, data: str) -> Level:
        """Return the first level that reaches `target`, or the usual one; the last if none reaches it.

        What was measured on `data` comes before what was on the data set of reference.
        """
        wanted = self.usual_target if target is None else target
        if wanted is None:
            return self.levels[0]
        for known in (data, REFERENCE):
            for level in self.levels:
                if (level.measured(known) or 0.0) >= wanted:
                    return level
        return self.levels[-1]

    def completed(self, given: Mapping[str, Any], data: str) -> tuple[dict[str, Any], str]:
        """Return the settings of a training, and what to say of the target.

        Args:
            given: by the user, `target` among them; they come before the recipe's.
            data: name of the data set, as the keys of `Level.reaches`.
        """
        target = config_file.make(TrainConfig, _only(given, "data", "recipe", "target")).target
        level = self.level(target, data)
        own = self.settings | level.settings
        settings = own | dict(given)
        if settings.get("model") != own.get("model"):
            settings["model_options"] = dict(given.get("model_options", {}))  # the recipe's are its net's
        elif "model_options" in own:
            settings["model_options"] = own["model_options"] | dict(given.get("model_options", {}))
        if _is_adaptive(settings) != _is_adaptive(own):  # rates of one kind of optimizer are none of another
            settings = {name: value for name, value in settings.items() if name in given or name not in RATES}
        if given.get("permute_pixels") is not None and "augment" not in given:
            settings["augment"] = "none"  # there is no picture left to augment
        if target is not None and "goal" not in settings:
            settings["goal"] = target
        return settings, self._remark(target, level, data)

    def _remark(self, target: float | None, level: Level, data: str) -> str:
        own = level.measured(data)
        measured = REFERENCE if own is None else data
        reached = level.measured(measured)
        if target is None or reached is None:
            return ""
        if reached < target:
            return (
                f"recipe {self.name} has no level for {100 * target:g} %: its largest, which trains now, "
                f"reached {100 * reached:g} % on {measured}."
            )
        return "" if own is not None else f"levels are chosen by what they reached on {measured}."


def names() -> list[str]:
    """Return the names of the recipes that come with Striate."""
    files = resources.files(__package__).iterdir()
    return sorted(file.name.removesuffix(_SUFFIX) for file in files if file.name.endswith(_SUFFIX))


def text(name: str) -> str:
    """Return the YAML of the recipe called `name`, or at that path.

    Raises:
        UserError: there is none, or the file cannot be read.
    """
    if name in names():
        return resources.files(__package__).joinpath(name + _SUFFIX).read_text(encoding="utf-8")
    path = Path(name)
    if not name.endswith((_SUFFIX, ".yml")) and not path.is_file():
        raise UserError(unknown_name("recipe", name, names()))
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read the recipe {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read the recipe {path}: it is not text in UTF-8.") from error


def find(name: str) -> Recipe:
    """Return the recipe called `name`, or at that path.

    Raises:
        UserError: there is none, the file is no YAML, or something in it is unknown or out of range.
    """
    from striate import yaml_files

    written = text(name)
    try:
        content = yaml_files.parse(written)
    except ValueError as error:
        raise UserError(f"the recipe {name} is not valid YAML: {error}.") from error
    if not isinstance(content, dict):
        raise UserError(f"the recipe {name} holds nothing: expected about, settings and levels.")
    try:
        return config_file.make(Recipe, {"name": name} | content)
    except UserError as error:
        raise UserError(f"the recipe {name}: {error}") from None


def fitted(
    config: TrainConfig, given: Collection[str], images: int, class_names: Sequence[str], side: int
) -> TrainConfig:
    """Return `config` with what its recipe leaves open until the images are known.

    These are the epochs, and settings that differ between pictures and characters. The recipe's batches
    become smaller for few images, and its `sizes` no more than there are epochs, the last that of the input.

    Settings that were given stay.

    Args:
        config: settings completed by a recipe; without one they are returned as they are.
        given: names of the settings that the user gave.
        images: number of training images.
        class_names: (K,).
        side: of the input in pixels.

    Raises:
        UserError: the recipe is gone or is not valid any more.
    """
    if config.recipe is None:
        return config
    recipe = find(config.recipe)
    level = recipe.level(config.target, Path(config.data).stem)
    found: dict[str, Any] = {}
    for part in (recipe, level):
        found |= part.characters if are_characters(class_names) else part.pictures
    left_open = {name: value for name, value in found.items() if name not in config.model_fields_set}
    chosen = config.model_dump(exclude_unset=True) | left_open
    if "batch_size" in chosen and "batch_size" not in given:
        most = min(images, max(2, images // LEAST_STEPS))
        chosen["batch_size"] = min(chosen["batch_size"], most)
    sizes = [int(size) for size in (chosen.get("sizes") or "").split(",") if size]
    if sizes and "sizes" not in given:
        sizes = [*(size for size in sizes if size < side), side]
    if "epochs" not in given:
        epochs = _epochs(level.images, images, chosen.get("hard_share", 1.0))
        chosen["epochs"] = max(epochs, len(sizes))
    if sizes and "sizes" not in given:
        last = sizes[-chosen["epochs"] :]
        chosen["sizes"] = ",".join(map(str, last)) if len(last) > 1 else None
    return config_file.make(TrainConfig, chosen)


def _epochs(passes: int, images: int, hard_share: float) -> int:
    """Return the epochs in which about `passes` images pass, the share falling evenly to `hard_share`."""
    mean_share = (1 + hard_share) / 2
    return min(MOST_EPOCHS, max(1, round(passes / (images * mean_share))))


def _plain(data: str) -> str:
    return data.lower().replace("-", "")


def are_characters(class_names: Iterable[str]) -> bool:
    """Whether every class is named by one character, as digits and letters are."""
    return all(len(name) == 1 for name in class_names)


def _settable() -> list[str]:
    return [name for name in TrainConfig.model_fields if name not in ("data", "recipe", "target", "epochs")]


def _only(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: settings[name] for name in names if name in settings}


def _is_adaptive(settings: Mapping[str, Any]) -> bool:
    return settings.get("optimizer", TrainConfig.model_fields["optimizer"].default) in ADAPTIVE
