"""Seconds that looking inside a network takes, after loading, with the tuned allocator.

python benchmarks/explain.py fields

Each function below is one measurement, called by its name.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import processes
from striate.allocator import tune


def fields(runs: int = 7) -> str:
    """Theoretical receptive fields of all layers of ResNet-50 at 224 pixels."""
    import torchvision

    from striate.explain import receptive_fields

    network = torchvision.models.resnet50(weights=None)
    seconds = [_seconds(lambda: receptive_fields(network, (3, 224, 224))) for _ in range(runs)]
    return f"receptive fields of ResNet-50: {processes.spread(seconds, 2, 's')}, {runs} runs"


MEASUREMENTS: dict[str, Callable[[], str]] = {"fields": fields}


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main() -> None:
    """Run the measurements named on the command line, or all."""
    tune()
    print(processes.hardware())
    for name in sys.argv[1:] or MEASUREMENTS:
        print(MEASUREMENTS[name]())


if __name__ == "__main__":
    main()
