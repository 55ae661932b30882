"""What `bundle.json` holds: the network's description, its classes, preprocessing, provenance and keys."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from striate.schemas import Preprocess

FORMAT_VERSION = 1
"""The newest format that this Striate writes and reads."""
LEAST_DIVISOR, LARGEST = 1e-9, 1e9
"""Of temperature, std and mean: what float32 numbers are divided by must leave them finite, and not all 0."""

Text = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Key(BaseModel):
    """One array of the weights, under the name it has in torch's `state_dict`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Text
    shape: tuple[Annotated[int, Field(ge=0)], ...]
    dtype: Literal["float32", "float64", "float16", "int64", "int32", "uint8", "bool"]

    @classmethod
    def of(cls, name: str, array: np.ndarray) -> Self:
        """Describe `array`; a dtype that a bundle cannot hold is a ValidationError."""
        return cls(name=name, shape=array.shape, dtype=array.dtype.name)  # type: ignore[arg-type]  # pydantic checks it

    @property
    def nbytes(self) -> int:
        """Size of the array in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class TrainingData(BaseModel):
    """What the network was trained on: its name, the SHA-256 of its samples and how many there were."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    fingerprint: str
    samples: Annotated[int, Field(ge=0)]


class BundleRecord(BaseModel):
    """The content of `bundle.json`.

    Attributes:
        format_version: 1; a reader refuses what is newer than itself.
        created_by: version of Striate that wrote the bundle.
        name: name of the network, for people.
        spec: the network, as `striate.architectures.Spec.to_dict` gives it; None for one of a library.
        backbone: the network of a library, as `striate.backbones.BackboneSpec.to_dict` gives it: library,
            name, version, exact arguments and head; None for one with a spec.
        initial_weights: where its weights came from before it was trained, for people.
        class_names: in the order of the network's K outputs; two classes for a network with one output,
            which speaks of the second.
        preprocess: how an image becomes the network's input.
        temperature: logits are divided by it before softmax, `LEAST_DIVISOR` to `LARGEST`; 1 leaves them
            as they are.
        keys: name, shape and dtype of every array in `model.safetensors`.
        weights_sha256: checksum of `model.safetensors`.
        data: what the network was trained on.
        metrics: `{"<split>": {...}}` as in `metrics.json`.
        versions: library -> version, of the machine that trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format_version: Annotated[int, Field(ge=1)] = FORMAT_VERSION
    created_by: str
    name: Text
    spec: dict[str, JsonValue] | None = None
    backbone: dict[str, JsonValue] | None = None
    initial_weights: str = "random"
    class_names: Annotated[tuple[Text, ...], Field(min_length=2)]
    preprocess: Preprocess
    temperature: Annotated[float, Field(ge=LEAST_DIVISOR, le=LARGEST, allow_inf_nan=False)] = 1.0
    keys: tuple[Key, ...]
    weights_sha256: Sha256
    data: TrainingData
    metrics: dict[str, JsonValue]
    versions: dict[str, str]

    @field_validator("class_names")
    @classmethod
    def _distinct_classes(cls, class_names: tuple[str, ...]) -> tuple[str, ...]:
        doubled = _first_double(class_names)
        if doubled is not None:
            raise ValueError(f"class {doubled!r} is named more than once")
        return class_names

    @field_validator("keys")
    @classmethod
    def _distinct_keys(cls, keys: tuple[Key, ...]) -> tuple[Key, ...]:
        doubled = _first_double(key.name for key in keys)
        if doubled is not None:
            raise ValueError(f"key {doubled!r} is listed more than once")
        return keys

    @field_validator("preprocess")
    @classmethod
    def _statistics_fit(cls, preprocess: Preprocess) -> Preprocess:
        for name, values, least in (
            ("mean", preprocess.mean, -LARGEST),
            ("std", preprocess.std, LEAST_DIVISOR),
        ):
            if len(values) != preprocess.channels:
                raise ValueError(f"{len(values)} values of {name} for {preprocess.channels} channels")
            if not all(least <= value <= LARGEST for value in values):
                raise ValueError(f"{name} is {values}; expected numbers from {least:g} to {LARGEST:g}")
        return preprocess

    @model_validator(mode="after")
    def _one_description(self) -> Self:
        if (self.spec is None) == (self.backbone is None):
            raise ValueError("expected either a spec or a backbone")
        return self

    @model_validator(mode="after")
    def _classes_fit(self) -> Self:
        head = (self.backbone or {}).get("head")
        described = self.spec or (head if isinstance(head, dict) else {})
        one_output = described.get("output") in ("logit", "probability")
        if one_output and len(self.class_names) != 2:
            raise ValueError(f"a network with one output tells 2 classes apart, not {len(self.class_names)}")
        return self


def _first_double(names: Iterable[str]) -> str | None:
    seen = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
