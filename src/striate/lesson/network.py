"""What the page holds of a trained network: its nodes, weights, class names and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from striate.architectures.graph import Node
from striate.bundle import BundleRecord
from striate.lesson.encoding import encode
from striate.lesson.graph import cut_graph
from striate.offline_page import printable

MAX_VALUES = 800_000
"""Numbers of weights and buffers that the page holds: 4.3 MB of text."""
MAX_WORK = 150_000_000
"""Multiply-adds that it computes for one picture."""


def network_data(
    nodes: Sequence[Node],
    output: str,
    record: BundleRecord,
    weights: Mapping[str, np.ndarray],
    pictures: Sequence[tuple[str, np.ndarray]],
    problems: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Return a network as plain values for the page.

    Args:
        nodes: all its operations, in the order of computing.
        output: what it puts out, of `striate.schemas.OUTPUTS`.
        record: of the bundle.
        weights: float32 by name; those of the nodes at least.
        pictures: name and uint8 (C, H, W) of each, as the network takes them before they are normalised.
        problems: name and reason of each picture that could not be read.
    """
    preprocess = record.preprocess
    kept, cut = cut_graph(nodes, MAX_VALUES, MAX_WORK)
    placed, values = _place_weights(kept, weights)
    return {
        "name": printable(record.name),
        "classes": [printable(name) for name in record.class_names],
        "output": output,
        "temperature": record.temperature,
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
        "fit": preprocess.fit,
        "permuted": preprocess.permute_pixels is not None,
        "nodes": placed,
        "values": encode(values.astype("<f4")),
        "pictures": [{"name": printable(name), "pixels": encode(pixels)} for name, pixels in pictures],
        "problems": [[printable(name), printable(reason)] for name, reason in problems],
        "classMap": None if cut else class_map_nodes(kept),
        "cut": cut and {"path": cut.path, "reason": cut.reason, "kind": cut.kind, "layers": cut.layers},
        "limits": {"weights": MAX_VALUES, "work": MAX_WORK},
    }


def class_map_nodes(nodes: Sequence[Node]) -> dict[str, int] | None:
    """Return where the last maps and the weights of the classes are, if nothing but their means counts.

    Source: Zhou et al. 2016, Learning Deep Features for Discriminative Localization, eq. 2.
    """
    place = len(nodes) - 1
    while nodes[place].kind in ("softmax", "log_softmax", "sigmoid"):
        place = nodes[place].inputs[0]
    head = place
    if nodes[head].kind != "linear":
        return None
    place = nodes[head].inputs[0]
    while nodes[place].kind in ("flatten", "dropout"):
        place = nodes[place].inputs[0]
    pooling = nodes[place]
    if pooling.kind != "adaptive_avg_pool2d" or pooling.args["output_size"] != (1, 1):
        return None
    return {"maps": pooling.inputs[0], "head": head}


def _place_weights(
    nodes: Sequence[Node], weights: Mapping[str, np.ndarray]
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """The nodes with each tensor's offset in one long row of numbers, and that row."""
    rows: list[np.ndarray] = []
    offset = 0
    placed = []
    for node in nodes:
        tensors = {}
        for name, shape in node.tensors.items():
            values = weights[f"{node.path}.{name}"].ravel()
            tensors[name] = {"offset": offset, "shape": list(shape)}
            rows.append(values)
            offset += len(values)
        placed.append(
            {
                "path": node.path,
                "kind": node.kind,
                "args": node.args,
                "inputs": list(node.inputs),
                "shape": list(node.shape),
                "tensors": tensors,
            }
        )
    return placed, np.concatenate(rows) if rows else np.empty(0, np.float32)
