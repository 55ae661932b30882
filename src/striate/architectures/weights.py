"""Initial weights, drawn once in NumPy and then copied to whichever engine runs the network."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np

from striate.architectures.layers import Conv2d, Linear, Shape
from striate.architectures.shapes import Step, infer_shapes, walk
from striate.architectures.spec import Spec
from striate.errors import SpecError


def initial_weights(
    spec: Spec, input_shape: Sequence[int], num_classes: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return fresh weights and buffers by name, `<layer path>.<tensor>`, in the order of torch's state_dict.

    Each tensor has a random stream of its own, derived from the seed and its name, so that a layer more or
    less leaves the others as they are. Convolutions and linear layers follow their `init`:

    - `torch`: weight and bias uniform within +-1 / sqrt(fan_in), torch's default;
    - `identity`: as `torch`, but the first kernels hand on one channel each: 1 in the centre of channel i of
      kernel i, 0 elsewhere (Zagoruyko and Komodakis 2017, DiracNets, eq. 3); no bias there;
    - `he`: weight normal with deviation sqrt(2 / fan_in) (He et al. 2015, eq. 10), bias zero;
    - `{normal: s}`: weight normal with deviation s, bias zero.

    Args:
        spec: the network.
        input_shape: (C, H, W).
        num_classes: at least 2.
        seed: at least 0.

    Returns:
        float32 arrays; int64 () for `num_batches_tracked`.
    """
    steps = infer_shapes(spec, input_shape, num_classes)
    drawn: dict[str, np.ndarray] = {}
    for step in walk(steps):
        for tensor, shape in {**step.parameter_shapes, **step.buffer_shapes}.items():
            name = f"{step.path}.{tensor}"
            drawn[name] = _initial_tensor(step, tensor, shape, _generator(seed, name))
    return drawn


def weight_shapes(spec: Spec, input_shape: Sequence[int], num_classes: int) -> dict[str, Shape]:
    """Return the shape of every weight and buffer by name, without drawing any."""
    steps = infer_shapes(spec, input_shape, num_classes)
    return {
        f"{step.path}.{tensor}": shape
        for step in walk(steps)
        for tensor, shape in {**step.parameter_shapes, **step.buffer_shapes}.items()
    }


def check_weights(weights: Mapping[str, np.ndarray], expected: Mapping[str, Shape]) -> None:
    """Refuse `weights` that are not exactly those `expected` (see `weight_shapes`).

    Raises:
        SpecError: one is missing, too many or of another shape; names the first.
    """
    missing = [name for name in expected if name not in weights]
    if missing:
        raise SpecError(
            f"the weights do not fit the network: {missing[0]} is missing ({len(missing)} in all)."
        )
    extra = [name for name in weights if name not in expected]
    if extra:
        raise SpecError(
            f"the weights do not fit the network: it has no {extra[0]} ({len(extra)} such in all)."
        )
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            came = tuple(weights[name].shape)
            raise SpecError(f"the weights do not fit the network: {name} is {came}; expected {shape}.")


def _generator(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.sha256(name.encode("utf-8")).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:16], "little")])


def _initial_tensor(step: Step, tensor: str, shape: Shape, generator: np.random.Generator) -> np.ndarray:
    layer = step.layer
    if isinstance(layer, Conv2d | Linear):
        fan_in = math.prod(step.parameter_shapes["weight"][1:])
        return _draw(layer, tensor, shape, fan_in, generator)
    if tensor == "num_batches_tracked":
        return np.zeros((), np.int64)
    return np.full(shape, 1 if tensor in ("weight", "running_var") else 0, np.float32)


def _draw(
    layer: Conv2d | Linear, tensor: str, shape: Shape, fan_in: int, generator: np.random.Generator
) -> np.ndarray:
    if layer.init in ("torch", "identity"):
        bound = 1 / math.sqrt(fan_in)
        uniform = generator.uniform(-bound, bound, shape).astype(np.float32)
        return _with_identity(uniform) if layer.init == "identity" else uniform
    if tensor == "bias":
        return np.zeros(shape, np.float32)
    deviation = math.sqrt(2 / fan_in) if isinstance(layer.init, str) else layer.init["normal"]
    return (deviation * generator.standard_normal(shape)).astype(np.float32)


def _with_identity(values: np.ndarray) -> np.ndarray:
    """Let output i hand on input i, for as many as both have; `values` is a weight or a bias."""
    both = min(values.shape[0], values.shape[1]) if values.ndim > 1 else values.shape[0]
    values[:both] = 0
    if values.ndim > 1:
        centre = tuple(side // 2 for side in values.shape[2:])
        for unit in range(both):
            values[(unit, unit, *centre)] = 1
    return values
