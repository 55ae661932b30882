"""Training throughput of `striate train` against a bare PyTorch loop, in pairs.

    python benchmarks/throughput.py ../shared/data/cifar10.zip
    python benchmarks/throughput.py ../shared/data/cifar10.zip --model simple-cnn --batch-size 32
    python benchmarks/throughput.py ../shared/data/cifar10.zip --precision 32 --untuned-allocator

Each run is a process of its own; the two kinds alternate. The bare loop has float32 tensors in memory,
already normalised, and the same network, optimizer, precision, layout and allocator. Both train one epoch to
warm up and are measured over the next. Printed are images a second of each, and the ratio pair by pair.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import processes


def main() -> None:
    """Measure what the command line names."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("data")
    parser.add_argument("--model", default="custom-cnn")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--fraction", default="0.256", help="share of the training images to train on")
    parser.add_argument("--precision", default="bf16", choices=["32", "bf16"])
    parser.add_argument("--memory-format", default="channels-last", choices=["contiguous", "channels-last"])
    parser.add_argument("--untuned-allocator", action="store_true")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--bare", action="store_true", help="be the bare loop: train, print images a second")
    arguments = parser.parse_args()
    if arguments.bare:
        print(bare_loop(arguments))
        return
    pairs = [(measure_striate(arguments), measure_bare(arguments)) for _ in range(arguments.pairs)]
    ours, bare = zip(*pairs, strict=True)
    print(processes.hardware())
    print(f"striate train: {processes.spread(ours, 0, 'images/s')}")
    print(f"bare loop:     {processes.spread(bare, 0, 'images/s')}")
    print(f"ratio by pair: {processes.spread([first / second for first, second in pairs], 3)}")


def measure_striate(arguments: argparse.Namespace) -> float:
    """Return images a second of the second epoch of `striate train`."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = ["-m", "striate", "train", arguments.data, *settings(arguments), "--out", str(out), "--quiet"]
        processes.run(words, environment(arguments))
        return float(pd.read_csv(out / "timing.csv")["images_per_second"].iloc[-1])


def measure_bare(arguments: argparse.Namespace) -> float:
    """Return images a second of the second epoch of the bare loop, in a process of its own."""
    words = [__file__, arguments.data, "--bare", "--model", arguments.model, "--fraction", arguments.fraction]
    words += ["--batch-size", str(arguments.batch_size), "--precision", arguments.precision]
    words += ["--memory-format", arguments.memory_format]
    return float(processes.run(words, environment(arguments)).output)


def settings(arguments: argparse.Namespace) -> list[str]:
    """Return the options of `striate train`."""
    words = ["--model", arguments.model, "--batch-size", str(arguments.batch_size), "--epochs", "2"]
    words += [
        "--optimizer",
        "adam",
        "--lr",
        "1e-3",
        "--schedule",
        "constant",
        "--fraction",
        arguments.fraction,
    ]
    words += ["--precision", arguments.precision, "--memory-format", arguments.memory_format]
    return [*words, "--val-fraction", "0.02"]


def environment(arguments: argparse.Namespace) -> dict[str, str]:
    """Return what the allocator's setting is in the environment."""
    return {"STRIATE_TUNE_ALLOCATOR": "0" if arguments.untuned_allocator else "1"}


def bare_loop(arguments: argparse.Namespace) -> float:
    """Train two epochs as one would by hand; return images a second of the second."""
    from striate.allocator import tune

    tune()
    import torch

    from striate.architectures import build
    from striate.config import DataConfig
    from striate.data import prepare

    chosen = DataConfig(data=arguments.data, fraction=float(arguments.fraction), val_fraction=0.02)
    sets = prepare(chosen)
    images = sets.preprocess.normalize(sets.train.pixels.take(np.arange(len(sets.train))))
    inputs, labels = torch.from_numpy(images), torch.from_numpy(sets.train.labels)
    channels_last = arguments.memory_format == "channels-last"
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = build(arguments.model, sets.preprocess.input_shape, len(sets.class_names))
    network.to(memory_format=layout)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    for _ in range(2):
        start = time.perf_counter()
        for rows in torch.split(torch.randperm(len(labels)), arguments.batch_size):
            with torch.autocast("cpu", torch.bfloat16, enabled=arguments.precision == "bf16"):
                outputs = network(inputs[rows].contiguous(memory_format=layout))
            loss = torch.nn.functional.cross_entropy(outputs.float(), labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        seconds = time.perf_counter() - start
    return len(labels) / seconds


if __name__ == "__main__":
    main()
