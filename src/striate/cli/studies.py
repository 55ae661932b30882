"""The commands that compare, and what they compare on: `compare`, `ablate`, `data augment`, robustness."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from striate.cli.options import AUGMENTATIONS, Log, Logged, Out, Quiet, listener_for
from striate.cli.settings import with_settings
from striate.config import TrainConfig


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(compare)
    app.command()(with_settings(TrainConfig)(ablate))
    app.command("data augment")(augment)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Folders of runs.")],
    out: Out = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Measure every model on these first, with a weight in the total; repeatable.",
            metavar="NAME=DATA:WEIGHT",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Compare this split or set alone.", metavar="NAME")
    ] = None,
    device: Annotated[str, typer.Option(help="Of PyTorch: auto, cpu, cuda or mps.")] = "auto",
    quiet: Quiet = False,
    log: Logged = Log.text,
) -> None:
    """Say which of several runs is better, on the same test images, and how sure that is."""
    from striate.allocator import tune
    from striate.workflows.compare import compare as run_comparison
    from striate.workflows.sets import parse_sets

    tune()
    with listener_for(log, quiet) as listener:
        comparison = run_comparison(
            *runs,
            sets=parse_sets(sets) if sets else None,
            split=split,
            out=out,
            device=device,
            listener=listener,
        )
    listener.show_comparison(comparison)


def ablate(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Folder, .zip, .csv, or the name of a data set.")
    ],
    vary: Annotated[
        list[str],
        typer.Option(
            help="A setting of the training or option of the network, and its values, the base's first; "
            "repeatable.",
            metavar="KEY=V1,V2",
        ),
    ],
    seeds: Annotated[int, typer.Option(help="How often each recipe is trained.", min=1)] = 3,
    design: Annotated[
        str,
        typer.Option(
            help="Every combination, or each change alone and all together.", metavar="grid|one-at-a-time"
        ),
    ] = "grid",
    out: Out = None,
    quiet: Quiet = False,
    log: Logged = Log.text,
    settings: dict[str, Any] | None = None,
) -> None:
    """Train recipes that differ in what is varied, with several seeds each, and compare them.

    striate ablate DATA --model stride-cnn --vary batch_norm=off,on --vary dropout=0,0.5 --seeds 3
    """
    from striate.allocator import tune
    from striate.workflows.ablate import ablate as run_study
    from striate.workflows.designs import parse_vary

    tune()
    with listener_for(log, quiet) as listener:
        study = run_study(
            data,
            vary=parse_vary(vary),
            seeds=seeds,
            design=design,
            out=out,
            listener=listener,
            **settings or {},
        )
    listener.show_comparison(study)


def augment(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Folder, .zip, .csv, or the name of a data set.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; must not be there.", metavar="DIR")],
    preset: Annotated[str, typer.Option(help="Augmentation.", metavar=AUGMENTATIONS)] = "photo",
    seed: Annotated[int, typer.Option(help="Of the draws.", min=0)] = 0,
    split: Annotated[
        str | None, typer.Option(help="train, val or test: these images alone.", metavar="SPLIT")
    ] = None,
    data_root: Annotated[
        str | None, typer.Option(help="Folder in which named data sets lie.", metavar="DIR")
    ] = None,
    quiet: Quiet = False,
    log: Logged = Log.text,
) -> None:
    """Write every image once, augmented: a test set that shows what a network stands."""
    from striate.workflows.augment_data import augment_data

    with listener_for(log, quiet) as listener:
        found = augment_data(
            data, out=out, preset=preset, seed=seed, split=split, data_root=data_root, listener=listener
        )
    listener.show_augmented(found)


def evaluate_robustness(
    model: str,
    data: str | None,
    *,
    refused: bool,
    against: list[str],
    quiet: bool,
    log: Log,
    **options: Any,
) -> None:
    """Run `evaluate --robustness`; `refused`: options were given that it does not have.

    Raises:
        UserError: so.
    """
    from striate.errors import UserError
    from striate.workflows.evaluate import evaluate

    if refused:
        raise UserError("--robustness measures one set of images; leave out --set and --costs.")
    with listener_for(log, quiet) as listener:
        found = evaluate(model, data, robustness=True, against=against, listener=listener, **options)
    listener.show_robustness(found)
