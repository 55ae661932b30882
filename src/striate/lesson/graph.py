"""How much of a network the page can show: operations that it knows, not too large, not too slow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from striate.architectures.graph import CLOSED, INPUT, Node

KINDS = frozenset(
    (
        "conv2d",
        "linear",
        "batch_norm",
        "max_pool2d",
        "avg_pool2d",
        "adaptive_avg_pool2d",
        "adaptive_max_pool2d",
        "flatten",
        "dropout",
        "relu",
        "relu6",
        "leaky_relu",
        "gelu",
        "sigmoid",
        "tanh",
        "softmax",
        "log_softmax",
        "add",
        "concatenate",
    )
)
"""What `static/ops.js` computes."""


@dataclass(frozen=True)
class Cut:
    """Where the page stops, and why.

    Attributes:
        path: the first layer left out.
        reason: `unknown` (an operation), `closed` (operations that could not be followed), `weights` (too
            many) or `work` (too many multiply-adds).
        kind: of that layer.
        layers: how many are left out.
    """

    path: str
    reason: str
    kind: str
    layers: int


def cut_graph(nodes: Sequence[Node], max_values: int, max_work: int) -> tuple[list[Node], Cut | None]:
    """Return the first nodes, as far as the page can show them, and where it stops.

    Args:
        nodes: of the whole network.
        max_values: so many numbers of weights and buffers the page holds.
        max_work: so many multiply-adds it computes for one image.
    """
    values = work = 0
    for place, node in enumerate(nodes):
        values += node.weight_values
        work += node.multiply_adds
        reason = ""
        if node.kind == CLOSED:
            reason = CLOSED
        elif node.kind not in KINDS | {INPUT}:
            reason = "unknown"
        elif values > max_values:
            reason = "weights"
        elif work > max_work:
            reason = "work"
        if reason:
            return list(nodes[:place]), Cut(node.path, reason, node.kind, len(nodes) - place)
    return list(nodes), None
