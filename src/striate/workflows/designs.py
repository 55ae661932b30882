"""What a study varies: factors with their values, and the recipes that a design makes of them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from striate import config
from striate.config import TrainConfig
from striate.errors import UserError, unknown_name
from striate.recipes import find as find_recipe
from striate.workflows.on_features import IGNORED as IDLE_ON_FEATURES
from striate.workflows.transfer import AUTO, FROM_SCRATCH

DESIGNS = ("grid", "one-at-a-time")
BASE, ALL = "base", "all together"
_REFUSED = {
    "data": "runs on different data have different test images; compare them with 'striate compare --set'.",
    "seed": "every recipe is trained with the same seeds; say how many with --seeds.",
    "split_seed": "every recipe is measured on the same test images; another split would change them.",
    "model_options": "name the option itself, as in --vary dropout=0,0.5.",
}
_NO_RESULT = (
    "data_root",
    "num_workers",
    "keep_pixels",
    "tensorboard",
    "audit",
    "figures",
    "goal",
    "test_views",
)
"""Settings that change nothing but where, how fast or with what beside it a training runs."""
_OF_A_NEW_HEAD = (
    "head",
    "first_head",
    "head_hidden",
    "head_dropout",
    "head_output",
    "freeze",
    "first_lr",
    "head_epochs",
    "unfreeze_epochs",
)
"""Settings of fine-tuning; a network of the zoo that is trained from scratch has none of it."""
_NEEDS = {
    "momentum": ("optimizer", ("sgd", "muon")),
    "muon_sgd_lr": ("optimizer", ("muon",)),
    "nesterov": ("optimizer", ("sgd",)),
    "step_epochs": ("schedule", ("step",)),
    "step_factor": ("schedule", ("step", "plateau")),
    "patience": ("schedule", ("plateau",)),
    "device": ("engine", ("torch",)),
    "precision": ("engine", ("torch",)),
    "memory_format": ("engine", ("torch",)),
}
"""Settings that count only where another one has one of these values."""


_BETWEEN_VALUES = re.compile(r",(?![^\[]*\])")
"""A comma outside of brackets."""
Resolve = Callable[[TrainConfig], TrainConfig]
CHOOSE_THE_NETWORK = ("recipe", "target", "strategy", "engine", "weights", "channels", "permute_pixels")
"""Settings that decide which network `auto` stands for, beside the images."""


def unresolved(settings: TrainConfig) -> TrainConfig:
    """Return `settings` with the network for small images in place of `auto`."""
    return settings.model_copy(update={"model": FROM_SCRATCH}) if settings.model == AUTO else settings


@dataclass(frozen=True)
class Recipe:
    """One combination of values.

    Attributes:
        name: "base", "all together", or the values that differ from the base.
        settings: of the training, without the seed; `model_options` among them, and what a recipe adds.
        given: those that the user gave.
        resolve: returns settings with a network in place of `auto`.
    """

    name: str
    settings: dict[str, Any]
    given: dict[str, Any]
    resolve: Resolve = field(default=unresolved, repr=False)

    def config(self, seed: int) -> TrainConfig:
        """Return the settings of its run with `seed`.

        Raises:
            UserError: they cannot be.
        """
        return config.make(TrainConfig, self.settings | {"seed": seed})

    def resolved(self) -> TrainConfig:
        """Return the settings of its first run, with the network that is trained."""
        return self.resolve(self.config(0))


def parse_vary(texts: Iterable[str]) -> dict[str, list[str]]:
    """Return what `--vary KEY=V1,V2`, repeated, says: name -> values; commas in [] are of one value.

    Raises:
        UserError: there is no name or no value, or a name stands twice.
    """
    vary: dict[str, list[str]] = {}
    for text in texts:
        name, separator, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not separator or not name or not values.strip():
            raise UserError(f"--vary {text!r}: expected KEY=V1,V2, as in --vary dropout=0,0.5.")
        if name in vary:
            raise UserError(f"--vary {name} is given twice; name all its values at once.")
        vary[name] = [_unbracketed(value.strip()) for value in _BETWEEN_VALUES.split(values)]
    return vary


def written(values: Iterable[Any]) -> str:
    """Return values as `parse_vary` reads them."""
    texts = [",".join(map(str, value)) if isinstance(value, list | tuple) else str(value) for value in values]
    return ",".join(f"[{text}]" if "," in text else text for text in texts)


def _unbracketed(value: str) -> str:
    return value[1:-1].strip() if value.startswith("[") and value.endswith("]") else value


def recipes(
    settings: Mapping[str, Any],
    vary: Mapping[str, Sequence[Any]],
    design: str,
    resolve: Resolve = unresolved,
) -> list[Recipe]:
    """Return the recipes of a study, the base first: the first value of every factor.

    Args:
        settings: what all recipes share, `model_options` and `recipe` among them; each is completed by the
            recipe that it names, as a training is.
        vary: factor -> values, a setting of the training or an option of the network.
        design: one of `DESIGNS`.
        resolve: returns settings with a network in place of `auto`, which depends on the images.

    Raises:
        UserError: a factor is unknown or has no effect, a value cannot be, or two recipes are the same.
    """
    if design not in DESIGNS:
        raise UserError(unknown_name("design", design, DESIGNS))
    if not vary:
        raise UserError("nothing varies: expected --vary KEY=V1,V2, as in --vary batch_norm=off,on.")
    for name, values in vary.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise UserError(f"--vary {name}: expected values in a list, got {values!r}.")
    models = _models(settings, vary, resolve)
    options = _options(models)
    idle = () if _is_tuned(models, settings, vary) else _OF_A_NEW_HEAD
    for name, values in vary.items():
        _check_factor(name, values, options, models, idle)
    chosen = _combinations({name: list(values) for name, values in vary.items()}, design)
    given = [(name, _merged(settings, values, options)) for name, values in chosen]
    made = [Recipe(name, completed(each), each, resolve) for name, each in given]
    _check_effects(made, vary, options)
    return made


def completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return `settings` with those of the recipe that they name, if they do."""
    name = settings.get("recipe")
    if name is None:
        return dict(settings)
    return find_recipe(str(name)).completed(settings, Path(str(settings["data"])).stem)[0]


