"""The fast recipe: seconds from process start to the end of training, and test accuracy, over fresh seeds.

    python benchmarks/fast.py --list
    python benchmarks/fast.py cifar10-83 cifar10-90 --seeds 5

Each seed is one `striate train` in a process of its own, with data that an earlier run has decoded; the clock
stops when the last epoch is over, before the test. The table is printed as Markdown, as it stands in
RESULTS.md. The data sets lie in `--data`, by default `../shared/data`. Nothing is chosen by what this prints:
settings were chosen on validation images.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import processes

FASHION = "fashion-mnist --data-root {data}"


@dataclass(frozen=True)
class Experiment:
    """A training to be measured.

    Attributes:
        words: data and options of `striate train`; `{data}` is the folder of data sets.
        accuracy: asked for on the test split, plain or, where the recipe averages views, over these.
        seconds: allowed.
    """

    words: str
    accuracy: float
    seconds: float


EXPERIMENTS = {
    "cifar10-79.5": Experiment("{data}/cifar10.zip --recipe fast --target 0.795", 0.795, 40),
    "cifar10-83": Experiment("{data}/cifar10.zip --recipe fast --target 0.83", 0.83, 60),
    "cifar10-90": Experiment("{data}/cifar10.zip --recipe fast --target 0.9", 0.90, 180),
    "cifar10-94": Experiment("{data}/cifar10.zip --recipe fast --target 0.94", 0.94, 720),
    "fashion-93.5": Experiment(f"{FASHION} --recipe fast --target 0.935", 0.935, 120),
    "fashion-9-91": Experiment(
        f"{FASHION} --recipe fast --fraction 0.09 --epochs 17 --test-views flip-shift", 0.91, 60
    ),
    "mnist-99.4": Experiment("mnist --data-root {data} --recipe fast --target 0.994", 0.994, 60),
}


def main() -> None:
    """Run what the command line names and print a row each."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("experiment", nargs="*", choices=[*EXPERIMENTS, []])
    parser.add_argument("--list", action="store_true", help="print the commands and end")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    if arguments.list:
        for name, experiment in EXPERIMENTS.items():
            print(f"{name}: striate train {experiment.words.format(data=arguments.data)}")
        return
    print(processes.hardware(), file=sys.stderr, flush=True)
    for name in arguments.experiment:
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        results = [measure(name, seed, arguments.data, arguments.out) for seed in seeds]
        print(row(name, results), flush=True)


def measure(name: str, seed: int, data: str, out: Path) -> dict[str, float]:
    """Train once; return test accuracy, plain and over views, and seconds to the end of training."""
    folder = out / f"fast-{name}-{seed}"
    words = EXPERIMENTS[name].words.format(data=data).split()
    begun = time.time()
    processes.run(["-m", "striate", "train", *words, "--seed", str(seed), "--out", str(folder), "--quiet"])
    metrics = json.loads((folder / "metrics.json").read_text())["test"]
    plain = metrics["accuracy"]["value"]
    result = {
        "accuracy": plain,
        "views": metrics.get("test_views", {}).get("accuracy", {}).get("value", plain),
        "seconds": (folder / "history.csv").stat().st_mtime - begun,  # written when training ends
    }
    print(f"{name} seed {seed}: {json.dumps(result)}", file=sys.stderr, flush=True)
    return result


def row(name: str, results: list[dict[str, float]]) -> str:
    """Return the Markdown row of an experiment."""
    asked = EXPERIMENTS[name]
    accuracy, views, seconds = ([result[key] for result in results] for key in results[0])
    averaged = f"{deviation(views, 100)} %" if views != accuracy else "-"
    return (
        f"| {name} | {len(results)} | {deviation(accuracy, 100)} % | {averaged} | {asked.accuracy:.1%} "
        f"| {deviation(seconds, digits=0)} s | {asked.seconds:.0f} s |"
    )


def deviation(values: list[float], scale: float = 1, digits: int = 2) -> str:
    """Return mean and standard deviation as text."""
    around = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values) * scale:.{digits}f} ± {around * scale:.{digits}f}"


if __name__ == "__main__":
    main()
