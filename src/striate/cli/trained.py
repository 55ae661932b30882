"""The commands that ask a trained model: `evaluate`, `predict` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from striate.cli import results, studies
from striate.cli.options import Log, Logged, Out, Quiet, listener_for

BatchSize = Annotated[
    int | None,
    typer.Option(help="Images a step; by default, what fits their size.", min=1, show_default=False),
]
Views = Annotated[
    str,
    typer.Option(
        help="one, flip, shift or flip-shift: what is averaged over, as by --test-views of a training.",
        metavar="NAME",
    ),
]
UsedEngine = Annotated[str, typer.Option("--engine", help="torch, numpy (the glass box) or cupy.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (evaluate, predict, export):
        app.command()(command)


def evaluate(
    model: Annotated[str, typer.Argument(metavar="RUN_OR_BUNDLE", help="Folder of a run or a model bundle.")],
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="Labelled images; without them a run's report is made anew."),
    ] = None,
    out: Out = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="One of several sets in place of DATA, with its weight in the total; repeatable.",
            metavar="NAME=DATA:WEIGHT",
        ),
    ] = None,
    costs: Annotated[
        str | None,
        typer.Option(
            help="Two classes: costs of a missed image of the second and of a false alarm; the cheapest "
            "threshold is chosen on validation images.",
            metavar="MISS,FALSE_ALARM",
        ),
    ] = None,
    abstain: Annotated[
        float | None,
        typer.Option(
            help="Measure how many images are answered where those less certain are left to a person, and "
            "how many of them rightly.",
            metavar="PROBABILITY",
        ),
    ] = None,
    views: Views = "one",
    split: Annotated[
        str | None, typer.Option(help="train, val or test: the part of DATA to take.", metavar="SPLIT")
    ] = None,
    data_root: Annotated[
        str | None, typer.Option(help="Folder in which named data sets lie.", metavar="DIR")
    ] = None,
    batch_size: BatchSize = None,
    device: Annotated[str, typer.Option(help="Of PyTorch: auto, cpu, cuda or mps.")] = "auto",
    engine: UsedEngine = "torch",
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness",
            help="Measure instead how accurate it stays while images are shifted, turned, blurred and so on.",
        ),
    ] = False,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="With --robustness: a further model to measure beside; repeatable.", metavar="RUN_OR_BUNDLE"
        ),
    ] = None,
    quiet: Quiet = False,
    log: Logged = Log.text,
) -> None:
    """Evaluate a model on labelled images."""
    from striate.allocator import tune
    from striate.workflows.evaluate import evaluate as run_evaluation
    from striate.workflows.sets import parse_sets

    tune()
    if robustness:
        return studies.evaluate_robustness(
            model,
            data,
            refused=bool(sets or costs),
            abstain=abstain,
            views=views,
            against=against or [],
            out=out,
            split=split,
            data_root=data_root,
            batch_size=batch_size,
            device=device,
            engine=engine,
            quiet=quiet,
            log=log,
        )
    with listener_for(log, quiet) as listener:
        run = run_evaluation(
            model,
            data,
            sets=parse_sets(sets) if sets else None,
            costs=None if costs is None else costs.split(","),
            abstain=abstain,
            views=views,
            out=out,
            split=split,
            data_root=data_root,
            batch_size=batch_size,
            device=device,
            engine=engine,
            against=against or (),
            listener=listener,
        )
    listener.show_run(run)


def predict(
    model: Annotated[str, typer.Argument(metavar="BUNDLE", help="Folder of a model bundle or a run.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE_OR_FOLDER...", help="What to classify.")],
    out: Annotated[
        Path | None,
        typer.Option(help=".csv or .json to write; without it, a table is printed.", metavar="FILE"),
    ] = None,
    abstain: Annotated[
        float | None,
        typer.Option(
            help="Leave images whose class is less probable than this to a person, as in --abstain 0.9.",
            metavar="PROBABILITY",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(help="So many of the most probable classes, with their probabilities.", metavar="K"),
    ] = None,
    views: Views = "one",
    copy_to: Annotated[
        Path | None,
        typer.Option(
            help="Copy each image into a folder named after its class, within this one; nothing is "
            "overwritten. With --abstain, uncertain ones go into 'unsure'.",
            metavar="DIR",
        ),
    ] = None,
    batch_size: BatchSize = None,
    device: Annotated[str, typer.Option(help="Of PyTorch: auto, cpu, cuda or mps.")] = "auto",
    engine: UsedEngine = "torch",
    quiet: Quiet = False,
    log: Logged = Log.text,
) -> None:
    """Name what is on images."""
    from striate.allocator import tune
    from striate.workflows.predict import predict as run_prediction

    tune()
    with listener_for(log, quiet) as listener:
        result = run_prediction(
            model,
            images,
            out=out,
            abstain=abstain,
            top=top,
            views=views,
            copy_to=copy_to,
            batch_size=batch_size,
            device=device,
            engine=engine,
            listener=listener,
        )
    listener.show_predictions(result, out)


def export(
    model: Annotated[str, typer.Argument(metavar="RUN_OR_BUNDLE", help="Folder of a run or a model bundle.")],
    out: Annotated[Path, typer.Option(help=".onnx file to write.", metavar="FILE")],
    engine: Annotated[
        str, typer.Option("--engine", help="What it is compared with: torch, or numpy (the glass box).")
    ] = "torch",
    quiet: Quiet = False,
    log: Logged = Log.text,
) -> None:
    """Write a model as an ONNX file, compared with the model in ONNX Runtime."""
    from striate.cli.json_lines import JsonListener
    from striate.workflows.export_onnx import export as run_export

    with listener_for(log, quiet) as listener:
        found = run_export(model, out, engine=engine, listener=listener)
    if isinstance(listener, JsonListener):
        listener.show_exported(found)
    else:
        results.show_exported(found)
