"""From a bundle on disk to a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from striate import bundle
from striate.architectures import ENGINES, Spec, check_weights, weight_shapes
from striate.backbones import BackboneSpec
from striate.backbones.models import Description, description_of
from striate.bundle import BundleRecord
from striate.errors import BundleError, SpecError, UserError, unknown_name
from striate.inference.classifier import Classifier
from striate.inference.runtimes import Runtime


class Opened(NamedTuple):
    """A classifier, and what its bundle holds of its network.

    Attributes:
        classifier: ready to be used.
        description: of the network.
        weights: all of the network's weights and buffers by name.
    """

    classifier: Classifier
    description: Description
    weights: dict[str, np.ndarray]


def load(path: str | Path, device: str = "auto", engine: str = "torch") -> Classifier:
    """Return the classifier whose bundle lies at `path`.

    Args:
        path: folder of a bundle, or of a run that holds one.
        device: of torch: "auto" (CUDA, else Apple's MPS, else CPU), "cpu", "cuda" or "mps".
        engine: "torch"; "numpy", which never imports torch; or "cupy".

    Raises:
        BundleError: there is no bundle, it is damaged or too new, or its parts do not fit one another.
        UserError: the engine or the device is unknown or not there.
    """
    return open_bundle(path, device, engine).classifier


def open_bundle(path: str | Path, device: str = "auto", engine: str = "torch") -> Opened:
    """As `load`, with the description and the weights."""
    if engine not in ENGINES:
        raise UserError(unknown_name("engine", engine, ENGINES))
    record, weights = bundle.read(path)
    description = checked_description(path, record, weights)
    if isinstance(description, BackboneSpec) and engine != "torch":
        raise UserError(
            f"{path} holds {description.name} of {description.library}, which only PyTorch computes; "
            f"choose --engine torch, not {engine}."
        )
    shape, num_classes = record.preprocess.input_shape, len(record.class_names)
    try:
        runtime = _runtime(description, shape, num_classes, weights, device, engine)
    except SpecError as error:
        raise _unfit(path, error) from error
    return Opened(Classifier(record, runtime, description.output), description, weights)


def _runtime(
    description: Description,
    shape: tuple[int, int, int],
    num_classes: int,
    weights: Mapping[str, np.ndarray],
    device: str,
    engine: str,
) -> Runtime:
    if engine == "torch":
        from striate.inference.torch_runtime import TorchRuntime

        return TorchRuntime(description, shape, num_classes, weights, device)
    from striate.inference.engine_runtime import EngineRuntime

    if device not in ("auto", "cpu" if engine == "numpy" else "cuda"):
        raise UserError(f"device {device!r} does not fit engine {engine!r}; leave it out.")
    assert isinstance(description, Spec)  # `load` refuses others
    return EngineRuntime(description, shape, num_classes, weights, engine)


def checked_description(
    path: str | Path, record: BundleRecord, weights: Mapping[str, np.ndarray]
) -> Description:
    """Return the network, if it works on the record's images and classes and needs exactly these weights.

    The weights of a library's network are checked where it is built.

    Raises:
        BundleError: a shape or dtype is another; names `path`.
    """
    try:
        description = description_of(record.spec, record.backbone)
        if isinstance(description, Spec):
            shapes = weight_shapes(description, record.preprocess.input_shape, len(record.class_names))
            check_weights(weights, shapes)
            _check_dtypes(weights)
    except SpecError as error:
        raise _unfit(path, error) from error
    return description


def _check_dtypes(weights: Mapping[str, np.ndarray]) -> None:
    for name, array in weights.items():
        expected = "int64" if name.endswith(".num_batches_tracked") else "float32"
        if array.dtype.name != expected:
            raise SpecError(f"{name} is {array.dtype.name}; expected {expected}.")


def _unfit(path: str | Path, error: SpecError) -> BundleError:
    return BundleError(f"the bundle {path} does not fit together: {error}")
