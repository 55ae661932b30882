"""The settings of a training run: validated once, written to `config.yaml`, read back to repeat the run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from striate import files
from striate.errors import UserError, unknown_name
from striate.schemas import Fit

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Model = TypeVar("Model", bound=BaseModel)


class DataConfig(BaseModel):
    """Which images, split how, and how they enter the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str  # folder, .zip, .csv or the name of a data set
    data_root: str | None = None  # where named data sets are kept on disk
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None  # share of the training pool to train on
    val_fraction: Share | None = None  # share carved for validation; 0: train on everything, keep the last epoch
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None  # share carved for the test split, if none is given
    classes: tuple[str, ...] | None = None  # only these classes
    permute_pixels: int | None = None  # seed of one fixed permutation of every image's pixels
    normalize: Literal["none", "dataset", "imagenet", "half"] = "dataset"
    image_size: Annotated[int, Field(ge=1, le=4096)] | None = None  # side in pixels; None: from the data
    channels: Literal["auto", "grey", "rgb"] = "auto"
    fit: Fit = "squash"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class TrainConfig(DataConfig):
    """Everything that determines a training run."""

    model: str = "mynet"  # name of a net, or path of a net.yaml
    model_options: dict[str, Any] = {}

    epochs: Count = 20
    batch_size: Count = 64
    lr: Positive | Literal["auto"] = 3e-3  # peak learning rate; "auto" runs the learning-rate finder
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9  # sgd only
    nesterov: bool = False  # sgd only
    weight_decay: NotNegative = 0.0
    schedule: Literal["constant", "step", "plateau", "cosine", "one-cycle"] = "one-cycle"
    step_epochs: Count = 5  # step: epochs between two reductions
    step_factor: Annotated[float, Field(gt=0, lt=1)] = 0.2  # step and plateau: each reduction multiplies by this
    patience: Count = 3  # plateau: epochs without improvement before a reduction
    warmup_epochs: NotNegative = 0.0  # linear rise to `lr` (one-cycle: its rising part; 0 means 30 %)

    loss: Literal["auto", "cross-entropy", "nll", "bce", "squared-error"] = "auto"
    label_smoothing: Share = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    augment: Literal["none", "flip-crop", "photo", "trivial"] = "none"
    mixup: NotNegative = 0.0  # Beta(a, a) of the mixing share; 0: off
    cutmix: NotNegative = 0.0
    clip_grad: Positive | None = None  # largest allowed norm of the gradient

    early_stopping: Count | None = None  # epochs without improvement before training ends
    best_by: Literal["val_loss", "val_accuracy"] = "val_loss"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "32", "bf16"] = "auto"
    memory_format: Literal["auto", "contiguous", "channels-last"] = "auto"
    num_workers: Annotated[int, Field(ge=0)] | None = None  # decoding processes; None: from the machine
    tensorboard: bool = False
    goal: Annotated[float, Field(gt=0, le=1)] | None = None  # accuracy drawn as a line in the curves

    @field_validator("model_options")
    @classmethod
    def _plain_options(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"option {name} is {value}; expected a finite number")
        return options

    @model_validator(mode="after")
    def _one_mixing(self) -> Self:
        if self.mixup and self.cutmix:
            raise ValueError("mixup and cutmix exclude each other; choose one")
        return self

    def data_config(self) -> DataConfig:
        """The part that says which images enter and how."""
        return DataConfig(**{name: getattr(self, name) for name in DataConfig.model_fields})


def make(kind: type[Model], settings: dict[str, Any]) -> Model:
    """Return validated settings of the given `kind`.

    Raises:
        UserError: an unknown setting or value, with the nearest known one.
    """
    unknown = [name for name in settings if name not in kind.model_fields]
    if unknown:
        raise UserError(unknown_name("setting", unknown[0], kind.model_fields))
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        raise UserError(_explain(error)) from None


def read(path: Path) -> dict[str, Any]:
    """Read the settings written by `write` (a YAML mapping); they are validated by `make`."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read settings from {path}: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no settings: expected lines such as 'model: mynet'.")
    return content


def write(path: Path, config: TrainConfig) -> None:
    """Write `config` as YAML, one setting a line, in the order of the class."""
    files.write_text(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def _explain(error: ValidationError) -> str:
    """Turn pydantic's findings into one line: setting, what came, what was expected."""
    found = error.errors(include_url=False)[0]
    name = str(found["loc"][0]) if found["loc"] else "settings"
    if found["type"] == "literal_error":
        known = found["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return unknown_name(name.replace("_", "-"), found["input"], known)
    if found["type"] == "value_error":
        return f"{found['ctx']['error']}"
    return f"{name.replace('_', '-')} is {found['input']!r}: {found['msg'][0].lower()}{found['msg'][1:]}."
