"""How many images a second the pretrained EfficientNet-Lite0 names in the glass box, in plain NumPy.

    python benchmarks/lite0.py --runs 5

Images of 224 x 224 pixels in memory, float32, with the tuned allocator; median and range of the runs, before
which one is not counted.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import processes


def main() -> None:
    """Measure what the command line names."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--images", type=int, default=16, help="in a batch")
    options = parser.parse_args()

    from striate import backbones
    from striate.allocator import tune
    from striate.engine import blas

    tune()
    print(f"{processes.hardware()}; {blas.kernel()}")
    network = backbones.load("lite0").build("numpy")
    shape = (options.images, 3, 224, 224)
    images = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    rates = []
    for _ in range(options.runs + 1):
        start = time.perf_counter()
        network.predict(images)
        rates.append(options.images / (time.perf_counter() - start))
    print(f"{processes.spread(rates[1:], 1)} images a second, {options.runs} runs")


if __name__ == "__main__":
    main()
