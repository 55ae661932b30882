"""The commands under `striate bench`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from striate.cli.options import Log, Logged, Out, Quiet, listener_for
from striate.cli.settings import with_settings
from striate.config import TrainConfig

app = typer.Typer(no_args_is_help=True, help="Race ways to convolve, or see where a training's time goes.")

_PAIR = "N|H,W"
_NOT_OF_A_STEP = ("data", "audit", "best_by", "early_stopping", "engine", "figures", "goal", "tensorboard")


@app.callback()
def bench() -> None:
    """Race ways to convolve, or see where a training's time goes."""


@app.command()
def conv(
    shape: Annotated[str, typer.Option(help="Images, channels, height and width.", metavar="N,C,H,W")],
    out_channels: Annotated[int, typer.Option(help="Number of kernels.")],
    kernel: Annotated[str, typer.Option(help="Size of the kernels.", metavar=_PAIR)] = "3",
    stride: Annotated[str, typer.Option(help="Steps down and right.", metavar=_PAIR)] = "1",
    padding: Annotated[str, typer.Option(help="Zeros around.", metavar=f"{_PAIR}|same|valid")] = "0",
    dilation: Annotated[str, typer.Option(help="Distance between a kernel's taps.", metavar=_PAIR)] = "1",
    groups: Annotated[int, typer.Option(help="Groups of channels.")] = 1,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    algorithms: Annotated[
        str | None,
        typer.Option(help="Those to race; by default all that serve the shape.", metavar="NAME,NAME,..."),
    ] = None,
    torch: Annotated[bool, typer.Option("--torch/--no-torch", help="Race torch too.")] = True,
    runs: Annotated[int, typer.Option(help="Turns of each.")] = 5,
    limit: Annotated[float, typer.Option(help="Seconds that each may compute in all.")] = 20.0,
    threads: Annotated[int | None, typer.Option(help="Threads of each; by default all cores.")] = None,
    out: Out = None,
    quiet: Quiet = False,
    log: Logged = Log.text,
) -> None:
    """Race all algorithms of a convolution, and torch: time, memory, accuracy.

    striate bench conv --shape 256,3,32,32 --out-channels 64 --kernel 3 --padding 1
    """
    from striate.workflows.bench_conv import bench_conv

    names = None if algorithms is None else [name.strip() for name in algorithms.split(",")]
    with listener_for(log, quiet) as listener:
        race = bench_conv(
            shape,
            out_channels=out_channels,
            kernel=kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            dtype=dtype,
            algorithms=names,
            torch=torch,
            runs=runs,
            limit=limit,
            threads=threads,
            out=out,
            listener=listener,
        )
    listener.show_race(race)


@app.command()
@with_settings(TrainConfig, without=_NOT_OF_A_STEP)
def train(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Folder, .zip, .csv, or the name of a data set.")
    ],
    steps: Annotated[int, typer.Option(help="Steps to measure.")] = 50,
    limit: Annotated[float, typer.Option(help="Seconds of training after which it is enough.")] = 30.0,
    quiet: Quiet = False,
    log: Logged = Log.text,
    settings: dict[str, Any] | None = None,
) -> None:
    """Show where the time of a training step goes, and what wastes most of it.

    striate bench train cifar10 --model custom-cnn --batch-size 256
    """
    from striate.allocator import tune
    from striate.workflows.bench_train import bench_train

    tuned = tune()
    with listener_for(log, quiet) as listener:
        found = bench_train(
            data, steps=steps, limit=limit, listener=listener, allocator_tuned=tuned, **settings or {}
        )
    listener.show_training_bench(found)
