"""The parameters of a network in their order: what freezing strategies look at. Torch-free.

A network's *parts* are what learns at one rate and is unfrozen together: its modules from the first to the
last, each as small as it has to be to hold no more than a fifth of the tensors. A module that was divided is
a part once more where it holds tensors itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from striate.architectures import Spec, infer_shapes, walk
from striate.architectures.layers import BatchNorm
from striate.backbones.spec_heads import head_layers

if TYPE_CHECKING:
    import torch

LARGEST_PART = 0.2
"""Share of the tensors that a part holds at most, unless it has nothing inside to be divided by."""
_NORM_KINDS = ("BatchNorm", "LayerNorm", "GroupNorm", "RMSNorm", "InstanceNorm", "FrozenBatchNorm")


@dataclass(frozen=True)
class ParameterTensor:
    """A tensor that can learn.

    Attributes:
        name: with those of the modules around it, `layer1.0.conv1.weight`.
        shape: as in torch.
        head: it belongs to the new last layers.
        norm: it belongs to a normalisation layer.
    """

    name: str
    shape: tuple[int, ...]
    head: bool
    norm: bool

    @property
    def module(self) -> str:
        """Name of the module that owns it."""
        return self.name.rpartition(".")[0]

    @property
    def count(self) -> int:
        """How many parameters it holds."""
        return prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """The parameters of a network.

    Attributes:
        name: of the network.
        tensors: in the order of the network.
        modules: names of all modules, a module before those inside it, in the order of the network.
    """

    name: str
    tensors: tuple[ParameterTensor, ...]
    modules: tuple[str, ...]

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts before the head, from the input on; see the head of this file."""
        owners = [tensor.module for tensor in self.tensors if not tensor.head]
        return _divide(owners, "", LARGEST_PART * len(self.tensors))

    def part_of(self, tensor: ParameterTensor) -> int:
        """Return the position of the part that `tensor` belongs to; the head comes after the last."""
        if tensor.head:
            return len(self.parts)
        around = [part for part in self.parts if _within(tensor.module, part)]
        return self.parts.index(max(around, key=len))


def layout_of(network: torch.nn.Module) -> Layout:
    """Return the layout of a torch network that `backbones.building` or `architectures` built."""
    if isinstance(getattr(network, "spec", None), Spec):
        made: Any = network
        return layout_of_spec(made.spec, made.input_shape, made.num_classes)
    described: Any = network
    owners = dict(network.named_modules())
    tensors = []
    for name, parameter in network.named_parameters():
        module = name.rpartition(".")[0]
        tensors.append(
            ParameterTensor(
                name,
                tuple(parameter.shape),
                head=_within(module, described.head_name),
                norm=any(kind in type(owners[module]).__name__ for kind in _NORM_KINDS),
            )
        )
    return Layout(described.spec.name, tuple(tensors), tuple(name for name in owners if name))


def layout_of_spec(spec: Spec, input_shape: Sequence[int], num_classes: int) -> Layout:
    """Return the layout of the network that `spec` describes."""
    head = head_layers(spec)
    steps = list(walk(infer_shapes(spec, input_shape, num_classes)))
    tensors = tuple(
        ParameterTensor(f"{step.path}.{tensor}", shape, step.path in head, isinstance(step.layer, BatchNorm))
        for step in steps
        for tensor, shape in step.parameter_shapes.items()
    )
    return Layout(spec.name, tensors, tuple(step.path for step in steps))


def _divide(owners: Sequence[str], prefix: str, largest: float) -> tuple[str, ...]:
    """Return the parts that the modules `owners`, all within `prefix`, fall into, in their order."""
    parts: list[str] = []
    for child, count in Counter(_child(owner, prefix) for owner in owners).items():
        inside = [owner for owner in owners if _child(owner, prefix) == child]
        whole = child == prefix or count <= largest or set(inside) == {child}
        parts += [child] if whole else _divide(inside, child, largest)
    return tuple(parts)


def _child(owner: str, prefix: str) -> str:
    """Return the name of the module directly within `prefix` that holds `owner`; or `prefix` itself."""
    if owner == prefix:
        return prefix
    rest = owner[len(prefix) + 1 :] if prefix else owner
    first = rest.partition(".")[0]
    return f"{prefix}.{first}" if prefix else first


def _within(module: str, name: str) -> bool:
    return not name or module == name or module.startswith(f"{name}.")
