"""One contender of a race, in a process of its own: `python -m striate.workflows.contender FOLDER NAME`.

It says that it is ready, then answers each line of its standard input with a line of JSON: `first` computes
everything once, compares it with the reference and measures the memory; `turn` measures the time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from striate.allocator import tune
from striate.engine import blas, parallel, race
from striate.engine.algorithms import Geometry

TORCH, TORCH_LAST = "torch", "torch-channels-last"
"""Contenders that are not ours: torch in its usual layout, and with the channels of a pixel side by side."""

Pair = tuple[Callable[[], Any], Callable[[], Any]]
"""Functions that compute the output, and the gradients of x, weight and bias."""


def save_task(folder: Path, geometry: Geometry, dtype: str, threads: int) -> None:
    """Write what all contenders are to compute, and what shall come out."""
    inputs = race.draw(geometry, dtype)
    expected = dict(zip(race.RESULTS, race.reference(inputs, geometry), strict=True))
    for name, arrays in (("inputs", inputs._asdict()), ("reference", expected)):
        np.savez(folder / f"{name}.npz", allow_pickle=False, **arrays)
    task = {"geometry": asdict(geometry), "threads": threads}
    (folder / "task.json").write_text(json.dumps(task), encoding="ascii")


def main(folder: Path, name: str) -> None:
    """Answer until the input ends."""
    task = json.loads((folder / "task.json").read_text(encoding="ascii"))
    geometry = Geometry(**{key: _tuple(value) for key, value in task["geometry"].items()})
    with np.load(folder / "inputs.npz") as arrays:
        inputs = race.Inputs(**arrays)
    tune()
    pair = _torch(inputs, geometry, name, task["threads"]) if name in (TORCH, TORCH_LAST) else None
    if pair is None:
        parallel.set_threads(task["threads"])
        pair = _engine(inputs, geometry, name)
    _say(ready=True, blas=blas.kernel())
    for line in sys.stdin:
        try:
            _say(**(_first(pair, folder) if line.strip() == "first" else _turn(pair)))
        except MemoryError:
            _say(error="not enough memory")


def _first(pair: Pair, folder: Path) -> dict[str, Any]:
    """Compute once: the peak of memory, the differences from the reference."""
    found: list[Any] = []

    def compute() -> None:
        found[:] = [pair[0](), *pair[1]()]

    peak = race.peak_bytes(compute)
    with np.load(folder / "reference.npz") as arrays:
        expected = tuple(arrays[name] for name in race.RESULTS)
    results = tuple(_to_numpy(one) for one in found)
    return {"peak_bytes": peak, "differences": race.differences(results, expected)}


def _turn(pair: Pair) -> dict[str, float]:
    forward = race.seconds(pair[0])
    return {"forward": forward, "backward": race.seconds(pair[1])}


def _engine(inputs: race.Inputs, geometry: Geometry, name: str) -> Pair:
    return lambda: race.forward(inputs, geometry, name), lambda: race.backward(inputs, geometry, name)


def _torch(inputs: race.Inputs, geometry: Geometry, name: str, threads: int) -> Pair:
    """The same in torch; its backward is autograd's, over the graph of the last forward."""
    import torch

    torch.set_num_threads(threads)
    layout = torch.channels_last if name == TORCH_LAST else torch.contiguous_format
    x, weight, grad_output = (
        torch.from_numpy(array).contiguous(memory_format=layout)
        for array in (inputs.x, inputs.weight, inputs.grad_output)
    )
    leaves = [tensor.requires_grad_() for tensor in (x, weight, torch.from_numpy(inputs.bias))]
    (top, bottom), (left, right) = geometry.padding
    even = (top, left) == (bottom, right)
    settings: Any = geometry.stride, (top, left) if even else 0, geometry.dilation, geometry.groups
    outputs: list[Any] = []

    def forward() -> Any:
        images = leaves[0] if even else torch.nn.functional.pad(leaves[0], (left, right, top, bottom))
        outputs[:] = [torch.nn.functional.conv2d(images, leaves[1], leaves[2], *settings)]
        return outputs[0]

    def backward() -> Any:
        return torch.autograd.grad(outputs[0], leaves, grad_output, retain_graph=True)

    return forward, backward


def _to_numpy(result: Any) -> np.ndarray:
    return result if isinstance(result, np.ndarray) else np.asarray(result.detach().numpy())


def _tuple(value: Any) -> Any:
    """Return lists, as JSON has them, as tuples."""
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def _say(**values: Any) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
