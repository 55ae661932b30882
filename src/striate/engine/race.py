"""What a race between ways to compute the same convolution needs: inputs, a reference, clocks, memory.

The reference is the definition itself (`loops`) where it is small enough, else im2col, in float64 both times.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from striate.engine import functional as F
from striate.engine.algorithms import ALGORITHMS, Geometry

TURN_SECONDS = 0.1
"""In a turn, a call is repeated for about so long."""

RESULTS = ("output", "grad_x", "grad_weight", "grad_bias")
"""What a convolution, forward and backward, makes."""


class Inputs(NamedTuple):
    """What a convolution and its backward take: images, kernels, bias, and the output's gradient."""

    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    grad_output: np.ndarray


def draw(geometry: Geometry, dtype: str, seed: int = 0) -> Inputs:
    """Return normal numbers of the shapes of `geometry`; kernels so small that the output's variance is 1."""
    generator = np.random.default_rng(seed)
    shapes = (geometry.in_shape, geometry.weight_shape, (geometry.out_channels,), geometry.out_shape)
    x, weight, bias, grad_output = (
        generator.standard_normal(shape, np.float32).astype(dtype) for shape in shapes
    )
    weight /= np.sqrt(np.prod(geometry.weight_shape[1:])).astype(dtype)
    return Inputs(x, weight, bias, grad_output)


def forward(inputs: Inputs, geometry: Geometry, algorithm: str) -> np.ndarray:
    """Return the output (N, O, H', W') by `algorithm`."""
    output: np.ndarray = F.conv2d(*inputs[:3], **arguments(geometry), algorithm=algorithm)
    return output


def backward(inputs: Inputs, geometry: Geometry, algorithm: str) -> tuple[np.ndarray, ...]:
    """Return the gradients of x, weight and bias by `algorithm`."""
    x, weight, _, grad_output = inputs
    grads: Any = F.conv2d_backward(grad_output, x, weight, **arguments(geometry), algorithm=algorithm)
    return tuple(grads)


def arguments(geometry: Geometry) -> dict[str, Any]:
    """Return the arguments of `conv2d` that are not arrays."""
    names = ("stride", "padding", "dilation", "groups")
    return {name: getattr(geometry, name) for name in names}


def reference_name(geometry: Geometry) -> str:
    """Return the algorithm that others are measured by."""
    return "im2col" if ALGORITHMS["loops"].refusal(geometry) else "loops"


def reference(inputs: Inputs, geometry: Geometry) -> tuple[np.ndarray, ...]:
    """Return what RESULTS names, in float64."""
    exact = Inputs(*(array.astype(np.float64) for array in inputs))
    name = reference_name(geometry)
    return forward(exact, geometry, name), *backward(exact, geometry, name)


def differences(found: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...]) -> dict[str, float]:
    """Return the largest difference of each of RESULTS, relative to the largest value of the expected one."""
    pairs = zip(RESULTS, found, expected, strict=True)
    return {name: float(np.abs(ours - true).max() / np.abs(true).max()) for name, ours, true in pairs}


def seconds(call: Callable[[], object]) -> float:
    """Return the median duration of `call`, repeated for TURN_SECONDS.

    The first call does not count unless it is the only one: others had the caches before it.
    """
    durations: list[float] = []
    while not durations or sum(durations) < TURN_SECONDS:
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations[1:] or durations)


def peak_bytes(call: Callable[[], object]) -> int | None:
    """Return by how much `call` raises the process's resident set at its peak; None where that is not told.

    In a fresh process, and the first time: afterwards, memory that was freed may be kept and used again.
    """
    system = platform.system()
    if system == "Linux":
        before = _status("VmRSS")
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        except OSError:
            before = _status("VmHWM")
        call()
        return max(0, _status("VmHWM") - before)
    if system == "Windows":
        return None
    return _peak_beyond_the_last(call)


def _status(field: str) -> int:
    """Return a line of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def _peak_beyond_the_last(call: Callable[[], object]) -> int:
    """Return by how much `call` raises the largest resident set that the process ever had."""
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit
