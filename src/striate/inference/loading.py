"""From a bundle on disk to a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from striate import bundle
from striate.architectures import ENGINES, Spec, check_weights, weight_shapes
from striate.bundle import BundleRecord
from striate.errors import BundleError, SpecError, UserError, unknown_name
from striate.inference.classifier import Classifier
from striate.inference.runtimes import Runtime


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
    if engine not in ENGINES:
        raise UserError(unknown_name("engine", engine, ENGINES))
    record, weights = bundle.read(path)
    spec = _checked_spec(path, record, weights)
    shape, num_classes = record.preprocess.input_shape, len(record.class_names)
    return Classifier(record, _runtime(spec, shape, num_classes, weights, device, engine), spec.output)


def _runtime(
    spec: Spec,
    shape: tuple[int, int, int],
    num_classes: int,
    weights: Mapping[str, np.ndarray],
    device: str,
    engine: str,
) -> Runtime:
    if engine == "torch":
        from striate.inference.torch_runtime import TorchRuntime

        return TorchRuntime(spec, shape, num_classes, weights, device)
    from striate.inference.engine_runtime import EngineRuntime

    if device not in ("auto", "cpu" if engine == "numpy" else "cuda"):
        raise UserError(f"device {device!r} does not fit engine {engine!r}; leave it out.")
    return EngineRuntime(spec, shape, num_classes, weights, engine)


def _checked_spec(path: str | Path, record: BundleRecord, weights: Mapping[str, np.ndarray]) -> Spec:
    """The network's spec, if it works on the record's images and classes and needs exactly these weights."""
    try:
        spec = Spec.from_dict(record.spec)
        shapes = weight_shapes(spec, record.preprocess.input_shape, len(record.class_names))
        check_weights(weights, shapes)
    except SpecError as error:
        raise BundleError(f"the bundle {path} does not fit together: {error}") from error
    for name, array in weights.items():
        expected = "int64" if name.endswith(".num_batches_tracked") else "float32"
        if array.dtype.name != expected:
            raise BundleError(
                f"the bundle {path} does not fit together: {name} is {array.dtype.name}; expected {expected}."
            )
    return spec
