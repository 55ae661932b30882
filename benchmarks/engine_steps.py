"""Whole training steps of the glass-box engine against eager PyTorch on the same CPU.

    python benchmarks/engine_steps.py
    python benchmarks/engine_steps.py --nets engine-cnn custom-cnn --batches 256 --modes best
    python benchmarks/engine_steps.py --optimizer adam
    python benchmarks/engine_steps.py --nets custom-cnn --batches 64 --modes best --profile
    python benchmarks/engine_steps.py --memory
    python benchmarks/engine_steps.py --modes best --processor-time

A step is forward, loss, backward and optimizer (SGD with momentum, or Adam; torch's with `fused=True`, its
fastest), on float32 images that lie in memory. Modes: `best`, the tuned allocator for both and torch in the
faster of its two layouts; `installed`, the default allocator and torch in NCHW. For each network, batch and
mode a fresh process takes turns: some steps of one engine, as many of the other, the first of each turn not
counted. Printed is a table in Markdown: the medians, their ratio, and the range of the ratios turn by turn.

`--processor-time` is for a busy machine: what the threads computed, divided by their number, with torch's
threads sleeping instead of spinning while they wait. That is a lower bound of the time on the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import processes

INPUT_SHAPES = {"gray-cnn": (1, 28, 28)}
CIFAR_SHAPE = (3, 32, 32)
NETS = ("engine-cnn", "simple-cnn", "custom-cnn", "gray-cnn", "gray-cnn:average")
"""As in the zoo; after the colon, the option `head`."""

TABLES = {
    "times": "| mode | net | batch | torch ms | layout | engine ms | ratio | turn by turn |\n"
    + "|---" * 8
    + "|",
    "memory": "| mode | net | batch | engine MiB | torch MiB | ratio |\n" + "|---" * 6 + "|",
    "profile": "",
}
"""The head of what each task prints."""

LR = 1e-3
NUM_CLASSES = 10


def main() -> None:
    """Measure what the command line names."""
    arguments = parse()
    if arguments.job:
        job = json.loads(arguments.job)
        print(json.dumps({"times": turns, "profile": profile, "memory": peak}[job["task"]](job)))
        return
    task = "profile" if arguments.profile else "memory" if arguments.memory else "times"
    print(f"{processes.hardware()}\nBLAS {kernel()}; {arguments.optimizer}; {arguments.threads} threads\n")
    print(TABLES[task], flush=True)
    for mode in arguments.modes:
        for net in arguments.nets:
            for batch in arguments.batches:
                job = {
                    "task": task,
                    "mode": mode,
                    "net": net,
                    "batch": batch,
                    "optimizer": arguments.optimizer,
                }
                job |= {"turns": arguments.turns, "steps": arguments.steps, "threads": arguments.threads}
                job["processor_time"] = arguments.processor_time
                {"times": report_times, "profile": report_profile, "memory": report_memory}[task](job)


def parse() -> argparse.Namespace:
    """Return the command line's arguments."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument(
        "--nets", nargs="+", default=NETS[:4], choices=NETS, metavar="NET", help=", ".join(NETS)
    )
    parser.add_argument("--batches", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--modes", nargs="+", default=["best", "installed"], choices=["best", "installed"])
    parser.add_argument("--optimizer", default="sgd", choices=["sgd", "adam"])
    parser.add_argument("--turns", type=int, default=4, help="of each engine")
    parser.add_argument("--steps", type=int, default=3, help="that count, of a turn")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--profile", action="store_true", help="milliseconds of each layer instead")
    parser.add_argument("--memory", action="store_true", help="peak memory of a step instead")
    parser.add_argument("--processor-time", action="store_true", help="instead of the time on the clock")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args()


def report_times(job: dict[str, Any]) -> None:
    """Print a row: milliseconds of both engines, their ratio and its range."""
    times = run(job)
    ours = times.pop("numpy")
    layout, theirs = min(times.items(), key=lambda item: statistics.median(np.ravel(item[1])))
    medians = [statistics.median(np.ravel(turns)) for turns in (ours, theirs)]
    ratios = [statistics.median(a) / statistics.median(b) for a, b in zip(ours, theirs, strict=True)]
    print(
        f"| {job['mode']} | {job['net']} | {job['batch']} | {medians[1]:.1f} | {layout} | {medians[0]:.1f} | "
        f"**{medians[0] / medians[1]:.2f}** | {min(ratios):.2f} to {max(ratios):.2f} |",
        flush=True,
    )


def report_profile(job: dict[str, Any]) -> None:
    """Print a table: the layers in their order, milliseconds forward and backward of both engines."""
    measured = run(job)
    print(f"\n{job['mode']} {job['net']} {job['batch']}: milliseconds, torch in {measured['layout']}")
    print(f"{'layer':24} {'engine fwd':>10} {'bwd':>7} {'torch fwd':>10} {'bwd':>7} {'lost':>7}")
    total = [0.0] * 5
    for name, *numbers in measured["rows"]:
        numbers.append(numbers[0] + numbers[1] - numbers[2] - numbers[3])
        total = [one + other for one, other in zip(total, numbers, strict=True)]
        print_profile_row(name, numbers)
    print_profile_row("together", total)


def print_profile_row(name: str, numbers: list[float]) -> None:
    """Print the five numbers of a layer."""
    widths = (10, 7, 10, 7, 7)
    print(f"{name:24} " + " ".join(f"{n:{w}.2f}" for n, w in zip(numbers, widths, strict=True)), flush=True)


def report_memory(job: dict[str, Any]) -> None:
    """Print a row: what the steps add to the resident set at its peak, one process an engine."""
    layouts = ("contiguous", "channels-last") if job["mode"] == "best" else ("contiguous",)
    found = {engine: run(job | {"engine": engine}) / 2**20 for engine in ("numpy", *layouts)}
    ours = found.pop("numpy")
    text = ", ".join(f"{size:.0f} ({layout})" for layout, size in found.items())
    ratio = ours / min(found.values())
    print(
        f"| {job['mode']} | {job['net']} | {job['batch']} | {ours:.0f} | {text} | **{ratio:.2f}** |",
        flush=True,
    )


def run(job: dict[str, Any]) -> Any:
    """Return what a fresh process finds out."""
    environment = {"OMP_NUM_THREADS": str(job["threads"]), "STRIATE_TUNE_ALLOCATOR": "1"}
    if job["processor_time"]:
        environment["OMP_WAIT_POLICY"] = "passive"
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    return json.loads(processes.run([str(Path(__file__)), "--job", json.dumps(job)], environment).output)


def turns(job: dict[str, Any]) -> dict[str, list[list[float]]]:
    """Return milliseconds of each step, turn by turn: `numpy`, and torch by its layout."""
    steps = {engine: step_of(engine, job) for engine in engines(job)}
    times: dict[str, list[list[float]]] = {engine: [] for engine in steps}
    for turn in range(job["turns"] + 1):
        for engine, step in steps.items():
            step()
            measured = [milliseconds(step, job) for _ in range(job["steps"])]
            if turn:  # the first one warms up
                times[engine].append(measured)
    return times


def profile(job: dict[str, Any]) -> dict[str, Any]:
    """Return [name, engine forward, backward, torch forward, backward], medians in milliseconds."""
    found = {engine: profile_of(engine, job) for engine in engines(job)}
    ours = found.pop("numpy")
    layout = min(found, key=lambda one: sum(sum(times) for times in found[one].values()))
    return {"layout": layout, "rows": [[name, *ours[name], *found[layout][name]] for name in ours]}


def peak(job: dict[str, Any]) -> int:
    """Return by how many bytes three steps raise the largest resident set."""
    step = step_of(job["engine"], job)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    for _ in range(3):
        step()
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """Return a line of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def engines(job: dict[str, Any]) -> list[str]:
    """Return what takes turns; sets the allocator for all of them."""
    return ["numpy", "contiguous", *(["channels-last"] if job["mode"] == "best" else [])]


def step_of(engine: str, job: dict[str, Any]) -> Callable[[], Any]:
    """Return a function that makes one training step."""
    set_allocator(job)
    images, labels = batch_of(job)
    if engine == "numpy":
        network, optimizer, loss = glass_box(job)

        def step() -> None:
            raw = network.forward(images)
            float(loss.forward(raw, labels))
            optimizer.zero_grad()
            network.backward(loss.backward(raw, labels))
            optimizer.step()

        return step
    return torch_step(engine, job, images, labels)


def torch_step(layout: str, job: dict[str, Any], images: np.ndarray, labels: np.ndarray) -> Callable[[], Any]:
    """Return the same step in eager PyTorch."""
    import torch

    network, optimizer, format = torch_network(layout, job)
    inputs = torch.from_numpy(images).contiguous(memory_format=format)
    targets = torch.from_numpy(labels)

    def step() -> None:
        loss = torch.nn.functional.cross_entropy(network(inputs), targets)
        loss.item()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def profile_of(engine: str, job: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Return (forward, backward) in milliseconds for each layer, the loss and the optimizer."""
    set_allocator(job)
    images, labels = batch_of(job)
    rounds = [*(profile_round(engine, job, images, labels))]
    return {
        name: (
            statistics.median(one[name][0] for one in rounds),
            statistics.median(one[name][1] for one in rounds),
        )
        for name in rounds[0]
    }


def profile_round(engine: str, job: dict[str, Any], images: np.ndarray, labels: np.ndarray) -> Any:
    """Yield, step by step, each layer's times; the first two steps warm up and are left out."""
    one_round = (glass_box_round if engine == "numpy" else torch_round)(engine, job, images, labels)
    for number in range(job["turns"] * job["steps"] // 2 + 2):
        times = one_round()
        if number >= 2:
            yield times


def glass_box_round(engine: str, job: dict[str, Any], images: np.ndarray, labels: np.ndarray) -> Any:
    """Return a function that makes a step of the engine, layer by layer, and returns the times."""
    network, optimizer, loss = glass_box(job)

    def one_round() -> dict[str, list[float]]:
        times: dict[str, list[float]] = {}
        x = images
        for name, layer in network.layers.items():
            times[name], x = stopped(layer.forward, x)
        times["loss"], _ = stopped(loss.forward, x, labels)
        lap, grad = stopped(loss.backward, x, labels)
        times["loss"] += lap
        for name, layer in reversed(network.layers.items()):
            lap, grad = stopped(layer.backward, grad)
            times[name] += lap
        times["optimizer"] = [*stopped(optimizer.step)[0], *stopped(optimizer.zero_grad)[0]]
        return times

    return one_round


def torch_round(layout: str, job: dict[str, Any], images: np.ndarray, labels: np.ndarray) -> Any:
    """Return the same for torch; each layer's graph is cut off from those of its neighbours."""
    import torch

    network, optimizer, format = torch_network(layout, job)
    inputs = torch.from_numpy(images).contiguous(memory_format=format)
    targets = torch.from_numpy(labels)
    first = next(iter(dict(network.named_children())))

    def one_round() -> dict[str, list[float]]:
        times: dict[str, list[float]] = {}
        steps: list[Any] = []
        x = inputs
        for name, layer in network.named_children():
            entry = x.detach().requires_grad_(name != first)
            times[name], x = stopped(layer, entry)
            steps.append((name, entry, x))
        entry = x.detach().requires_grad_()
        times["loss"], loss = stopped(torch.nn.functional.cross_entropy, entry, targets)
        times["loss"] += stopped(loss.backward)[0]
        for name, before, output in reversed(steps):
            grad, entry = entry.grad, before
            times[name] += stopped(output.backward, grad)[0] if output.requires_grad else [0.0]
        times["optimizer"] = [*stopped(optimizer.step)[0], *stopped(optimizer.zero_grad)[0]]
        return times

    return one_round


def glass_box(job: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return the engine's network, optimizer and loss."""
    from striate import engine
    from striate.architectures import build
    from striate.engine import parallel
    from striate.engine.losses import Loss

    parallel.set_threads(job["threads"])
    name, options, shape = described(job)
    network = build(name, shape, NUM_CLASSES, "numpy", **options)
    network.train()
    network.set_input_grad(False)
    parameters = network.parameters()
    sgd = job["optimizer"] == "sgd"
    optimizer = engine.SGD(parameters, LR, 0.9) if sgd else engine.Adam(parameters, LR)
    return network, optimizer, Loss(network.output)


def torch_network(layout: str, job: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return torch's network, optimizer and memory format."""
    import torch

    from striate.architectures import build

    torch.set_num_threads(job["threads"])
    name, options, shape = described(job)
    format = torch.channels_last if layout == "channels-last" else torch.contiguous_format
    network = build(name, shape, NUM_CLASSES, **options).train().to(memory_format=format)
    parameters = list(network.parameters())
    sgd = job["optimizer"] == "sgd"
    kind: Any = torch.optim.SGD if sgd else torch.optim.Adam
    extra = {"momentum": 0.9} if sgd else {}
    return network, kind(parameters, lr=LR, fused=True, **extra), format


def described(job: dict[str, Any]) -> tuple[str, dict[str, Any], tuple[int, int, int]]:
    """Return the network's name, its options and the shape of its images."""
    name, _, head = job["net"].partition(":")
    return name, {"head": head} if head else {}, INPUT_SHAPES.get(name, CIFAR_SHAPE)


def batch_of(job: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return random images (N, C, H, W) and labels (N,)."""
    generator = np.random.default_rng(0)
    images = generator.standard_normal((job["batch"], *described(job)[2]), np.float32)
    return images, generator.integers(0, NUM_CLASSES, job["batch"])


def set_allocator(job: dict[str, Any]) -> None:
    """Tune the allocator of this process, if the mode asks for it."""
    from striate.allocator import tune

    if job["mode"] == "best":
        tune()


def kernel() -> str:
    """Return which BLAS the engine multiplies with."""
    from striate.engine import blas

    return blas.kernel()


def milliseconds(function: Callable[[], Any], job: dict[str, Any]) -> float:
    """Return what a call takes, on the clock or of each thread's processor time."""
    clock = time.process_time if job["processor_time"] else time.perf_counter
    start = clock()
    function()
    return 1000 * (clock() - start) / (job["threads"] if job["processor_time"] else 1)


def stopped(function: Callable[..., Any], *arguments: Any) -> tuple[list[float], Any]:
    """Return [milliseconds] of a call, and its result."""
    start = time.perf_counter()
    result = function(*arguments)
    return [1000 * (time.perf_counter() - start)], result


if __name__ == "__main__":
    main()
