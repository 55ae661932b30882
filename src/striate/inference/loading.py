"""From a bundle on disk to a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from striate import bundle
from striate.architectures import Spec, check_weights, weight_shapes
from striate.bundle import BundleRecord
from striate.errors import BundleError, SpecError
from striate.inference.classifier import Classifier


def load(path: str | Path, device: str = "auto") -> Classifier:
    """Return the classifier whose bundle lies at `path`.

    Args:
        path: folder of a bundle, or of a run that holds one.
        device: "auto" (CUDA, else Apple's MPS, else CPU), "cpu", "cuda" or "mps".

    Raises:
        BundleError: there is no bundle, it is damaged or too new, or its parts do not fit one another.
        UserError: the device is unknown or not there.
    """
    record, weights = bundle.read(path)
    spec = _checked_spec(path, record, weights)
    from striate.inference.torch_runtime import TorchRuntime

    shape, num_classes = record.preprocess.input_shape, len(record.class_names)
    return Classifier(record, TorchRuntime(spec, shape, num_classes, weights, device), spec.output)


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
