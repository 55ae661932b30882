"""Test accuracy of named trainings, mean and deviation over seeds.

    python benchmarks/accuracy.py --list
    python benchmarks/accuracy.py cifar10-custom-cnn --seeds 3

Each seed is one `striate train` in a process of its own; the time is that of the whole process, from its
start to the report. The table is printed as Markdown, as it stands in RESULTS.md. The data sets lie in
`--data`, by default `../shared/data`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import processes

ADAM = "--optimizer adam --lr 1e-3 --weight-decay 0 --label-smoothing 0 --augment none"
REFERENCE_B = f"--normalize none --val-fraction 0.2 {ADAM} --schedule constant --batch-size 32 --epochs 10"


@dataclass(frozen=True)
class Experiment:
    """A training to be measured.

    Attributes:
        data: what stands for DATA; `{data}` is the folder of data sets.
        options: further options of `striate train`.
        target: test accuracy asked for.
    """

    data: str
    options: str
    target: float


EXPERIMENTS = {
    "digits-mynet": Experiment("digits", "", 0.985),
    "cifar10-simple-cnn": Experiment(
        "{data}/cifar10.zip",
        f"--model simple-cnn {REFERENCE_B}",
        0.6122,
    ),
    "cifar10-custom-cnn": Experiment(
        "{data}/cifar10.zip",
        f"--model custom-cnn {REFERENCE_B}",
        0.8298,
    ),
    "cifar10-mlp": Experiment(
        "{data}/cifar10.zip",
        f"--model mlp {REFERENCE_B}",
        0.4544,
    ),
    "cifar10-vgg6": Experiment(
        "{data}/cifar10.zip",
        "--model vgg6 --normalize imagenet --val-fraction 0.1 --optimizer adam --lr 1e-3 --weight-decay 0 "
        "--label-smoothing 0 --batch-size 128 --schedule one-cycle --epochs 10 --augment flip-crop",
        0.795,
    ),
    "fashion-9-mynet": Experiment(
        "fashion-mnist",
        "--data-root {data} --model mynet --fraction 0.09 --val-fraction 0.01 --augment flip-crop "
        "--weight-decay 0.05 --label-smoothing 0.1 --epochs 60",
        0.90,
    ),
    "mnist-gray-cnn": Experiment(
        "mnist",
        "--data-root {data} --model gray-cnn --model-option head=average --val-fraction 0.08333 "
        f"{ADAM} --schedule constant --batch-size 64 --epochs 10",
        0.99,
    ),
    "mnist-49-two-digit": Experiment(
        "mnist",
        "--data-root {data} --model two-digit --classes 4,9 --val-fraction 0.5 --best-by val_loss "
        "--augment writing --loss bce --optimizer sgd --lr 0.03 --weight-decay 1e-3 --batch-size 32 "
        "--schedule one-cycle --epochs 60",
        0.987,
    ),
}


def main() -> None:
    """Run the experiment that the command line names and print its row."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("experiment", nargs="*", choices=[*EXPERIMENTS, []])
    parser.add_argument("--list", action="store_true", help="print the commands and end")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    if arguments.list:
        for name, experiment in EXPERIMENTS.items():
            print(f"{name}: {' '.join(command(experiment, arguments.data))}")
        return
    for name in arguments.experiment:
        results = [measure(name, seed, arguments.data, arguments.out) for seed in range(arguments.seeds)]
        print(row(name, results), flush=True)


def command(experiment: Experiment, data: str) -> list[str]:
    """Return the command line of `experiment`, but for seed and folder."""
    words = f"{experiment.data} {experiment.options}".format(data=data).split()
    return ["striate", "train", *words]


def measure(name: str, seed: int, data: str, out: Path) -> dict[str, float]:
    """Train once; return test accuracy and F1, seconds and peak memory of the whole process."""
    folder = out / f"{name}-{seed}"
    words = ["-m", *command(EXPERIMENTS[name], data), "--seed", str(seed), "--out", str(folder), "--quiet"]
    finished = processes.run(words)
    metrics = json.loads((folder / "metrics.json").read_text())["test"]
    result = {
        "accuracy": metrics["accuracy"]["value"],
        "macro_f1": metrics["f1"]["macro"]["value"],
        "seconds": finished.seconds,
        "peak_bytes": finished.peak_bytes,
    }
    print(f"{name} seed {seed}: {json.dumps(result)}", file=sys.stderr, flush=True)
    return result


def row(name: str, results: list[dict[str, float]]) -> str:
    """Return the Markdown row of an experiment."""
    accuracy, f1, seconds, peak = ([result[key] for result in results] for key in results[0])
    return (
        f"| {name} | {len(results)} | {deviation(accuracy, 100)} % | {EXPERIMENTS[name].target:.2%} "
        f"| {deviation(f1, digits=3)} | {deviation(seconds, digits=0)} s | {max(peak) / 1e9:.2f} GB |"
    )


def deviation(values: list[float], scale: float = 1, digits: int = 2) -> str:
    """Return mean and standard deviation as text."""
    around = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values) * scale:.{digits}f} ± {around * scale:.{digits}f}"


if __name__ == "__main__":
    main()
