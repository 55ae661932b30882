"""The names under which a network's weights hold its head: what a head on features becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from striate.architectures import Spec
from striate.backbones.description import BackboneSpec
from striate.backbones.spec_heads import head_layers
from striate.errors import SpecError


def head_tensors(
    arrays: Mapping[str, Any], description: Spec | BackboneSpec, head_name: str = ""
) -> tuple[tuple[str, str], ...]:
    """Return the names of weight, (O, I) or (O, I, 1, 1), and bias, (O,), of each of the head's layers.

    Args:
        arrays: every weight and buffer by name, of a network with the description.
        description: its head has one layer with weights, or a hidden one before.
        head_name: of the head of a library's network.

    Raises:
        SpecError: a layer of the head has no bias.
    """
    owners = head_layers(description) if isinstance(description, Spec) else (head_name,)
    names = [name for owner in owners for name in arrays if name.startswith(f"{owner}.")]
    pairs = tuple(zip(names[::2], names[1::2], strict=False))
    if len(names) % 2 or any(arrays[bias].ndim != 1 or arrays[weight].ndim < 2 for weight, bias in pairs):
        raise SpecError(f"the head of {description.name} has a layer without a bias; choose --strategy head.")
    return pairs
