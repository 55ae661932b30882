"""Striate: see how a convolutional image classifier works, train one, trust one.

The functions of the command line under the same names: `train`, `evaluate`, `predict`, `export`, `summary`,
`verify`, `describe_data` for the verb `data`, `audit_data` for `data audit`, `bench_conv` and `bench_train`
for `bench conv` and `bench train`; and `load` for a trained model. Each is imported when it is first used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from striate.version import __version__

if TYPE_CHECKING:
    from striate.inference import Classifier, load
    from striate.runs import Run
    from striate.workflows.ablate import ablate
    from striate.workflows.audit import audit_data
    from striate.workflows.augment_data import augment_data
    from striate.workflows.bench_conv import bench_conv
    from striate.workflows.bench_train import bench_train
    from striate.workflows.compare import compare
    from striate.workflows.data import describe_data
    from striate.workflows.evaluate import evaluate
    from striate.workflows.explain import explain
    from striate.workflows.export_onnx import export
    from striate.workflows.gradients import check_gradients
    from striate.workflows.kernels import show_kernels
    from striate.workflows.layer_outputs import show_activations
    from striate.workflows.lesson import lesson
    from striate.workflows.one_number import explain_number
    from striate.workflows.predict import predict
    from striate.workflows.receptive_fields import receptive_fields
    from striate.workflows.summary import summary
    from striate.workflows.train import train
    from striate.workflows.verify import verify
    from striate.workflows.visualise import visualise

__all__ = [
    "Classifier",
    "Run",
    "__version__",
    "ablate",
    "audit_data",
    "augment_data",
    "bench_conv",
    "bench_train",
    "check_gradients",
    "compare",
    "describe_data",
    "evaluate",
    "explain",
    "explain_number",
    "export",
    "lesson",
    "load",
    "predict",
    "receptive_fields",
    "show_activations",
    "show_kernels",
    "summary",
    "train",
    "verify",
    "visualise",
]

_HOMES = {
    "Classifier": "striate.inference",
    "Run": "striate.runs",
    "bench_conv": "striate.workflows.bench_conv",
    "bench_train": "striate.workflows.bench_train",
    "ablate": "striate.workflows.ablate",
    "audit_data": "striate.workflows.audit",
    "augment_data": "striate.workflows.augment_data",
    "check_gradients": "striate.workflows.gradients",
    "compare": "striate.workflows.compare",
    "describe_data": "striate.workflows.data",
    "evaluate": "striate.workflows.evaluate",
    "explain": "striate.workflows.explain",
    "explain_number": "striate.workflows.one_number",
    "export": "striate.workflows.export_onnx",
    "load": "striate.inference",
    "lesson": "striate.workflows.lesson",
    "predict": "striate.workflows.predict",
    "receptive_fields": "striate.workflows.receptive_fields",
    "show_activations": "striate.workflows.layer_outputs",
    "show_kernels": "striate.workflows.kernels",
    "summary": "striate.workflows.summary",
    "train": "striate.workflows.train",
    "verify": "striate.workflows.verify",
    "visualise": "striate.workflows.visualise",
}


def __getattr__(name: str) -> Any:
    if name == "filters":
        return importlib.import_module("striate.filters")
    if name not in _HOMES:
        raise AttributeError(f"module 'striate' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """Keeps `striate.lesson` the function when the room of the same name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, unless the import system binds a room to the name of a function."""
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
