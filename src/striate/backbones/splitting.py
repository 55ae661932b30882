"""A network in two: what makes features of images, and the head that makes logits of features."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from striate.architectures import Spec
from striate.backbones.spec_heads import head_layers
from striate.errors import SpecError

if TYPE_CHECKING:
    import torch


class Split(NamedTuple):
    """The two parts of a network; their weights are the network's own, not copies.

    Attributes:
        extractor: (N, C, H, W) to features (N, F).
        head: features (N, F) to what the network puts out, (N, K) or (N, 1).
    """

    extractor: torch.nn.Module
    head: torch.nn.Module


def split(network: torch.nn.Module) -> Split:
    """Return extractor and head of a torch network that this room built; the network stays as it is.

    In evaluation mode `head(extractor(images))` is `network(images)`.

    Raises:
        SpecError: its head works on feature maps, as SqueezeNet's does; `Head(base="average")` does not.
    """
    made: Any = network
    if isinstance(getattr(network, "spec", None), Spec):
        return _split_in_a_row(made, head_layers(made.spec)[0])
    from striate.backbones import heads

    place: str = made.head_name
    kept, head = _divide(network.get_submodule(place), made, place)
    extractor = _sharing_copy(network)
    heads.put(extractor, place, kept)
    return Split(extractor, head)


def _split_in_a_row(network: Any, first_of_head: str) -> Split:
    """Split a network of our own, whose layers follow one another."""
    from torch import nn

    children = list(network.named_children())
    place = [name for name, _ in children].index(first_of_head)
    before, after = OrderedDict(children[:place]), OrderedDict(children[place:])
    return Split(nn.Sequential(before), nn.Sequential(after))


def _divide(layers: torch.nn.Module, network: Any, place: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return what of the head's layers belongs to the features (pooling and flattening), and the others."""
    from torch import nn

    if isinstance(layers, nn.Sequential):
        named = list(layers.named_children())
        kept = [(name, layer) for name, layer in named if name in ("pool", "flatten")]
        others = nn.Sequential(OrderedDict(named[len(kept) :]))
        before = nn.Sequential(OrderedDict(kept)) if kept else nn.Identity()
    else:
        before, others = nn.Identity(), nn.Sequential(layers)
    if not any(isinstance(layer, nn.Conv2d) for layer in others):
        return before, others
    from striate.backbones.heads import shape_entering

    shape = shape_entering(network, place, network.input_shape)
    if math.prod(shape[1:]) != 1:
        raise SpecError(
            f"the head of {network.spec.name} works on feature maps of {shape[1]} x {shape[2]}, so it has no "
            "features in a row; choose --head average."
        )
    return before, nn.Sequential(nn.Unflatten(1, shape), *others, nn.Flatten())


def _sharing_copy(network: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of the modules whose parameters and buffers are those of `network`."""
    tensors = (*network.parameters(), *network.buffers())
    return copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
