"""The engine's convolution against PyTorch's on the same CPU: speed, memory, growth, threads.

    python benchmarks/engine.py conv                     # all shapes, each at its best and as installed
    python benchmarks/engine.py conv --mode best --only "stride 2" --rounds 15
    python benchmarks/engine.py depthwise
    python benchmarks/engine.py pixels
    python benchmarks/engine.py memory
    python benchmarks/engine.py threads
    python benchmarks/engine.py scaling

Each takes less than four minutes on two quiet cores and prints tables in Markdown. The last three run in mode
*best* unless `--mode` says otherwise.

Forward and backward (all three gradients) in float32, the same number of threads for both, the libraries
taking turns; printed are medians of seconds and their ratio, engine / torch. *best*: glibc's allocator
tuned for both (`striate.allocator`), and each in the faster layout of its images and gradients, NCHW or
channels-last, shape by shape. *installed*: the allocator as it is, NCHW. A mode is a process of its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

import processes

OPENBLAS_SETTINGS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""Environment variables that would hide the machine's best kernels or threads; removed before NumPy loads."""


@dataclass(frozen=True)
class Shape:
    """A convolution of square images with a square kernel and bias."""

    batch: int
    in_channels: int
    size: int
    out_channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    groups: int = 1

    def __str__(self) -> str:
        return f"{self.batch}, {self.in_channels}, {self.size}, {self.out_channels}"

    @property
    def gigaflop(self) -> float:
        """Floating-point operations of forward and backward by the definition, in 1e9."""
        out = (self.size + 2 * self.padding - self.kernel) // self.stride + 1
        taps = self.in_channels // self.groups * self.kernel**2
        return 3 * 2 * self.batch * self.out_channels * out**2 * taps / 1e9


PLAIN = (
    Shape(256, 3, 32, 64),
    Shape(128, 32, 32, 64),
    Shape(128, 64, 16, 128),
    Shape(128, 128, 8, 256),
    Shape(64, 64, 56, 64),
)

VARIANTS = {
    "3x3": PLAIN,
    "3x3 stride 2": tuple(replace(shape, stride=2) for shape in PLAIN),
    "5x5": tuple(replace(shape, kernel=5, padding=2) for shape in PLAIN),
    "1x1": tuple(replace(shape, kernel=1, padding=0) for shape in PLAIN),
}

DEPTHWISE = {
    "depth-wise 3x3": (
        Shape(64, 32, 112, 32, groups=32),
        Shape(64, 144, 28, 144, groups=144),
        Shape(64, 144, 56, 144, stride=2, groups=144),
        Shape(64, 480, 14, 480, groups=480),
        Shape(64, 1152, 7, 1152, groups=1152),
    )
}

REFERENCE_A = Shape(256, 3, 32, 64)

PAUSE_SECONDS = 0.05
"""Before a turn: OpenMP's threads spin on for milliseconds after torch's turn, on a core that others need."""

WARM_UP = 2
"""Steps of a turn that are not counted: threads that slept wake up on one core, and part after a while."""

ONE_MODE = ("memory", "threads", "scaling")
"""Measurements that a default allocator changes little."""

Name = TypeVar("Name")

Variants = Mapping[str, tuple[Shape, ...]]
"""Shapes by the name of what they have in common."""

Step = Callable[[], None]
"""One forward and backward."""


