"""The names under which a network's weights hold its last layer: what a linear head on features becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from striate.architectures import Spec
from striate.backbones.description import BackboneSpec
from striate.backbones.spec_heads import head_layers
from striate.errors import SpecError


def last_layer(network: Any, description: Spec | BackboneSpec) -> tuple[str, str]:
    """Return the names of the last layer's weight, (K, F) or (K, F, 1, 1), and bias, (K,).

    Args:
        network: that was built from the description, of torch or of the engine.
        description: with a plain head: one layer.

    Raises:
        SpecError: the head has more than one layer with weights, or one without a bias.
    """
    owner = head_layers(description)[-1] if isinstance(description, Spec) else network.head_name
    arrays: Mapping[str, Any] = network.state_dict()
    names = [name for name in arrays if name.startswith(f"{owner}.")]
    if len(names) != 2 or arrays[names[1]].ndim != 1:
        raise SpecError(
            f"the head of {description.name} is not one linear layer with a bias; choose --strategy head."
        )
    return names[0], names[1]
