"""The commands and their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from striate.cli import bench, explain, fields, filters, lesson, recipes, studies, trained
from striate.cli.options import AUGMENTATIONS, Log, Logged, Out, Quiet, listener_for
from striate.cli.settings import with_settings
from striate.cli.stopping import InterruptError
from striate.cli.text import has_frames
from striate.config import DataConfig, TrainConfig, TransferConfig, VerifyConfig
from striate.version import __version__


class Commands(TyperGroup):
    """Commands of which one has a name of two words: `data audit`. A folder of that name is `./audit`."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; raise `InterruptError` where it is interrupted."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise InterruptError from error

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Return the command that the first word, or the first two, name, and the remaining words."""
        two = self.get_command(ctx, " ".join(args[:2]))
        if len(args) > 1 and two is not None:
            return two.name, two, args[2:]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if has_frames() else None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`--debug` with any command shows the traceback of an error.",
)
app.add_typer(bench.app, name="bench")

Data = Annotated[str, typer.Argument(metavar="DATA", help="Folder, .zip, .csv, or the name of a data set.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"striate {__version__}")
        raise typer.Exit


@app.callback()
def striate(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """See how a convolutional image classifier works, train one, trust one."""


@app.command()
@with_settings(TrainConfig)
def train(
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="Folder, .zip, .csv, or the name of a data set.")
    ] = None,
    out: Out = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Repeat the run that wrote this config.yaml.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Continue a run that was cut short.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="With --model auto: networks and strategies are tried within this time (90s, 2m, 1h); one "
            "is kept where it is better by more than chance.",
        ),
    ] = None,
    quiet: Quiet = False,
    log: Logged = Log.text,
    settings: dict[str, Any] | None = None,
) -> None:
    """Train a classifier on a folder of images, and evaluate it."""
    from striate.allocator import tune
    from striate.workflows.train import train as run_training

    tune()
    given: dict[str, Any] = {"out": out, "config": config, "resume": resume, **(settings or {})}
    if budget is not None:
        from striate.workflows.ladder.budget import process_started

        given |= {"budget": budget, "started": process_started()}
    with listener_for(log, quiet) as listener:
        run = run_training(data, listener=listener, **given)
    listener.show_run(run)
    if run.facts()["training"]["stopped"] == "interrupted":
        raise typer.Exit(130)


trained.register(app)


@app.command()
@with_settings(TransferConfig, without=("model", "weights"))
def summary(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Name of a network, of a library's, its file (net.yaml), or folder of a run or bundle.",
        ),
    ],
    input: Annotated[
        str | None,
        typer.Option("--input", help="Channels, height and width.", metavar="C,H,W", show_default=False),
    ] = None,
    num_classes: Annotated[
        int | None,
        typer.Option(
            "--classes", help="Number of classes; 10 for what has none of its own.", min=2, show_default=False
        ),
    ] = None,
    receptive_fields: fields.Wanted = False,
    photo: fields.Photo = None,
    layers: fields.Layers = None,
    object_size: fields.ObjectSize = None,
    out: fields.Picture = None,
    settings: dict[str, Any] | None = None,
) -> None:
    """Show a network's layers and counts, what of it learns (--strategy), or what each layer sees."""
    from striate.workflows.summary import summary as make_summary

    drawing: dict[str, Any] = {"photo": photo, "layers": layers, "object_size": object_size, "out": out}
    if receptive_fields:
        return fields.show_fields(model, input, num_classes or 10, settings or {}, **drawing)
    fields.refuse(**drawing)
    print(make_summary(model, input=input, num_classes=num_classes, **settings or {}))


@app.command()
@with_settings(DataConfig)
def data(
    data: Data,
    out: Out = None,
    class_name: Annotated[
        str | None, typer.Option("--class", help="Draw the samples of this class alone.", metavar="NAME")
    ] = None,
    augment: Annotated[
        str,
        typer.Option(help="Augmentation to preview.", metavar=AUGMENTATIONS),
    ] = "flip-crop",
    quiet: Quiet = False,
    log: Logged = Log.text,
    settings: dict[str, Any] | None = None,
) -> None:
    """Show what a data set holds: counts, sizes, samples, augmentation."""
    from striate.workflows.data import describe_data

    with listener_for(log, quiet) as listener:
        description = describe_data(
            data, out=out, class_name=class_name, augment=augment, listener=listener, **settings or {}
        )
    listener.show_data(description)


@app.command()
@with_settings(VerifyConfig)
def verify(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help="Name of a network, net.yaml, folder of a bundle or run, or lite0."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="Images; lite0 has scikit-image's sample photos of its own."),
    ] = None,
    gradcheck: Annotated[
        bool,
        typer.Option(
            "--gradcheck", help="Check every gradient of the engine instead, and that mistakes are found."
        ),
    ] = False,
    quiet: Quiet = False,
    log: Logged = Log.text,
    settings: dict[str, Any] | None = None,
) -> None:
    """Compute a network in NumPy and in PyTorch, and show that all numbers agree."""
    from striate.allocator import tune
    from striate.errors import UserError

    tune()
    if gradcheck:
        if model is not None or settings:
            raise UserError("--gradcheck checks the engine itself; leave out MODEL, DATA and the settings.")
        return _check_gradients(quiet, log)
    if model is None:
        raise UserError("expected MODEL and DATA, as in 'striate verify mynet digits', or --gradcheck.")
    from striate.workflows.verify import verify as run_verification

    with listener_for(log, quiet) as listener:
        result = run_verification(model, data, listener=listener, **settings or {})
    listener.show_verification(result)
    if not result.passed:
        raise typer.Exit(1)


def _check_gradients(quiet: bool, log: Log) -> None:
    from striate.workflows.gradients import check_gradients

    with listener_for(log, quiet) as listener:
        checks = check_gradients(listener)
    listener.show_gradients(checks)
    if not checks.passed:
        raise typer.Exit(1)


studies.register(app)
explain.register(app)
filters.register(app)
recipes.register(app)


lesson.register(app)


@app.command("data audit")
def audit(
    data: Data,
    out: Out = None,
    data_root: Annotated[
        str | None, typer.Option(help="Folder in which named data sets lie.", metavar="DIR")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Only these classes, separated by commas.", metavar="NAMES")
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Images that share it never lie in two folds: column of the CSV, or pattern on paths.",
            metavar="COLUMN|PATTERN",
        ),
    ] = None,
    features: Annotated[
        bool,
        typer.Option(
            "--features", help="Look for doubtful labels and outliers too, by the embedded network."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of folds and draws.", min=0)] = 0,
    quiet: Quiet = False,
    log: Logged = Log.text,
) -> None:
    """Look for copies, leaks between splits and shortcuts; mark images to drop."""
    from striate.workflows.audit import audit_data

    named = None if classes is None else [name.strip() for name in classes.split(",") if name.strip()]
    with listener_for(log, quiet) as listener:
        result = audit_data(
            data,
            out=out,
            data_root=data_root,
            classes=named,
            group_by=group_by,
            seed=seed,
            features=features,
            listener=listener,
        )
    listener.show_audit(result)
