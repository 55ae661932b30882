"""The names under which a network's weights hold its head: what a head on features becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from striate.architectures import Spec
from striate.backbones.description import BackboneSpec
from striate.backbones.spec_heads import head_layers
from striate.errors import SpecError


def head_tensors(network: Any, description: Spec | BackboneSpec) -> tuple[tuple[str, str], ...]:
    """Return the names of weight, (O, I) or (O, I, 1, 1), and bias, (O,), of each of the head's layers.

    Args:
        network: that was built from the description, of torch or of the engine.
        description: its head has one layer with weights, or a hidden one before.

    Raises:
        SpecError: a layer of the head has no bias.
    """
    arrays: Mapping[str, Any] = network.state_dict()
    owners = head_layers(description) if isinstance(description, Spec) else (network.head_name,)
    names = [name for owner in owners for name in arrays if name.startswith(f"{owner}.")]
    pairs = tuple(zip(names[::2], names[1::2], strict=False))
    if len(names) % 2 or any(arrays[bias].ndim != 1 or arrays[weight].ndim < 2 for weight, bias in pairs):
        raise SpecError(f"the head of {description.name} has a layer without a bias; choose --strategy head.")
    return pairs
