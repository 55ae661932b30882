"""From a name to a network that runs, on one engine or another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from striate.architectures.registry import load_spec
from striate.architectures.spec import Spec
from striate.architectures.weights import initial_weights
from striate.errors import SpecError, unknown_name

if TYPE_CHECKING:
    from striate.architectures.to_torch import Network as TorchNetwork
    from striate.engine import Network

ENGINES = ("torch", "numpy", "cupy")
"""What computes a network: PyTorch, or the glass box on the CPU or on a GPU."""


@overload
def build(
    spec_or_name: Spec | str,
    input_shape: Sequence[int],
    num_classes: int,
    engine: Literal["torch"] = "torch",
    *,
    seed: int = 0,
    **options: object,
) -> TorchNetwork: ...
@overload
def build(
    spec_or_name: Spec | str,
    input_shape: Sequence[int],
    num_classes: int,
    engine: Literal["numpy", "cupy"],
    *,
    seed: int = 0,
    **options: object,
) -> Network: ...
def build(
    spec_or_name: Spec | str,
    input_shape: Sequence[int],
    num_classes: int,
    engine: str = "torch",
    *,
    seed: int = 0,
    **options: object,
) -> TorchNetwork | Network:
    """Return a network with initial weights, which depend on the seed and not on the engine.

    Args:
        spec_or_name: a spec, a name of the zoo or the path of a YAML file.
        input_shape: (C, H, W) of the images.
        num_classes: at least 2.
        engine: one of `ENGINES`. `numpy` never imports torch.
        seed: of the initial weights.
        options: of a zoo net.

    Raises:
        SpecError: no such net or option, or it cannot work on such images.
        UserError: `cupy` without CuPy or without a GPU.
    """
    if isinstance(spec_or_name, Spec) and options:
        raise TypeError("options belong to a net's name; a Spec has none.")
    spec = spec_or_name if isinstance(spec_or_name, Spec) else load_spec(spec_or_name, options)
    weights = initial_weights(spec, input_shape, num_classes, seed)
    network: TorchNetwork | Network = assemble(spec, input_shape, num_classes, weights, engine)
    return network


def assemble(
    spec: Spec,
    input_shape: Sequence[int],
    num_classes: int,
    weights: Mapping[str, np.ndarray],
    engine: str = "torch",
) -> Any:
    """Return the network that `spec` describes with given `weights` (all of them, by name) on an engine.

    Raises:
        SpecError: no such engine, or the parts do not fit one another.
    """
    if engine not in ENGINES:
        raise SpecError(unknown_name("engine", engine, ENGINES))
    if engine == "torch":
        from striate.architectures.to_torch import to_torch

        return to_torch(spec, input_shape, num_classes, weights)
    from striate.architectures.to_engine import to_engine

    network = to_engine(spec, input_shape, num_classes, weights)
    if engine == "cupy":
        from striate.engine.backend import library

        network.map_arrays(library("cupy").asarray)
    return network
