"""The command that looks inside: `explain`, and what it prints."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.cli.options import Log, Logged, Out, Quiet, listener_for
from striate.cli.text import one_line, plain
from striate.errors import UserError

if TYPE_CHECKING:
    from striate.workflows.explain import Explained

LISTED = 20
"""So many verdicts are printed; the page holds all."""


Model = Annotated[str, typer.Argument(metavar="BUNDLE", help="Folder of a model bundle or a run, or lite0.")]
Images = Annotated[list[Path] | None, typer.Argument(metavar="[IMAGE_OR_FOLDER...]", help="What to explain.")]
Errors = Annotated[
    int | None,
    typer.Option(help="In place of images: so many of the run's most confident mistakes.", metavar="N"),
]
ClassName = Annotated[
    str | None,
    typer.Option("--class", help="Class to explain; by default the predicted one.", metavar="NAME|NUMBER"),
]
UsedMethod = Annotated[
    str,
    typer.Option(
        help="grad-cam, cam, grad-cam++, layer-cam, occlusion, input-gradients, integrated-gradients, "
        "or score-cam, which is slow.",
        metavar="METHOD",
    ),
]
Layer = Annotated[
    str | None,
    typer.Option(
        help="Layer to look at, or a call of it, 'relu #2'; by default the last convolution, of a "
        "transformer the last tokens.",
        metavar="NAME|NUMBER",
    ),
]
Activations = Annotated[
    str | None,
    typer.Option(
        help="In place of a map: what this layer, or a call of it, 'relu #2', puts out for an image or two; "
        "--out may be a .png",
        metavar="LAYER",
    ),
]
Visualise = Annotated[
    str | None,
    typer.Option(
        help="In place of a map: images that excite the channels of a layer most, or the classes, made "
        "from noise.",
        metavar="LAYER[,CHANNEL[,Y,X]]|classes",
    ),
]
UsedAscent = Annotated[
    str, typer.Option(help="With --visualise: fourier, pixel or multi-scale.", metavar="NAME")
]
Steps = Annotated[
    int | None, typer.Option(help="With --visualise: of Adam, at each size.", min=1, show_default=False)
]
Size = Annotated[
    int | None,
    typer.Option(help="With --visualise: side of the images in pixels.", min=8, show_default=False),
]
Kernels = Annotated[
    bool,
    typer.Option(
        "--kernels",
        help="In place of a map: the kernels of the first convolution, each with its nearest Gabor or "
        "Sobel filter, and their film through training.",
    ),
]
Pixel = Annotated[
    str | None,
    typer.Option(
        help="In place of a map: every product of which this number of a layer is made.",
        metavar="LAYER,CHANNEL,Y,X",
    ),
]
Gradient = Annotated[
    bool,
    typer.Option("--gradient", help="With --pixel: the gradient for the layer's input at that place."),
]
Trust = Annotated[bool, typer.Option("--trust/--no-trust", help="With a trust card for each map.")]
Seed = Annotated[int, typer.Option(help="Of the trust cards' draws; with --visualise of the noise.", min=0)]
Device = Annotated[str, typer.Option(help="Of PyTorch: auto, cpu, cuda or mps.")]

MAPS = "a map"
MODES: dict[str, tuple[str, ...]] = {
    "--activations": ("images",),
    "--visualise": ("class_name", "ascent", "steps", "size", "seed"),
    "--kernels": (),
    "--pixel": ("images", "gradient", "class_name"),
    MAPS: ("images", "errors", "class_name", "method", "layer", "trust", "seed"),
}
"""What can be shown, and the parameters that it takes besides those of `COMMON`."""
COMMON = ("model", "out", "device", "quiet", "log")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(explain)


def explain(
    ctx: typer.Context,
    model: Model,
    images: Images = None,
    errors: Errors = None,
    class_name: ClassName = None,
    method: UsedMethod = "grad-cam",
    layer: Layer = None,
    activations: Activations = None,
    visualise: Visualise = None,
    ascent: UsedAscent = "fourier",
    steps: Steps = None,
    size: Size = None,
    kernels: Kernels = False,
    pixel: Pixel = None,
    gradient: Gradient = False,
    trust: Trust = True,
    out: Out = None,
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Quiet = False,
    log: Logged = Log.text,
) -> None:
    """Show where in images a model finds a class, and how far that can be trusted."""
    from striate.allocator import tune

    _check_mode(ctx)
    tune()
    if pixel is not None:
        return _show_number(model, images or [], pixel, gradient, class_name, out, device, log)
    if kernels:
        return _show_kernels(model, out, device, log)
    if visualise is not None:
        chosen = {"class_name": class_name, "ascent": ascent, "steps": steps, "size": size, "seed": seed}
        return _visualise(model, visualise, out, device, log, quiet, **chosen)
    if activations is not None:
        return _show_activations(model, images or [], activations, out, device, log, quiet)
    asked = {"class_name": class_name, "method": method, "layer": layer, "trust": trust, "seed": seed}
    _show_maps(model, images, out, device, log, quiet, errors=errors, **asked)


def _check_mode(ctx: typer.Context) -> None:
    """Refuse two things at once, and what does not go with the one that is shown."""
    words = {one.name: one.opts[0] for one in ctx.command.params if one.name is not None}
    given = [name for name in ctx.params if _is_given(ctx, name) and name not in COMMON]
    modes = [words[name] for name in given if words[name] in MODES]
    if len(modes) > 1:
        raise UserError(f"{' and '.join(modes)} show different things: give one of them.")
    mode = modes[0] if modes else MAPS
    unused = [name for name in given if name not in MODES[mode] and words[name] != mode]
    if "images" in unused:
        raise UserError(f"{mode} looks at the model alone: leave the images out.")
    if unused and mode == MAPS:
        owner = next(one for one, taken in MODES.items() if unused[0] in taken)
        place = next(one.metavar for one in ctx.command.params if words.get(one.name or "") == owner)
        raise UserError(f"{words[unused[0]]} is for {owner}: give {owner} {place}, or leave it out.")
    if unused:
        named = ", ".join(words[name] for name in unused)
        raise UserError(f"{named}: not for {mode}, which would ignore it; leave it out.")
    if mode == "--pixel" and "class_name" in given and "gradient" not in given:
        raise UserError("--class says whose gradient --pixel takes apart: give --gradient too.")


def _is_given(ctx: typer.Context, name: str) -> bool:
    """Return whether a parameter was given on the command line, whatever its value."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _show_maps(
    model: str,
    images: list[Path] | None,
    out: Path | None,
    device: str,
    log: Log,
    quiet: bool,
    **asked: Any,
) -> None:
    from striate.workflows.explain import explain as run_explanation

    with listener_for(log, quiet) as listener:
        explained = run_explanation(model, images or None, out=out, device=device, listener=listener, **asked)
    listener.show_explained(explained)


