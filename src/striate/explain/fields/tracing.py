"""Receptive fields of any torch network, by following every operation that it really does. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from striate.errors import UserError
from striate.explain.fields import layout as axes
from striate.explain.fields.field import Field
from striate.explain.fields.operations import ATTENTION, RULES, Tracked, element_wise
from striate.explain.fields.rearranging import REARRANGING, joined
from striate.explain.fields.result import LayerField, ReceptiveFields
from striate.explain.subject import held

_ALL_RULES = RULES | REARRANGING
_ELEMENT_WISE = {"hardswish", "_prelu_kernel", "rsub", "log_sigmoid_forward", "native_dropout"}
"""Those that torch has not tagged so."""
_PRODUCTS = {"mm", "addmm", "bmm", "baddbmm"}


def fields_of_module(
    network: nn.Module, input_shape: Sequence[int], *, name: str | None = None
) -> ReceptiveFields:
    """Return the receptive field of every layer of a torch network, over all paths.

    One blank image goes through the network in evaluation mode, and each operation is followed. A network on
    the device "meta" computes nothing. Its mode, gradients and hooks are as before, also after an error.

    Args:
        network: takes images (N, C, H, W).
        input_shape: (C, H, W).
        name: of the network; by default that of its class.

    Raises:
        UserError: the network cannot work on such images.
    """
    parameter = next(network.parameters(), torch.empty(0))
    images = torch.zeros((1, *input_shape), dtype=parameter.dtype, device=parameter.device)
    follower = _Follower(images)
    layers: list[LayerField] = []
    with held(network), torch.no_grad(), _watched(network, follower, layers), follower:
        try:
            network(images)
        except (
            RuntimeError,
            ValueError,
            TypeError,
            IndexError,
            NotImplementedError,
            AssertionError,
        ) as error:
            raise UserError(
                f"the network cannot work on images of {tuple(input_shape)}: {str(error).splitlines()[0]}. "
                "Give the shape (channels, height, width) that it was made for."
            ) from error
    return ReceptiveFields(name or type(network).__name__, tuple(input_shape), tuple(layers))


class _Follower(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Knows of every tensor what it sees of the images, while the mode is on.

    Attributes:
        known: by the tensor's id; the tensor is kept, so that no other gets its id.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known: dict[int, tuple[Tensor, Tracked]] = {}
        self._keep(images, Tracked(Field(), axes.of_images(images.shape)))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = _by_name(func, args, kwargs or {})
        operands = [self.known[id(value)][1] for value in _tensors(given) if id(value) in self.known]
        if operands:
            for tensor in _tensors({"": result}):
                self._keep(tensor, self._follow(func, operands, given, tensor))
        return result

    def of(self, tensor: Tensor) -> Tracked | None:
        """Return what is known of a tensor; None: it does not depend on the images."""
        entry = self.known.get(id(tensor))
        return None if entry is None else entry[1]

    def _keep(self, tensor: Tensor, tracked: Tracked) -> None:
        self.known[id(tensor)] = (tensor, tracked)

    def _follow(self, func: Any, operands: list[Tracked], given: dict[str, Any], result: Tensor) -> Tracked:
        """Return what the result of an operation sees."""
        name = _name(func)
        found = self._apply(name, func, operands, given | {"operation": name}, result)
        if found is not None and axes.lengths(found.layout) == tuple(result.shape):
            return found
        everything = operands[0]
        return everything.whole(f"the operation {name}, which is not followed", result.shape)

    def _apply(
        self, name: str, func: Any, operands: list[Tracked], given: dict[str, Any], result: Tensor
    ) -> Tracked | None:
        if name in _PRODUCTS and len(operands) > 1:
            return operands[0].whole(ATTENTION, result.shape)
        if name in ("cat", "stack"):
            return joined(operands, given, result, stacked=name == "stack")
        rule = _ALL_RULES.get(name)
        if rule is not None:
            given["tracked"] = lambda value: id(value) in self.known
            follows = len(operands) == 1 or name.startswith("_scaled_dot")
            return rule(operands[0], given, result) if follows else None
        if torch.Tag.pointwise in func.tags or name in _ELEMENT_WISE:
            return element_wise(operands, result)
        return None


@contextmanager
def _watched(network: nn.Module, follower: _Follower, layers: list[LayerField]) -> Iterator[None]:
    """Note what every module puts out, until the block ends; further calls of one get a number."""
    counts: dict[str, int] = {}

    def note(name: str, module: nn.Module, output: Any) -> None:
        tracked = follower.of(output) if isinstance(output, Tensor) else None
        if tracked is None or not name:
            return
        counts[name] = counts.get(name, 0) + 1
        shown = name if counts[name] == 1 else f"{name} #{counts[name]}"
        layers.append(LayerField(shown, type(module).__name__, tuple(output.shape[1:]), tracked.field))

    with ExitStack() as hooks:
        for name, module in network.named_modules():
            handle = module.register_forward_hook(
                lambda module, inputs, output, name=name: note(name, module, output)
            )
            hooks.callback(handle.remove)
        yield


def _name(func: Any) -> str:
    """Return the name of an operation without `aten::` and without the mark of those in place."""
    name = func._schema.name.partition("::")[2]
    return str(name[:-1] if name.endswith("_") and not name.endswith("__") else name)


def _by_name(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of an operation by name, defaults among them."""
    schema = func._schema.arguments
    given = {one.name: one.default_value for one in schema if one.has_default_value()}
    return given | {one.name: value for one, value in zip(schema, args, strict=False)} | kwargs


def _tensors(values: dict[str, Any]) -> Iterator[Tensor]:
    """Yield all tensors among values, those in lists too."""
    for value in values.values():
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from (one for one in value if isinstance(one, Tensor))
