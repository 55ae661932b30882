"""New last layers for a network that has a spec; torch-free."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from striate.architectures import Spec
from striate.architectures.layers import Dropout, Layer, Linear, ReLU
from striate.backbones.description import Head
from striate.errors import SpecError

HIDDEN, RELU, DROPOUT = "head_hidden", "head_hidden_relu", "head_dropout"


def with_head(spec: Spec, head: Head) -> Spec:
    """Return `spec` with a hidden layer, dropout or both before its last linear layer, or with one logit.

    Raises:
        SpecError: the network has no linear layer of its own at its end, or the head is of another kind.
    """
    if head == Head():
        return spec
    if head.base != "last":
        raise SpecError(
            f"{spec.name} is described layer by layer; --head {head.base} is for networks of torchvision. "
            "Write a net.yaml instead."
        )
    place = _place_of_last(spec)
    added: list[Layer] = []
    if head.hidden is not None:
        added += [Linear(head.hidden, name=HIDDEN), ReLU(name=RELU)]
    if head.dropout:
        added.append(Dropout(head.dropout, name=DROPOUT))
    changes: dict[str, Any] = {}
    last = spec.layers[place]
    if head.output == "logit" and spec.output != "logit":
        if spec.output != "logits":
            raise SpecError(f"{spec.name} puts out {spec.output}; --head-output logit is for nets of logits.")
        last, changes = replace(last, out_features=1), {"output": "logit"}  # type: ignore[call-arg]
    return replace(spec, layers=(*spec.layers[:place], *added, last, *spec.layers[place + 1 :]), **changes)


def without_options(spec: Spec) -> Spec:
    """Return `spec` without the hidden layer and the dropout that `with_head` adds."""
    added = (HIDDEN, RELU, DROPOUT)
    return replace(spec, layers=tuple(layer for layer in spec.layers if layer.name not in added))


def head_layers(spec: Spec) -> tuple[str, ...]:
    """Return the names of the layers that are the head: the last linear one, and those `with_head` adds.

    Raises:
        SpecError: the network has no linear layer of its own at its end.
    """
    last = spec.layers[_place_of_last(spec)].name
    names = (layer.name for layer in spec.layers)
    return tuple(name for name in names if name is not None and name in (HIDDEN, RELU, DROPOUT, last))


def _place_of_last(spec: Spec) -> int:
    places = [place for place, layer in enumerate(spec.layers) if isinstance(layer, Linear)]
    if not places:
        raise SpecError(f"{spec.name} has no linear layer at its end that could be replaced.")
    return places[-1]