def main() -> None:
    """Measure what the command line names."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("what", choices=list(MEASUREMENTS))
    parser.add_argument("--mode", choices=["best", "installed"], help="one of the two only")
    parser.add_argument("--only", default="", help="variants whose name contains this")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each library")
    parser.add_argument(
        "--shape", default="", help="of `memory`: be the process; engine or torch, then numbers"
    )
    parser.add_argument("--inner", action="store_true", help="be the process that measures")
    arguments = parser.parse_args()
    if arguments.inner or arguments.shape:
        MEASUREMENTS[arguments.what](arguments)
        return
    print(processes.hardware(), flush=True)
    modes = ["best"] if arguments.what in ONE_MODE else ["best", "installed"]
    for mode in [arguments.mode] if arguments.mode else modes:
        words = [arguments.what, "--inner", "--mode", mode, "--rounds", str(arguments.rounds)]
        _run([*words, "--only", arguments.only], mode)


def _run(words: list[str], mode: str) -> None:
    """Run this file again, with the allocator of `mode`; what it prints appears as it comes."""
    kept = {name: value for name, value in os.environ.items() if name not in OPENBLAS_SETTINGS}
    allocator = {"STRIATE_TUNE_ALLOCATOR": "1" if mode == "best" else "0"}
    subprocess.run([sys.executable, __file__, *words], env={**kept, **allocator}, check=True)


def conv(arguments: argparse.Namespace) -> None:
    """Print a table for each variant, and the geometric mean of all ratios."""
    _begin(arguments.mode)
    _print_table(_chosen(VARIANTS, arguments), arguments)


def depthwise(arguments: argparse.Namespace) -> None:
    """Print a table of depth-wise convolutions."""
    _begin(arguments.mode)
    _print_table(DEPTHWISE, arguments)


def _chosen(variants: Variants, arguments: argparse.Namespace) -> Variants:
    return {name: shapes for name, shapes in variants.items() if arguments.only in name}


def _begin(mode: str) -> None:
    """Set the allocator; say what multiplies, and with how many threads."""
    import torch

    from striate.allocator import tune
    from striate.engine import blas, parallel

    tuned = tune()
    torch.set_num_threads(parallel.threads())
    print(
        f"\nmode {mode}: allocator {'tuned' if tuned else 'as installed'}; {blas.kernel()}; "
        f"{parallel.threads()} threads each\n"
    )


def _print_table(variants: Variants, arguments: argparse.Namespace) -> None:
    ratios = []
    head = (
        "| convolution | batch, in, size, out | torch ms | layout | engine ms | layout | range | algorithm |"
    )
    print(f"{head} GFLOP/s | ratio |\n|---|---|---|---|---|---|---|---|---|---|")
    for name, shapes in variants.items():
        for shape in shapes:
            layouts = ("NCHW", "channels-last") if arguments.mode == "best" else ("NCHW",)
            steps = {("engine", one): engine_step(shape, channels_last=one != "NCHW") for one in layouts}
            steps |= {("torch", one): torch_step(shape, channels_last=one != "NCHW") for one in layouts}
            taken = take_turns(steps, arguments.rounds)
            ours, our_layout, times = _faster(taken, "engine")
            torchs, layout, _ = _faster(taken, "torch")
            ratios.append(ours / torchs)
            print(
                f"| {name} | {shape} | {torchs * 1e3:.1f} | {layout} | {ours * 1e3:.1f} | {our_layout} | "
                f"{min(times) * 1e3:.1f} to {max(times) * 1e3:.1f} | {algorithm_of(shape)} | "
                f"{shape.gigaflop / ours:.0f} | {ratios[-1]:.2f} |",
                flush=True,
            )
    mean = statistics.geometric_mean(ratios)
    print(f"\n**Geometric mean {mean:.3f}, largest {max(ratios):.2f}**, {len(ratios)} shapes.")


def _faster(taken: dict[tuple[str, str], list[float]], library: str) -> tuple[float, str, list[float]]:
    """Return the median, the layout and all times of a library's faster layout."""
    medians = {key: statistics.median(times) for key, times in taken.items() if key[0] == library}
    best = min(medians, key=medians.__getitem__)
    return medians[best], best[1], taken[best]


def take_turns(steps: dict[Name, Step], rounds: int) -> dict[Name, list[float]]:
    """Run every step once, then all in turn; return the seconds of each turn's last step."""
    taken: dict[Name, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            time.sleep(PAUSE_SECONDS)
            for _ in range(WARM_UP):
                step()
            start = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - start)
    return taken


