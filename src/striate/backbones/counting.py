"""The layers of any torch module with shapes, parameters and multiply-adds. Imports torch.

Matrix products and convolutions are counted where torch computes them (`torch.utils.flop_counter`, half of
its FLOPs): so every call of a layer counts, weights that are used without a call of their layer, and the
products of attention. Biases of convolutions and linear layers are added, as our own networks count them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from striate.architectures.layers import Shape
from striate.architectures.summary import Row, Summary

OWN = "(network)"
"""In place of a name: what the network has and computes outside of its layers."""
BEYOND = (
    "Every call of a layer counts, and so do products outside of layers: those of attention, without biases."
)
BIASED = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


@dataclass(frozen=True)
class ModuleSummary(Summary):
    """The layers of a torch module on images of one size.

    Attributes:
        note: what else a reader must know; may be empty.
    """

    note: str = ""

    def table(self) -> str:
        """Return the summary as aligned text."""
        return "\n".join(filter(None, [super().table(), BEYOND, self.note]))

    def __str__(self) -> str:
        return self.table()


@dataclass
class _Seen:
    """What the calls of one module came to."""

    calls: int = 0
    shape: Shape = ()
    multiply_adds: int = 0


def count(
    network: nn.Module,
    input_shape: Sequence[int],
    run: Callable[[], object],
    *,
    name: str = "",
    output: str = "",
    note: str = "",
) -> ModuleSummary:
    """Return the layers of a network, by one run of it.

    Args:
        network: on any device; on `meta` nothing is computed.
        input_shape: (C, H, W) of the images.
        run: computes one image with the network, in evaluation mode.
        name: of the network; by default that of its class.
        output: what it puts out, for people; by default the shape of it.
        note: see `ModuleSummary`.
    """
    seen: dict[nn.Module, _Seen] = {}
    with _watched(network, seen):
        run()
    rows = tuple(_rows(network, seen))
    put_out = output or " x ".join(map(str, seen[network].shape if network in seen else ()))
    return ModuleSummary(name or type(network).__name__, put_out, tuple(input_shape), rows, note)


@contextmanager
def _watched(network: nn.Module, seen: dict[nn.Module, _Seen]) -> Iterator[None]:
    """Note what every module computes itself, without the modules that it calls, until the block ends."""
    flops = FlopCounterMode(display=False)
    open_calls: list[
        list[int]
    ] = []  # of each call that has not ended: FLOPs before it, FLOPs of calls inside

    def enter(module: nn.Module, _: object) -> None:
        open_calls.append([flops.get_total_flops(), 0])

    def leave(module: nn.Module, _: object, output: object) -> None:
        before, inside = open_calls.pop()
        whole = flops.get_total_flops() - before
        if open_calls:
            open_calls[-1][1] += whole
        one = seen.setdefault(module, _Seen())
        one.calls += 1
        one.shape = shape_of(output)
        one.multiply_adds += (whole - inside) // 2 + _biases(module, output)

    with ExitStack() as stack:
        for module in network.modules():
            stack.callback(module.register_forward_pre_hook(enter).remove)
            stack.callback(module.register_forward_hook(leave).remove)
        for parameter in network.parameters():  # torch's counter fails on views of those that are learned
            if not isinstance(parameter, nn.parameter.UninitializedParameter):
                stack.callback(parameter.requires_grad_, parameter.requires_grad)
                parameter.requires_grad_(False)
        stack.enter_context(_operations_open())
        stack.enter_context(flops)
        yield


@contextmanager
def _operations_open() -> Iterator[None]:
    """Compute attention and recurrent layers by the products that they are made of, until the block ends."""
    fast = torch.backends.mha.get_fastpath_enabled()
    libraries: tuple[Any, ...] = (torch.backends.mkldnn, torch.backends.cudnn)
    kernels = [(library, library.enabled) for library in libraries]
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        for library, _ in kernels:
            library.enabled = False
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for library, enabled in kernels:
            library.enabled = enabled


def _biases(module: nn.Module, output: object) -> int:
    """Return how many biases a call adds to one image's output; one image is computed."""
    if isinstance(module, BIASED) and module.bias is not None and isinstance(output, Tensor):
        return output.numel()
    return 0


def _rows(network: nn.Module, seen: dict[nn.Module, _Seen]) -> Iterator[Row]:
    counted: set[int] = set()
    for name, module in network.named_modules():
        one = seen.get(module, _Seen())
        own = [parameter for parameter in module.parameters(recurse=False) if id(parameter) not in counted]
        counted.update(map(id, own))
        parameters = sum(_size(parameter) for parameter in own)
        is_block = any(True for _ in module.children())
        if not name and is_block and not (parameters or one.multiply_adds):
            continue
        if one.calls or any(True for _ in module.parameters()):
            kind = type(module).__name__ + (f", {one.calls} calls" if one.calls > 1 else "")
            yield Row(name or OWN, kind, one.shape, parameters, one.multiply_adds, is_block)


def _size(parameter: nn.Parameter) -> int:
    """Return how many numbers it holds; 0 where a lazy layer that was never called has none yet."""
    return 0 if isinstance(parameter, nn.parameter.UninitializedParameter) else math.prod(parameter.shape)


def shape_of(output: Any) -> Shape:
    """Return the shape of one image's output; of several outputs, the first's."""
    while isinstance(output, tuple | list | dict) and output:
        output = next(iter(output.values() if isinstance(output, dict) else output))
    return tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
