"""The checkpoint of a training: everything needed to go on as if nothing had happened, without pickle.

One safetensors file. The tensors are the weights after the last epoch, their moving average if there is one,
the weights to keep where those are of another epoch, the optimizer's state and the images' losses where
they decide what is trained on; one JSON text holds the rest, and a SHA-256 covers both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors
import safetensors.numpy

from striate import files
from striate.config import TrainConfig
from striate.errors import RunError

CHECKPOINT_NAME = "last.safetensors"
"""File in the checkpoint folder; replaced after every epoch."""

FORMAT = 1

_ARRAYS = ("weights", "averaged_weights", "kept_weights", "optimizer", "selection")
_NEUTRAL_SETTINGS = {
    "data_root",
    "num_workers",
    "tensorboard",
    "figures",
    "goal",
    "device",
    "precision",
    "memory_format",
}
"""Settings that may differ on resuming: what was chosen for the last three comes from the checkpoint."""


@dataclass(frozen=True)
class Circumstances:
    """What a training and its continuation must have in common.

    Attributes:
        config: the settings, as plain values.
        class_names: (K,).
        images: training images.
        steps_per_epoch: optimizer steps in an epoch.
        network: what `identify` returns for the network.
    """

    config: dict[str, Any]
    class_names: list[str]
    images: int
    steps_per_epoch: int
    network: str

    @classmethod
    def of(
        cls,
        config: TrainConfig,
        class_names: list[str],
        images: int,
        steps_per_epoch: int,
        shapes: Mapping[str, tuple[int, ...]],
        spec: object,
    ) -> Self:
        """Return those of a training; `shapes` and `spec` are the network's, as for `identify`."""
        return cls(
            config.model_dump(mode="json"), class_names, images, steps_per_epoch, identify(shapes, spec)
        )


@dataclass(frozen=True)
class Checkpoint:
    """A training after one of its epochs.

    Attributes:
        epoch: epochs completed.
        config: the settings, as plain values.
        class_names: (K,).
        images: training images.
        steps_per_epoch: optimizer steps in an epoch.
        network: what `identify` returns for the network.
        engine: device, precision and memory format in use.
        history: a row an epoch.
        timing: a row an epoch.
        best_epoch: the epoch that `kept_weights` come from.
        plateau: state of the plateau schedule: best, waited, reductions.
        weights: state dict after `epoch`.
        averaged_weights: state dict of the moving average of the weights then; empty if there is none.
        kept_weights: state dict to keep.
        optimizer: `optimizers.state_arrays`.
        selection: `selection.Selection.state`; empty if all images are trained on.
    """

    epoch: int
    config: dict[str, Any]
    class_names: list[str]
    images: int
    steps_per_epoch: int
    network: str
    engine: dict[str, str]
    history: list[dict[str, Any]]
    timing: list[dict[str, Any]]
    best_epoch: int
    plateau: dict[str, Any]
    weights: dict[str, np.ndarray]
    averaged_weights: dict[str, np.ndarray]
    kept_weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    selection: dict[str, np.ndarray]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` atomically; the file before it stays if that fails.

    Raises:
        UserError: the file cannot be written (disk full, no permission).
    """
    values = {field.name: getattr(checkpoint, field.name) for field in fields(Checkpoint)}
    arrays = {name: values.pop(name) for name in _ARRAYS}
    if checkpoint.best_epoch == checkpoint.epoch:
        arrays["kept_weights"] = {}  # they are the (averaged) weights
    tensors = {f"{part}/{name}": array for part, named in arrays.items() for name, array in named.items()}
    facts = json.dumps({"format": FORMAT, **values}, allow_nan=False)
    metadata = {"checkpoint": facts, "sha256": _digest(facts, tensors)}
    files.write_bytes(path, safetensors.numpy.save(tensors, metadata))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote.

    Raises:
        RunError: the file is missing, damaged, truncated or of a later version; names the reason.
    """
    try:
        facts, tensors = _read(path)
        values = json.loads(facts)
        written = values.pop("format")
        if written == FORMAT:
            return _checkpoint(values, tensors)
    except (KeyError, ValueError, TypeError, AttributeError, safetensors.SafetensorError) as error:
        raise RunError(f"the checkpoint {path} is damaged: {error}. Start the training again.") from error
    except OSError as error:
        raise RunError(f"cannot read the checkpoint {path}: {error.strerror or error}.") from error
    raise RunError(
        f"the checkpoint {path} has format {written}, expected {FORMAT}: written by another version."
    )


def _checkpoint(values: dict[str, Any], tensors: Mapping[str, np.ndarray]) -> Checkpoint:
    """Return the checkpoint of these fields; others than it has are a ValueError or KeyError."""
    odd = set(values) ^ ({field.name for field in fields(Checkpoint)} - set(_ARRAYS))
    if odd:
        raise ValueError(f"fields that are missing or unknown: {', '.join(sorted(odd))}")
    parts: dict[str, dict[str, np.ndarray]] = {part: {} for part in _ARRAYS}
    for key, array in tensors.items():
        part, name = key.split("/", 1)
        parts[part][name] = array
    return Checkpoint(
        **values,
        weights=parts["weights"],
        averaged_weights=parts["averaged_weights"],
        kept_weights=parts["kept_weights"] or parts["averaged_weights"] or parts["weights"],
        optimizer=parts["optimizer"],
        selection=parts["selection"],
    )


def _read(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """Return the JSON text and the tensors of a checkpoint file whose checksum fits."""
    content = path.read_bytes()
    tensors = safetensors.numpy.load(content)
    header_bytes = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + header_bytes])["__metadata__"]
    facts, expected = metadata["checkpoint"], metadata["sha256"]
    if _digest(facts, tensors) != expected:
        raise ValueError("its checksum does not fit its content")
    return facts, tensors


def _digest(facts: str, tensors: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 (hex) over `facts` and every tensor's name, dtype, shape and bytes."""
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        array = np.asarray(tensors[name], order="C")
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def identify(shapes: Mapping[str, tuple[int, ...]], spec: object) -> str:
    """Return a network's identity: SHA-256 (hex) over its tensors' shapes and, if it has one, its spec."""
    described = spec.to_dict() if hasattr(spec, "to_dict") else None
    text = json.dumps([sorted((name, list(shape)) for name, shape in shapes.items()), described], default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def check_fits(checkpoint: Checkpoint, now: Circumstances) -> None:
    """Check that a training under the circumstances of `now` may go on from `checkpoint`.

    Raises:
        RunError: it may not; names the first difference.
    """
    for name, value in now.config.items():
        if name not in _NEUTRAL_SETTINGS and checkpoint.config.get(name) != value:
            raise RunError(
                f"cannot resume: the checkpoint was trained with {name} = {checkpoint.config.get(name)!r}, "
                f"now it is {value!r}. Resume with the run's own settings."
            )
    images = checkpoint.images, checkpoint.steps_per_epoch
    differences = {
        "another network": checkpoint.network != now.network,
        "other classes": checkpoint.class_names != now.class_names,
        "other training images": images != (now.images, now.steps_per_epoch),
    }
    for difference, differs in differences.items():
        if differs:
            raise RunError(f"cannot resume: the checkpoint was trained with {difference}.")


def as_plain(value: Any) -> dict[str, Any]:
    """Return a flat dataclass as plain JSON values; infinity, which JSON lacks, becomes None."""
    return {name: None if item == float("inf") else item for name, item in asdict(value).items()}