def arrays(shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return images, kernels, bias and the output's gradient, float32, from a seed."""
    random = np.random.default_rng(0)
    out = (shape.size + 2 * shape.padding - shape.kernel) // shape.stride + 1
    sizes = (
        (shape.batch, shape.in_channels, shape.size, shape.size),
        (shape.out_channels, shape.in_channels // shape.groups, shape.kernel, shape.kernel),
        (shape.out_channels,),
        (shape.batch, shape.out_channels, out, out),
    )
    x, weight, bias, grad_output = (random.standard_normal(size, dtype=np.float32) for size in sizes)
    return x, weight, bias, grad_output


def engine_step(shape: Shape, algorithm: str = "auto", channels_last: bool = False) -> Step:
    """Return forward and backward of the engine."""
    from striate.engine.functional import conv2d, conv2d_backward
    from striate.engine.layout import images_of, pixels_of

    x, weight, bias, grad_output = arrays(shape)
    if channels_last:
        x, grad_output = (images_of(np.ascontiguousarray(pixels_of(one))) for one in (x, grad_output))
    numbers = (shape.stride, shape.padding, 1, shape.groups)

    def step() -> None:
        output = conv2d(x, weight, bias, *numbers, algorithm=algorithm)
        conv2d_backward(grad_output, x, weight, *numbers, algorithm=algorithm)
        del output  # alive during the backward, as in a network

    return step


def torch_step(shape: Shape, channels_last: bool) -> Step:
    """Return forward and backward of torch, with a gradient for images, kernels and bias."""
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    x, weight, bias, grad_output = (
        tensor.contiguous(memory_format=layout) if tensor.ndim == 4 else tensor
        for tensor in map(torch.from_numpy, arrays(shape))
    )
    for tensor in (x, weight, bias):
        tensor.requires_grad_()
    numbers = (shape.stride, shape.padding, 1, shape.groups)

    def step() -> None:
        x.grad = weight.grad = bias.grad = None
        output = torch.nn.functional.conv2d(x, weight, bias, *numbers)
        torch.autograd.backward(output, grad_output)

    return step


def algorithm_of(shape: Shape) -> str:
    """Return what `auto` chooses."""
    from striate.engine.algorithms.choice import automatic
    from striate.engine.functional.convolution import conv2d_geometry

    x, weight = (
        np.empty((shape.batch, shape.in_channels, shape.size, shape.size), np.float32),
        arrays(shape)[1],
    )
    return automatic(conv2d_geometry(x, weight, None, shape.stride, shape.padding, 1, shape.groups))


def memory(arguments: argparse.Namespace) -> None:
    """Print the largest resident set of a process that does one forward and backward, for both libraries."""
    if arguments.shape:
        _measure_memory(arguments)
        return
    print(f"\nmode {arguments.mode}; MB of a process; in brackets, above what stood before the convolution\n")
    print("| convolution | batch, in, size, out | torch | engine | ratio |\n|---|---|---|---|---|")
    ratios = []
    for name, shapes in _chosen({**VARIANTS, **DEPTHWISE}, arguments).items():
        for shape in shapes:
            peaks = {}
            for library in ("torch", "engine"):
                words = [
                    __file__,
                    "memory",
                    "--mode",
                    arguments.mode,
                    "--shape",
                    f"{library},{_numbers(shape)}",
                ]
                peaks[library] = [float(part) for part in processes.run(words).output.split()]
            torchs, ours = peaks["torch"], peaks["engine"]
            ratios.append(ours[0] / torchs[0])
            print(
                f"| {name} | {shape} | {torchs[0]:.0f} ({torchs[1]:.0f}) | {ours[0]:.0f} ({ours[1]:.0f}) | "
                f"{ours[0] / torchs[0]:.2f} ({ours[1] / torchs[1]:.2f}) |",
                flush=True,
            )
    print(f"\n**Largest ratio {max(ratios):.2f}.**")


def _numbers(shape: Shape) -> str:
    return ",".join(str(number) for number in vars(shape).values())


def _measure_memory(arguments: argparse.Namespace) -> None:
    """Do one convolution; print the peak in MB, and how far it lies above what was resident before."""
    from striate.allocator import tune

    tune()
    library, *numbers = arguments.shape.split(",")
    shape = Shape(*map(int, numbers))
    step = engine_step(shape) if library == "engine" else torch_step(shape, channels_last=False)
    with open("/proc/self/statm", encoding="ascii") as file:
        before = int(file.read().split()[1]) * resource.getpagesize()
    step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(peak / 1e6, (peak - before) / 1e6)


def scaling(arguments: argparse.Namespace) -> None:
    """Print seconds over batch and over pixels, and per pixel, where they stay the same."""
    _begin(arguments.mode)
    base = Shape(32, 32, 32, 64)
    curves = {
        "batch": [replace(base, batch=batch) for batch in (16, 32, 64, 128, 256, 512)],
        "size": [replace(base, size=size) for size in (16, 24, 32, 48, 64, 96, 128)],
    }
    for name, shapes in curves.items():
        print(f"\n| {name} | ms | us per image of 32x32 | times the first |\n|---|---|---|---|")
        steps = {str(index): engine_step(shape) for index, shape in enumerate(shapes)}
        taken = take_turns(steps, arguments.rounds)
        first = 0.0
        for index, shape in enumerate(shapes):
            seconds = statistics.median(taken[str(index)])
            each = seconds / (shape.batch * shape.size**2 / 32**2)
            first = first or each
            value = shape.batch if name == "batch" else shape.size
            print(f"| {value} | {seconds * 1e3:.2f} | {each * 1e6:.1f} | {each / first:.2f} |")


def threads(arguments: argparse.Namespace) -> None:
    """Print how much faster two threads are than one."""
    from striate.engine import parallel

    _begin(arguments.mode)
    speedups = []
    print("| convolution | batch, in, size, out | one thread ms | two ms | speed-up |\n|---|---|---|---|---|")
    for name, shapes in _chosen({**VARIANTS, **DEPTHWISE}, arguments).items():
        for shape in shapes:
            step = engine_step(shape, channels_last=True)
            steps = {str(count): _with_threads(step, count) for count in (1, 2)}
            taken = take_turns(steps, arguments.rounds)
            one, two = statistics.median(taken["1"]), statistics.median(taken["2"])
            speedups.append(one / two)
            print(f"| {name} | {shape} | {one * 1e3:.1f} | {two * 1e3:.1f} | {one / two:.2f} |", flush=True)
    median = statistics.median(speedups)
    print(f"\n**{min(speedups):.2f} to {max(speedups):.2f} times as fast, median {median:.2f}.**")
    parallel.set_threads(parallel.available_cores())


def _with_threads(step: Step, count: int) -> Step:
    from striate.engine import parallel

    def limited() -> None:
        parallel.set_threads(count)
        step()

    return limited


def pixels(arguments: argparse.Namespace) -> None:
    """Print how much faster `auto` is than one product per output pixel, at reference A's shape."""
    _begin(arguments.mode)
    steps = {name: engine_step(REFERENCE_A, name) for name in ("pixels", "auto")}
    taken = take_turns(steps, arguments.rounds)
    slow, fast = statistics.median(taken["pixels"]), statistics.median(taken["auto"])
    print("| batch, in, size, out | `pixels` ms | `auto` ms | times as fast |\n|---|---|---|---|")
    print(f"| {REFERENCE_A} | {slow * 1e3:.0f} | {fast * 1e3:.1f} | **{slow / fast:.1f}** |")


MEASUREMENTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "conv": conv,
    "depthwise": depthwise,
    "memory": memory,
    "scaling": scaling,
    "threads": threads,
    "pixels": pixels,
}


if __name__ == "__main__":
    main()
