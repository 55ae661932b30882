"""A network as a flat list of nodes, each naming its inputs by their places.

Blocks are opened: a residual block ends in a node `add`, a parallel one in a node `concatenate`.
Node 0 is the image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from striate.architectures.arguments import both
from striate.architectures.blocks import Block, Parallel, Residual
from striate.architectures.layers import Conv2d, checks
from striate.architectures.pooling import AvgPool2d, MaxPool2d
from striate.architectures.shapes import Step

PAIRS = frozenset(("kernel_size", "stride", "padding", "dilation", "output_size"))
"""Arguments that are written as (rows, columns)."""

INPUT = "input"
CLOSED = "closed"
"""The kind of a single node that stands for operations which nobody could follow."""


@dataclass(frozen=True)
class Node:
    """One operation in its place.

    Attributes:
        path: name of the layer with those of the blocks around it; `residual1.add` where a block ends.
        kind: of the layer, or `input`, `add`, `concatenate`.
        args: of the operation, pairs written out.
        inputs: places of the nodes whose values it takes.
        shape: of what it puts out for one image.
        tensors: names of its weights and buffers, without the path.
        multiply_adds: for one image.
    """

    path: str
    kind: str
    args: dict[str, Any]
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    tensors: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    multiply_adds: int = 0

    @property
    def weight_values(self) -> int:
        """How many numbers its weights and buffers are."""
        return sum(prod(shape) for shape in self.tensors.values())


def build_graph(steps: Sequence[Step], input_shape: Sequence[int]) -> list[Node]:
    """Return the nodes of a network whose layers are `steps`, an input of (C, H, W) first."""
    nodes = [Node(INPUT, INPUT, {}, (), tuple(input_shape))]
    _append(nodes, steps, 0)
    return nodes


def _append(nodes: list[Node], steps: Sequence[Step], source: int) -> int:
    """Add the nodes of `steps`, which take the values of node `source`; return the place of the last."""
    for step in steps:
        source = _append_step(nodes, step, source)
    return source


def _append_step(nodes: list[Node], step: Step, source: int) -> int:
    if not isinstance(step.layer, Block):
        return _append_layer(nodes, step, source)
    ends = [_append(nodes, part, source) for part in step.parts.values()]
    if isinstance(step.layer, Residual):
        around = ends[1] if "shortcut" in step.parts else source
        return _add(nodes, Node(f"{step.path}.add", "add", {}, (ends[0], around), step.output_shape))
    if isinstance(step.layer, Parallel):
        return _add(
            nodes, Node(f"{step.path}.concatenate", "concatenate", {}, tuple(ends), step.output_shape)
        )
    return ends[0]


def _append_layer(nodes: list[Node], step: Step, source: int) -> int:
    buffers = {name: shape for name, shape in step.buffer_shapes.items() if shape}
    tensors = {**step.parameter_shapes, **buffers}
    return _add(
        nodes,
        Node(
            step.path,
            step.layer.kind,
            _arguments(step),
            (source,),
            step.output_shape,
            tensors,
            step.multiply_adds,
        ),
    )


def _add(nodes: list[Node], node: Node) -> int:
    nodes.append(node)
    return len(nodes) - 1


def _arguments(step: Step) -> dict[str, Any]:
    """The layer's arguments, with sides, pairs and the stride of a pooling written out."""
    layer: Any = step.layer
    args = {name: getattr(layer, name) for name in checks(type(layer)) if name != "init"}
    if isinstance(layer, Conv2d):
        args["sides"] = layer.sides()
        del args["padding"]
    if isinstance(layer, MaxPool2d | AvgPool2d) and layer.stride is None:
        args["stride"] = layer.kernel_size
    return {name: both(value) if name in PAIRS else value for name, value in args.items()}
