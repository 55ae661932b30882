"""Finding a layer of any torch network: by name, by number, or as the last convolution. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from striate.errors import UserError
from striate.explain.arrangement import Arrangement, Grids, Normalisation
from striate.explain.naming import LayerCall, find_call, find_name
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


def find_layer_call(network: nn.Module, layer: str | int) -> LayerCall:
    """Return a layer, given as in `find_layer`, and which of its calls is meant: `relu #2`.

    Raises:
        UserError: there is no such layer.
    """
    return find_call(layer, layer_names(network))


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


def default_layer(network: nn.Module, input_shape: Sequence[int]) -> str:
    """Return the layer that maps look at unless another is named.

    That is `last_convolution`; of a network that goes on with tokens, as transformers do, `last_tokens`.

    Raises:
        UserError: the network has neither.
    """
    tokens = last_tokens(network, input_shape)
    if tokens is None:
        return last_convolution(network, input_shape)
    try:
        maps = last_convolution(network, input_shape)
    except UserError:
        return tokens
    order = [call.name for call in trace(network, input_shape)]
    return max(maps, tokens, key=lambda name: _last_place(order, name))


def _last_place(order: Sequence[str], name: str) -> int:
    return max(place for place, one in enumerate(order) if one == name)


def last_tokens(network: nn.Module, input_shape: Sequence[int]) -> str | None:
    """Return the last normalisation over tokens in a grid of which the classes' scores depend; None: no such.

    Behind the last attention of a network with a class token, all other tokens are without effect: there it
    is the normalisation before that attention.

    Args:
        network: any torch module.
        input_shape: (C, H, W).
    """
    norms = [(name, one) for name, one in network.named_modules() if isinstance(one, Normalisation)]
    if not norms:
        return None
    seen: list[tuple[str, Arrangement, Tensor]] = []
    grids = Grids.of(network, input_shape)
    example = next(network.parameters(), torch.empty(0))
    noise = torch.randn((1, *input_shape), generator=torch.Generator().manual_seed(0))
    with held(network), torch.inference_mode(False), torch.enable_grad(), ExitStack() as hooks:
        for name, module in norms:
            hooks.enter_context(hooked(module, _keeping(seen, name, grids)))
        raw = network(noise.to(example.device, example.dtype).requires_grad_())
        if not seen or not isinstance(raw, Tensor) or not raw.requires_grad:
            return None
        weights = torch.randn(raw.shape, generator=torch.Generator().manual_seed(1)).to(raw)
        seen = [one for one in seen if one[2].requires_grad]
        outputs = [values for _, _, values in seen]
        gradients = torch.autograd.grad((raw * weights).sum(), outputs, allow_unused=True)
    for (name, order, _), gradient in zip(reversed(seen), reversed(gradients), strict=True):
        if gradient is not None and order.to_maps(gradient).any():
            return name
    return None


def _keeping(seen: list[tuple[str, Arrangement, Tensor]], name: str, grids: Grids) -> Any:
    def keep(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        order = grids.arrangement(output.shape[1:])
        if len(output) == 1 and order is not None and order.kind != "maps":
            seen.append((name, order, output))
        return output.clone()  # an operation in place may follow

    return keep


def channels_of(network: nn.Module, input_shape: Sequence[int], layer: str) -> int:
    """Return how many maps a layer puts out; 0 where that is no tensor.

    Args:
        network: any torch module.
        input_shape: (C, H, W).
        layer: its name, with the number of a call or without.
    """
    name = find_layer_call(network, layer).name
    shape = next((call.shape for call in trace(network, input_shape) if call.name == name), (0,))
    order = Grids.of(network, input_shape).arrangement(shape)
    return shape[0] if order is None or order.kind == "maps" else shape[-1]


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
