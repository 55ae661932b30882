"""Runs the page's JavaScript in Node, and the shapes on which it is held against the engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from striate.architectures.graph import Node

CONVOLUTIONS = [  # channels in, out, height, width, kernel, stride, sides, dilation, groups, bias
    (1, 1, 5, 5, (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1, True),
    (3, 4, 9, 7, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, True),
    (4, 6, 10, 11, (2, 3), (2, 3), ((0, 1), (2, 0)), (1, 1), 2, False),
    (4, 4, 12, 9, (3, 3), (2, 2), ((2, 2), (2, 2)), (2, 2), 4, True),
    (6, 3, 8, 13, (1, 5), (1, 2), ((0, 0), (4, 4)), (1, 3), 3, True),
    (2, 5, 6, 6, (7, 7), (3, 3), ((3, 3), (3, 3)), (1, 1), 1, False),
    (5, 2, 7, 7, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1, True),
]
POOLINGS = [  # height, width, kernel, stride, padding, ceil_mode
    (8, 8, (2, 2), (2, 2), (0, 0), False),
    (9, 7, (3, 2), (2, 2), (1, 1), False),
    (9, 8, (3, 3), (2, 2), (1, 1), True),
    (7, 10, (2, 3), (3, 2), (0, 1), True),
]


def node() -> str:
    path = shutil.which("node")
    if path is None:
        reason = "needs Node.js: no `node` is on the path"
        if os.environ.get("STRIATE_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def run_script(name: str, *arguments: Path) -> str:
    """What a script of this folder writes."""
    command = [node(), Path(__file__).with_name(name), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_tensor(array: np.ndarray) -> dict:
    return {"shape": list(array.shape), "data": array.astype(float).ravel().tolist()}


def compute(cases: list[dict], folder: Path) -> list[np.ndarray]:
    """What ops.js makes of the cases, in one run of Node."""
    file = folder / "cases.json"
    file.write_text(json.dumps(cases))
    with resources.as_file(resources.files("striate.lesson") / "static" / "ops.js") as ops:
        done = run_script("run_ops.js", ops, file)
    return [np.array(out["data"], np.float32).reshape(out["shape"]) for out in json.loads(done)]


def as_node(one: Node, weights: dict[str, np.ndarray]) -> dict:
    own = {name: as_tensor(weights[f"{one.path}.{name}"]) for name in one.tensors}
    return {"kind": one.kind, "inputs": one.inputs, "args": one.args, "weights": own}
