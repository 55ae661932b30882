"""The kernels of the first convolution through training: kept after each epoch, and read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from striate import files
from striate.errors import BundleError, RunError
from striate.runs import Run

KEPT = 64
"""So many kernels are kept at most."""
EPOCH = "epoch-{:05d}"


@dataclass
class KernelCourse:
    """Keeps the kernels of a training's first convolution, if it has one and changes it.

    Attributes:
        run: which holds the file.
        network: of torch or of the engine, in training.
        kept: float32 (O, C, kH, kW) by epoch; epoch 0 is before the training.
    """

    run: Run
    network: Any
    kept: dict[int, np.ndarray]

    @classmethod
    def of(cls, run: Run, network: Any, epoch: int) -> KernelCourse:
        """Return what goes on from the epochs that the run has kept, up to `epoch`."""
        kept = {number: weights for number, weights in read(run).items() if number <= epoch}
        course = cls(run, network, kept)
        if not epoch:
            course.note(0)
        return course

    def note(self, epoch: int) -> None:
        """Keep the kernels as they are now, if they are finite and have changed, and write all to the run."""
        weights = first_weights(_parameters(self.network))
        if weights is None or not np.isfinite(weights).all():
            return
        if self.kept and np.array_equal(self.kept[max(self.kept)], weights):
            return
        self.kept[epoch] = weights
        if len(self.kept) > 1:
            arrays = {EPOCH.format(number): array for number, array in self.kept.items()}
            files.write_bytes(self.run.kernels_file, safetensors.numpy.save(arrays))


def first_weights(parameters: Mapping[str, Any]) -> np.ndarray | None:
    """Return the first kernels that are larger than one weight, at most 64; None where there are none.

    Args:
        parameters: of torch or NumPy, in the order in which the network computes.

    Returns:
        float32 (O, C, kH, kW), a copy.
    """
    for value in parameters.values():
        if len(value.shape) == 4 and value.shape[1] in (1, 3) and value.shape[2] * value.shape[3] > 1:
            first = value[:KEPT]
            found = first.detach().float().cpu().numpy() if hasattr(first, "detach") else _to_numpy(first)
            return np.array(found, np.float32)
    return None


def read(run: Run) -> dict[int, np.ndarray]:
    """Return the kernels that a run keeps, by epoch; empty where it keeps none.

    Raises:
        RunError: the file is damaged.
    """
    try:
        arrays = safetensors.numpy.load(run.kernels_file.read_bytes())
        return {int(name.rpartition("-")[2]): array for name, array in sorted(arrays.items())}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, SafetensorError) as error:
        raise RunError(f"cannot read {run.kernels_file}: {error}. Delete it to go on without.") from error


def course_of(model: Path) -> dict[int, np.ndarray]:
    """Return the kernels through the training of a bundle, if it lies in its run; else nothing."""
    from striate import bundle

    try:
        return read(Run(bundle.find(model).parent))
    except BundleError:  # the name of a pretrained network
        return {}


def _parameters(network: Any) -> dict[str, Any]:
    if hasattr(network, "named_parameters"):
        return dict(network.named_parameters())
    return {name: parameter.value for name, parameter in network.parameters().items()}


def _to_numpy(array: Any) -> np.ndarray:
    from striate.engine.backend import to_numpy

    return to_numpy(array)
