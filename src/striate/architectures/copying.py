"""Weights from one engine to another, without loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.architectures.weights import check_weights


def copy_weights(source: Any, target: Any) -> None:
    """Copy all weights and buffers of `source` into `target`, whichever engine either runs on.

    float32 and int64 values arrive as they were, to the bit.

    Args:
        source: a network of any engine.
        target: a network of any engine, built from the same spec.

    Raises:
        SpecError: the two do not have the same weights; `target` is as before.
    """
    from striate.engine.network import Network  # here: most commands copy nothing, and it takes 0.2 s

    weights = read_weights(source)
    if isinstance(target, Network):
        check_weights(weights, {name: array.shape for name, array in target.state_dict().items()})
        target.load_state_dict(weights)
    else:
        from striate.architectures import to_torch

        to_torch.load_weights(target, weights)


def read_weights(network: Any) -> dict[str, np.ndarray]:
    """Return copies of all weights and buffers of a network of any engine by name, on the host."""
    from striate.engine.network import Network

    if isinstance(network, Network):
        return network.state_dict()
    from striate.architectures import to_torch

    return to_torch.read_weights(network)
