"""From a name to a network that runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.architectures.registry import load_spec
from striate.architectures.spec import Spec
from striate.architectures.weights import initial_weights

if TYPE_CHECKING:
    from striate.architectures.to_torch import Network


def build(
    spec_or_name: Spec | str,
    input_shape: Sequence[int],
    num_classes: int,
    *,
    seed: int = 0,
    **options: object,
) -> Network:
    """Return a torch network with initial weights.

    Args:
        spec_or_name: a spec, a name of the zoo or the path of a YAML file.
        input_shape: (C, H, W) of the images.
        num_classes: at least 2.
        seed: of the initial weights.
        options: of a zoo net.

    Raises:
        SpecError: no such net or option, or it cannot work on such images.
    """
    from striate.architectures.to_torch import to_torch

    if isinstance(spec_or_name, Spec) and options:
        raise TypeError("options belong to a net's name; a Spec has none.")
    spec = spec_or_name if isinstance(spec_or_name, Spec) else load_spec(spec_or_name, options)
    return to_torch(spec, input_shape, num_classes, initial_weights(spec, input_shape, num_classes, seed))
