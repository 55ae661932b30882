"""Finding a layer of any torch network: by name, by number, or as the last convolution. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from striate.errors import UserError
from striate.explain.naming import find_name
from striate.explain.subject import held, hooked


class Call(NamedTuple):
    """A module that computed: its name, the module, and the shape of what it put out for one image."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]


def layer_names(network: nn.Module) -> list[str]:
    """Return the names of all layers and blocks, in torch's order; a layer's number is its place here."""
    return [name for name, _ in network.named_modules() if name]


def find_layer(network: nn.Module, layer: str | int) -> str:
    """Return the name of a layer.

    Args:
        network: any torch module.
        layer: its name, or its number in `layer_names`, from the end if negative; a number may be text.

    Raises:
        UserError: there is no such layer; the text lists them, the nearest first.
    """
    return find_name(layer, layer_names(network))


def trace(network: nn.Module, input_shape: Sequence[int]) -> list[Call]:
    """Return what each module puts out for one blank image, in the order in which they finish.

    Args:
        network: any torch module.
        input_shape: (C, H, W).
    """
    calls: list[Call] = []
    example = next(network.parameters(), torch.empty(0))
    blank = torch.zeros((1, *input_shape), device=example.device)
    with held(network), torch.no_grad(), ExitStack() as hooks:
        for name, module in network.named_modules():
            hooks.enter_context(hooked(module, _noting(calls, name)))
        network(blank)
    return calls


def last_convolution(network: nn.Module, input_shape: Sequence[int]) -> str:
    """Return the layer that holds what the last convolution found, after its normalisation and activation.

    That is the last one to put out maps of the same size and number as the last convolution whose maps are
    larger than one value. Of a residual block it is the whole block, with what its shortcut added; of joined
    branches it is the block around them, with the maps of all.

    Raises:
        UserError: the network has no convolution that puts out maps.
    """
    calls = trace(network, input_shape)
    places = [
        place for place, call in enumerate(calls) if is_convolution(call.module) and _is_map(call.shape)
    ]
    if not places:
        raise UserError(
            "the network has no convolution whose maps could be shown. Choose a method that looks at the "
            "input: input-gradients, integrated-gradients or occlusion."
        )
    found = calls[places[-1]]
    rest = calls[places[-1] + 1 :]
    while rest:
        place = next((place for place, call in enumerate(rest) if _carries_on(call, found, place)), None)
        if place is None:
            break
        found, rest = rest[place], rest[place + 1 :]
    return found.name


def is_convolution(module: nn.Module) -> bool:
    """Return whether `module` is a convolution over two dimensions."""
    return isinstance(module, nn.Conv2d)


def _carries_on(call: Call, found: Call, between: int) -> bool:
    """Return whether a later call still shows all the maps of `found`, `between` other calls after it.

    A call right after it does if the shape is the same; a block around it also if others' maps come in.
    """
    if not call.name:
        return False
    if between == 0 and call.shape == found.shape:
        return True
    around = found.name.startswith(f"{call.name}.")
    return around and call.shape[1:] == found.shape[1:] and call.shape[0] >= found.shape[0]


def _noting(calls: list[Call], name: str) -> Any:
    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            calls.append(Call(name, module, tuple(output.shape[1:])))

    return note


def _is_map(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[1] * shape[2] > 1
