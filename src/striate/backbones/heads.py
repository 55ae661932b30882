"""Finding and replacing the last layers of a library's network. Imports torch.

The last layer is the linear layer, or the 1x1 convolution, that puts out one number for each class that the
library built the network for. It is found by that alone, so that networks need no list of names.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import nn

from striate.backbones.description import Head
from striate.errors import SpecError


class Place(NamedTuple):
    """Where new last layers go.

    Attributes:
        name: of the module that they replace: `fc`, `classifier.6`, `classifier`.
        pooling: name of the module between feature maps and head that gives way too, or None.
        layer: the network's own last layer.
    """

    name: str
    pooling: str | None
    layer: nn.Linear | nn.Conv2d


def find(network: nn.Module, outputs: int, head: Head) -> Place:
    """Return what new last layers replace.

    Args:
        network: as its library builds it.
        outputs: how many numbers it puts out.
        head: `base` counts.

    Raises:
        SpecError: there is no single last layer, or no feature maps before it that could be flattened.
    """
    found = {name: module for name, module in network.named_modules() if _puts_out(module, outputs)}
    if len(found) != 1:
        places = f": {', '.join(found)}" if found else ""
        raise SpecError(
            f"this network has {len(found)} last layers with {outputs} outputs{places}; "
            "only one with a single last layer can get a new head. Choose another --model."
        )
    ((name, layer),) = found.items()
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    if head.base == "last":
        return Place(name, None, layer)
    child = name.split(".")[0]
    return Place(child, _pooling_before(network, child, head), layer)


def replace(network: nn.Module, place: Place, head: Head, features: int, outputs: int) -> None:
    """Put new last layers into their place; they are drawn from torch's global generator.

    One layer alone where nothing else is asked for; else `hidden`, `relu`, `dropout` and `linear` in a row.
    Behind `average` and `flatten`, what stands in the place of the pooling comes before.

    Args:
        network: as its library builds it; changed.
        place: what `find` returned.
        head: which layers.
        features: values that enter; channels, for a 1x1 convolution.
        outputs: numbers that come out.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if head.base != "last":
        pooling = nn.AdaptiveAvgPool2d(1) if head.base == "average" else nn.Identity()
        if place.pooling is not None:
            put(network, place.pooling, pooling)
        else:
            layers["pool"] = pooling
        layers["flatten"] = nn.Flatten()
    convolves = head.base == "last" and isinstance(place.layer, nn.Conv2d)
    if head.hidden is not None:
        layers["hidden"] = _layer(convolves, features, head.hidden)
        layers["relu"] = nn.ReLU()
    if head.dropout:
        layers["dropout"] = nn.Dropout(head.dropout)
    layers["linear"] = _layer(convolves, head.hidden or features, outputs)
    put(network, place.name, layers["linear"] if len(layers) == 1 else nn.Sequential(layers))


def put(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` into the place called `name`."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


def shape_entering(network: nn.Module, name: str, input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape, for one image, of what enters the module called `name`; the modes are left alone.

    Args:
        network: on any device, `meta` being the quickest.
        name: of one of its modules.
        input_shape: (C, H, W) of the images.
    """
    seen: list[tuple[int, ...]] = []
    hook = network.get_submodule(name).register_forward_pre_hook(
        lambda _, inputs: seen.append(tuple(inputs[0].shape[1:]))
    )
    try:
        run_once(network, input_shape)
    finally:
        hook.remove()
    return seen[0]


def run_once(network: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Compute one image of zeros in evaluation mode; the modes are left as they were."""
    modes = {module: module.training for module in network.modules()}
    like = next((one for one in network.parameters() if one.is_floating_point()), torch.empty(0))
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *input_shape, device=like.device, dtype=like.dtype))
    finally:
        for module, training in modes.items():
            module.training = training


def _puts_out(module: nn.Module, outputs: int) -> bool:
    if isinstance(module, nn.Linear):
        return module.out_features == outputs
    return isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.out_channels == outputs


def _pooling_before(network: nn.Module, child: str, head: Head) -> str | None:
    """Return the pooling that stands before `child`; None if `child` holds it itself, as in SqueezeNet."""
    if isinstance(getattr(network, "avgpool", None), nn.Module):
        return "avgpool"
    if any(isinstance(module, nn.AdaptiveAvgPool2d) for module in network.get_submodule(child).modules()):
        return None
    raise SpecError(
        f"this network's feature maps are not pooled by a layer of their own, so its head cannot be put on "
        f"them: expected --head last, not {head.base}."
    )


def _layer(convolves: bool, inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 1) if convolves else nn.Linear(inputs, outputs)