def _show_activations(
    model: str, images: list[Path], layer: str, out: Path | None, device: str, log: Log, quiet: bool
) -> None:
    from striate.workflows.layer_outputs import NUMBERS, show_activations

    if out is not None and out.suffix.lower() == NUMBERS:
        kind, file = "numbers", out
    else:
        kind, file = "picture", _picture(out, "activations.png")
    with listener_for(log, quiet) as listener:
        show_activations(model, images, layer, out=file, device=device, listener=listener)
    if log is Log.json:
        from striate.cli import json_lines

        json_lines.write(sys.stdout, "result", **{kind: str(file)})
    else:
        print(f"{kind}: {one_line(str(file))}")


def _picture(out: Path | None, name: str) -> Path:
    """Return the file that --out names, or `name` in the folder that it names."""
    from striate.files import make_folder
    from striate.workflows.drawings import FIGURES

    if out is None or out.suffix.lower() in FIGURES:
        return out or Path(name)
    make_folder(out)
    return out / name


def _visualise(
    model: str, what: str, out: Path | None, device: str, log: Log, quiet: bool, **chosen: Any
) -> None:
    from striate.workflows.visualise import visualise

    with listener_for(log, quiet) as listener:
        found = visualise(model, what, out=out, device=device, listener=listener, **chosen)
    if log is Log.json:
        from striate.cli import json_lines

        json_lines.write(
            sys.stdout, "result", folder=str(found.folder), page=str(found.page), **found.made.facts()
        )
        return
    made, count = found.made, len(found.made.channels)
    print(
        f"{count} image{'' if count == 1 else 's'} of {one_line(made.layer or 'classes')}; moved, they keep "
        f"{statistics.median(made.shares.tolist()):.0%} of their effect (median)"
    )
    print(f"page: {one_line(str(found.page))}")


def _show_kernels(model: str, out: Path | None, device: str, log: Log) -> None:
    from striate.workflows.kernels import show_kernels

    found = show_kernels(model, out=out, device=device)
    if log is Log.json:
        from striate.cli import json_lines

        film = None if found.film is None else str(found.film)
        facts = found.kernels.facts()
        json_lines.write(
            sys.stdout, "result", folder=str(found.folder), page=str(found.page), film=film, **facts
        )
        return
    kernels = found.kernels
    print(
        f"{one_line(kernels.layer)}: {len(kernels.resembling)} of {len(kernels.matches)} kernels resemble a "
        f"Gabor or Sobel filter more than random ones do ({kernels.chance:.2f}) and than a blur"
    )
    if found.film is not None:
        print(f"film: {one_line(str(found.film))}")
    print(f"page: {one_line(str(found.page))}")


def _show_number(
    model: str,
    images: list[Path],
    pixel: str,
    gradient: bool,
    class_name: str | None,
    out: Path | None,
    device: str,
    log: Log,
) -> None:
    from striate.workflows.one_number import explain_number

    if len(images) != 1:
        raise UserError(f"--pixel takes one image apart; {len(images)} are given.")
    number = explain_number(
        model, images[0], pixel, gradient=gradient, class_name=class_name, out=out, device=device
    )
    if log is Log.json:
        from striate.cli import json_lines

        json_lines.write(sys.stdout, "result", **number.facts())
    else:
        print(plain(str(number)))


def show_explained(explained: Explained) -> None:
    """Print the verdict on each map, and where the page lies."""
    from striate.cli.results import result_console

    console = result_console()
    for one in explained.explanations[:LISTED]:
        said = f"{one.name}: {one.label} {one.probability:.1%}"
        verdict = "" if one.verdict is None else f". {one.verdict.text}"
        console.print(one_line(said + verdict), soft_wrap=True, markup=False)
    more = len(explained.explanations) - LISTED
    if more > 0:
        console.print(f"and {more} more.", soft_wrap=True)
    console.print(f"page: {one_line(str(explained.page))}", soft_wrap=True, markup=False)


def as_record(explained: Explained) -> dict[str, Any]:
    """Return the result as plain values."""
    return {
        "folder": str(explained.folder),
        "page": str(explained.page),
        "images": [one.facts() for one in explained.explanations],
        "problems": [list(problem) for problem in explained.problems],
    }
