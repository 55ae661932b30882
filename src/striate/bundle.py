"""Model bundles: a folder with everything that turns images into predictions, and nothing that can run.

A bundle holds `model.safetensors` (the weights) and `bundle.json` (a `BundleRecord`: the network's spec, its
class names, preprocessing, provenance, and the checksum and key list of the weights). It is never a pickle.
Reading checks what can be checked without building the network; `striate.inference.load` checks the rest.
`docs/bundle.md` describes the format for readers without Striate.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from pydantic import JsonValue, ValidationError
from pydantic_core import from_json
from safetensors import SafetensorError

from striate import files
from striate.bundle_record import FORMAT_VERSION, LARGEST, LEAST_DIVISOR, BundleRecord, Key, TrainingData
from striate.errors import BundleError
from striate.runs import Run
from striate.schemas import Preprocess
from striate.version import __version__

__all__ = [
    "FORMAT_VERSION",
    "LARGEST",
    "LEAST_DIVISOR",
    "LIBRARIES",
    "MAX_RECORD_BYTES",
    "PICKLE_SUFFIXES",
    "RECORD_FILE",
    "WEIGHTS_FILE",
    "BundleRecord",
    "Key",
    "TrainingData",
    "amend",
    "find",
    "library_versions",
    "read",
    "read_record",
    "write",
]

RECORD_FILE = "bundle.json"
WEIGHTS_FILE = "model.safetensors"
MAX_RECORD_BYTES = 32 * 2**20
"""A larger `bundle.json` is not read; a thousand classes with their confusion matrix take far less."""

LIBRARIES = ("numpy", "pillow", "torch", "torchvision", "timm", "lightning", "safetensors")
"""Libraries whose versions a bundle records, where they are installed."""
PICKLE_SUFFIXES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib")


def write(
    folder: Path,
    weights: Mapping[str, np.ndarray],
    *,
    name: str,
    spec: Mapping[str, Any] | None = None,
    backbone: Mapping[str, Any] | None = None,
    class_names: Sequence[str],
    preprocess: Preprocess,
    data: TrainingData,
    initial_weights: str = "random",
    temperature: float = 1.0,
    metrics: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
) -> BundleRecord:
    """Write a bundle into `folder`, which is made if need be, and return its record.

    Both files are written under temporary names before either takes its place, so a full disk leaves an
    older bundle as it was. The record takes its place last: without it, or with one that does not fit the
    weights, a bundle is refused by `read`.

    Args:
        folder: where the two files go; other files there are left alone.
        weights: arrays by their names in torch's `state_dict`; each is stored by itself, in C order, in its
            own dtype.
        name: name of the network, for people.
        spec: what `striate.architectures.Spec.to_dict` gives; this or `backbone`.
        backbone: what `striate.backbones.BackboneSpec.to_dict` gives.
        class_names: in the order of the network's outputs.
        preprocess: how an image becomes the network's input.
        data: what the network was trained on.
        initial_weights: where its weights came from before it was trained.
        temperature: what logits are to be divided by.
        metrics: `{"<split>": {...}}` as in `metrics.json`, without NaN or infinity.
        versions: library -> version; what is installed here where not given.

    Raises:
        BundleError: the fields do not fit one another, or a weight is not finite or of an unknown dtype.
        UserError: the files cannot be written.
    """
    arrays = {key: _plain(array) for key, array in weights.items()}
    _refuse_non_finite(arrays, "these weights")
    content = safetensors.numpy.save(arrays)
    try:
        record = BundleRecord(
            created_by=__version__,
            name=name,
            spec=None if spec is None else _json_values("spec", spec),
            backbone=None if backbone is None else _json_values("backbone", backbone),
            initial_weights=initial_weights,
            class_names=tuple(class_names),
            preprocess=preprocess,
            temperature=temperature,
            keys=tuple(Key.of(key, array) for key, array in arrays.items()),
            weights_sha256=hashlib.sha256(content).hexdigest(),
            data=data,
            metrics=_json_values("metrics", metrics or {}),
            versions=library_versions() if versions is None else dict(versions),
        )
    except ValidationError as error:
        raise BundleError(f"cannot write a bundle of {name!r}: {_finding(error)}.") from None
    files.make_folder(folder)
    files.write_several({folder / WEIGHTS_FILE: content, folder / RECORD_FILE: _to_json(record)})
    return record


def amend(
    folder: Path, *, temperature: float | None = None, metrics: Mapping[str, Any] | None = None
) -> BundleRecord:
    """Replace the temperature or the metrics of the bundle in `folder`, leaving its weights alone.

    Raises:
        BundleError: there is no readable bundle, or the new value does not fit.
    """
    old = read_record(folder)
    changes: dict[str, Any] = {}
    if temperature is not None:
        changes["temperature"] = temperature
    if metrics is not None:
        changes["metrics"] = _json_values("metrics", metrics)
    fields = {field: getattr(old, field) for field in BundleRecord.model_fields}
    try:
        record = BundleRecord(**{**fields, **changes})
    except ValidationError as error:
        raise BundleError(f"cannot amend the bundle {folder}: {_finding(error)}.") from None
    files.write_bytes(find(folder) / RECORD_FILE, _to_json(record))
    return record


def find(path: str | Path) -> Path:
    """Return the bundle folder that `path` means: itself, or the bundle of a run folder.

    Raises:
        BundleError: there is none; the text says what `path` is instead.
    """
    path = Path(path)
    if path.is_dir():
        for folder in (path, Run(path).model):
            if (folder / RECORD_FILE).is_file() or (folder / WEIGHTS_FILE).is_file():
                return folder
        raise BundleError(
            f"{path} holds no bundle: expected {RECORD_FILE} and {WEIGHTS_FILE} in it, or a run folder."
        )
    if not path.exists():
        raise BundleError(f"no bundle at {path}: there is no such folder. Give a bundle or a run folder.")
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise BundleError(
            f"{path} looks like a pickle, and opening one can run any code: Striate never does. "
            "Give the folder of a bundle, or of a run of `striate train`."
        )
    if path.name in (RECORD_FILE, WEIGHTS_FILE):
        raise BundleError(f"{path} is one file of a bundle: give its folder, {path.parent}.")
    raise BundleError(f"{path} is not a bundle: expected a folder with {RECORD_FILE} and {WEIGHTS_FILE}.")


def read_record(path: str | Path) -> BundleRecord:
    """Read the record of the bundle or run folder at `path` and leave the weights unread.

    Raises:
        BundleError: there is no bundle, or its record is missing, damaged, too new or at odds with itself.
    """
    file = find(path) / RECORD_FILE
    content = _content(file, MAX_RECORD_BYTES)
    _check_format(file, content)
    try:
        return BundleRecord.model_validate_json(content)
    except ValidationError as error:
        raise BundleError(f"{file} does not fit the format: {_finding(error)}.") from None


def read(path: str | Path) -> tuple[BundleRecord, dict[str, np.ndarray]]:
    """Read the bundle or run folder at `path`.

    Returns:
        The record, and the weights in the order of its keys: writable arrays in their own dtype.

    Raises:
        BundleError: as `read_record`, or the weights are missing, truncated, damaged or not finite, or differ
            from the record's keys.
    """
    record = read_record(path)
    file = find(path) / WEIGHTS_FILE
    content = _weights_content(file, record)
    try:
        arrays = safetensors.numpy.load(content)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise BundleError(
            f"{file} is not a readable safetensors file: {error}. Get the bundle again."
        ) from error
    _check_keys(file, record, arrays)
    _refuse_non_finite(arrays, str(file))
    return record, {key.name: arrays[key.name].copy() for key in record.keys}


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the `LIBRARIES` that are installed."""
    versions = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _plain(array: np.ndarray) -> np.ndarray:
    """In C order and the machine's byte order; `np.ascontiguousarray` would give a scalar a dimension."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")


def _refuse_non_finite(arrays: Mapping[str, np.ndarray], where: str) -> None:
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise BundleError(f"{name!r} in {where} holds NaN or infinity: training went wrong. Train again.")


def _json_values(name: str, content: Mapping[str, Any]) -> dict[str, JsonValue]:
    """As reading `bundle.json` will give it: lists for tuples; what JSON cannot hold is refused."""
    try:
        values: dict[str, JsonValue] = json.loads(json.dumps(dict(content), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BundleError(f"the {name} of a bundle must be JSON without NaN or infinity: {error}.") from None
    return values


def _to_json(record: BundleRecord) -> bytes:
    return (record.model_dump_json(indent=2) + "\n").encode("utf-8")


def _content(file: Path, most_bytes: int | None = None) -> bytes:
    """The bytes of one of the two files; at most `most_bytes` are accepted."""
    try:
        with file.open("rb") as stream:
            content = stream.read(-1 if most_bytes is None else most_bytes + 1)
    except FileNotFoundError:
        raise BundleError(
            f"the bundle {file.parent} is incomplete: {file.name} is missing. "
            "Copy the whole folder, or train again."
        ) from None
    except OSError as error:
        raise BundleError(f"cannot read {file}: {error.strerror}.") from error
    if most_bytes is not None and len(content) > most_bytes:
        raise BundleError(f"{file} is larger than {most_bytes / 2**20:.0f} MiB: no Striate wrote it.")
    return content


def _check_format(file: Path, content: bytes) -> None:
    """Refuse what is not JSON or of a newer format before any other field is looked at."""
    try:
        fields = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise BundleError(f"{file} is not valid JSON: {error}. Get the bundle again.") from None
    version = fields.get("format_version") if isinstance(fields, dict) else None
    if type(version) is not int or version < 1:
        raise BundleError(
            f"{file} is not a bundle's record: its format_version is {version!r}, expected a whole number."
        )
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{file.parent} was written by a newer Striate (format {version}); "
            f"this one reads up to {FORMAT_VERSION}: update striate."
        )


def _weights_content(file: Path, record: BundleRecord) -> bytes:
    """The bytes of the weights file, if they are those that the record was written for."""
    content = _content(file)
    least_bytes = sum(key.nbytes for key in record.keys)
    if len(content) < least_bytes:
        raise BundleError(
            f"{file} is truncated: {len(content):,} bytes, but its arrays alone take {least_bytes:,}. "
            "Get the bundle again."
        )
    if hashlib.sha256(content).hexdigest() != record.weights_sha256:
        raise BundleError(
            f"{file} is damaged or belongs to another {RECORD_FILE}: its SHA-256 is not the recorded one. "
            "Get the bundle again."
        )
    return content


def _check_keys(file: Path, record: BundleRecord, arrays: Mapping[str, np.ndarray]) -> None:
    expected = {key.name: key for key in record.keys}
    missing = [name for name in expected if name not in arrays]
    if missing:
        raise BundleError(f"{file} lacks {missing[0]!r}, which {RECORD_FILE} lists ({len(missing)} missing).")
    extra = sorted(set(arrays) - set(expected))
    if extra:
        raise BundleError(
            f"{file} holds {extra[0]!r}, which {RECORD_FILE} does not list ({len(extra)} extra)."
        )
    for name, key in expected.items():
        array = arrays[name]
        if (array.shape, array.dtype.name) != (key.shape, key.dtype):
            raise BundleError(
                f"{name!r} in {file} is {array.dtype.name} {array.shape}, "
                f"but {RECORD_FILE} says {key.dtype} {key.shape}."
            )


def _finding(error: ValidationError) -> str:
    """Pydantic's first finding in a line: which field, and what is wrong with it."""
    found = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in found["loc"]) or "record"
    return f"{field}: {found['msg'].removeprefix('Value error, ')}"