def _models(settings: Mapping[str, Any], vary: Mapping[str, Sequence[Any]], resolve: Resolve) -> list[str]:
    """Return the networks that are trained, in the order in which they come first."""
    deciding = {name: list(vary[name]) for name in ("model", *CHOOSE_THE_NETWORK) if name in vary}
    models: list[str] = []
    for _, chosen in _combinations(deciding, "grid"):
        each = completed(_merged(settings, chosen, set()))
        model = str(each.get("model", AUTO))
        if model == AUTO:
            model = resolve(config.make(TrainConfig, each)).model
        models.append(model)
    return list(dict.fromkeys(models))


def _options(models: Sequence[str]) -> set[str]:
    """The options of all these networks that are of the zoo."""
    from striate.architectures import names, option_names

    return {option for model in models if model in names() for option in option_names(model)}


def _is_tuned(models: Sequence[str], settings: Mapping[str, Any], vary: Mapping[str, Sequence[Any]]) -> bool:
    """Whether any recipe may begin with weights and a head of its own, as fine-tuning does."""
    from striate.architectures import names

    return any(model not in names() for model in models) or bool({"strategy", "weights"} & {*settings, *vary})


def _check_factor(
    name: str, values: Sequence[Any], options: set[str], models: Sequence[str], idle: Sequence[str]
) -> None:
    """Refuse a factor that is unknown, that cannot vary, or that has no effect, and one of a single value."""
    if name not in options:
        if name in _REFUSED:
            raise UserError(f"--vary {name}: {_REFUSED[name]}")
        if name in _NO_RESULT:
            raise UserError(f"--vary {name} has no effect on the result; vary what the network learns by.")
        if name in idle:
            raise UserError(
                f"--vary {name} has no effect on {models[0]} from scratch: it is for fine-tuning."
            )
    known = (set(TrainConfig.model_fields) - {*_REFUSED, *_NO_RESULT, *idle}) | options
    if name not in known:
        raise UserError(f"--vary: {unknown_name(f'setting or option of {models[0]}', name, known)}")
    if len(values) < 2:
        raise UserError(f"--vary {name} has the one value {values[0]!r}; expected two or more, V1,V2.")


