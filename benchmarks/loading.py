"""Seconds from DATA to the first batch, cold and from the cache, and the memory it takes.

    python benchmarks/loading.py ../shared/data/cifar10.zip

Each run is a process of its own; of a pair, the first finds the cache empty, the second filled. The clock
starts once Python and torch are imported, and the seconds of the whole process stand beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import processes


def main() -> None:
    """Measure what the command line names."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("data")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--once", action="store_true", help="load once and print the seconds")
    arguments = parser.parse_args()
    if arguments.once:
        print(load_once(arguments.data))
        return
    figures: dict[str, list[processes.Finished]] = {"cold": [], "from the cache": []}
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory() as cache:
            for finished in figures.values():
                finished.append(processes.run([__file__, arguments.data, "--once"], {"STRIATE_CACHE": cache}))
    print(processes.hardware())
    for kind, finished in figures.items():
        print(
            f"{kind}: {processes.spread([float(done.output) for done in finished], 2, 's')}; "
            f"whole process {processes.spread([done.seconds for done in finished], 1, 's')}; "
            f"peak memory {processes.spread([done.peak_bytes / 1e6 for done in finished], 0, 'MB')}"
        )


def load_once(data: str) -> float:
    """Return the seconds from DATA to the first training batch."""
    import torch  # noqa: F401 - imported before the clock starts

    from striate.config import DataConfig
    from striate.data import prepare
    from striate.data.loaders import Batches

    start = time.perf_counter()
    sets = prepare(DataConfig(data=data))
    classes = len(sets.class_names)
    batches = Batches(sets.train, sets.preprocess, 256, shuffle=True, num_classes=classes)
    next(iter(batches))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