def _combinations(vary: Mapping[str, list[Any]], design: str) -> list[tuple[str, dict[str, Any]]]:
    """Return name and values of each recipe."""
    base = {name: values[0] for name, values in vary.items()}
    if design == "grid":
        chosen = [dict(zip(vary, values, strict=True)) for values in itertools.product(*vary.values())]
        return [(_name(base, each), each) for each in chosen]
    alone = [base | {name: value} for name, values in vary.items() for value in values[1:]]
    found = [(_name(base, each), each) for each in (base, *alone)]
    if len(vary) > 1:
        found.append((ALL, {name: values[-1] for name, values in vary.items()}))
    return found


def _name(base: Mapping[str, Any], chosen: Mapping[str, Any]) -> str:
    differing = [f"{name}={value}" for name, value in chosen.items() if value != base[name]]
    return ", ".join(differing) or BASE


def _merged(settings: Mapping[str, Any], chosen: Mapping[str, Any], options: set[str]) -> dict[str, Any]:
    own = {name: value for name, value in chosen.items() if name in options}
    others = {name: _value(name, value) for name, value in chosen.items() if name not in options}
    given = dict(settings.get("model_options", {})) | own
    return {**settings, **others, **({"model_options": given} if given else {})}


def _value(name: str, value: Any) -> Any:
    """Take `none` for "not set" where a setting can be that and has no choice of that name."""
    annotation = TrainConfig.model_fields[name].annotation
    unset = isinstance(value, str) and value.lower() in ("none", "null")
    return None if unset and type(None) in get_args(annotation) and "'none'" not in str(annotation) else value


def _check_effects(made: Sequence[Recipe], vary: Mapping[str, Sequence[Any]], options: set[str]) -> None:
    """Refuse factors that count in no recipe, and recipes that come to the same."""
    from striate.architectures import names

    configs = [recipe.resolved() for recipe in made]
    for name in vary.keys() - options:
        _check_on_features(name, configs)
        needed, values = _NEEDS.get(name, ("", ()))
        if needed and not any(getattr(each, needed) in values for each in configs):
            raise UserError(
                f"--vary {name} has no effect with {needed} {getattr(configs[0], needed)}: it needs "
                f"--{needed} {' or '.join(values)}."
            )
    seen: dict[str, str] = {}
    for recipe, each in zip(made, configs, strict=True):
        key = _identity(each) if each.model in names() else _plain_identity(each)
        if seen.get(key) == recipe.name:
            raise UserError("--vary has a value twice; leave one of them out.")
        if key in seen:
            raise UserError(
                f"'{recipe.name}' and '{seen[key]}' are the same network and training: what differs between "
                "them has no effect. Leave one of the values out."
            )
        seen[key] = recipe.name


def _check_on_features(name: str, configs: Sequence[TrainConfig]) -> None:
    """Refuse a factor that counts in no recipe because all heads are computed on features."""
    if name in IDLE_ON_FEATURES and all(each.strategy == "features" for each in configs):
        raise UserError(
            f"--vary {name} has no effect where a head is computed on features, as on photos without another "
            f"--model or --strategy (here {configs[0].model}); choose --strategy head, norm or full, or "
            "--strategy scratch."
        )


def _plain_identity(settings: TrainConfig) -> str:
    """What the training of a network that is not of the zoo is made of: the settings that count."""
    idle = set(IDLE_ON_FEATURES) if settings.strategy == "features" else set()
    return json.dumps(settings.model_dump(mode="json", exclude=idle))


def _identity(settings: TrainConfig) -> str:
    """What a training is made of: the layers that its options come to, and its other settings."""
    from striate.architectures import load_spec

    spec = load_spec(settings.model, settings.model_options)
    idle = {"hard_share"} if settings.epochs == 1 else set()  # the first epoch passes over all images
    idle |= {name for name, (other, values) in _NEEDS.items() if getattr(settings, other) not in values}
    values = settings.model_dump(mode="json", exclude={"model_options", *idle})
    if not _may_stop_early(settings):
        values["early_stopping"] = None
    return json.dumps([values, spec.to_dict()], sort_keys=True, default=str)


def _may_stop_early(settings: TrainConfig) -> bool:
    """Whether early stopping can leave out an epoch: the first is a best one, and the last comes anyway."""
    if settings.recipe is not None and "epochs" not in settings.model_fields_set:
        return True  # their number follows from the images
    return settings.early_stopping is not None and settings.early_stopping <= settings.epochs - 2
