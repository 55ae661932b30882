"""Several runs in; which is better, on which test set, and how sure that is, out."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import config, files, schemas
from striate.errors import DataError, RunError, UserError, unknown_name
from striate.report_file import ReportFile
from striate.runs import Run
from striate.workflows import looks
from striate.workflows.entries import group
from striate.workflows.listener import Listener
from striate.workflows.origins import images_of
from striate.workflows.sets import Given, PathLike

if TYPE_CHECKING:
    from striate.evaluation.study import Answers, Entry

PAGE, FACTS = "comparison.html", "comparison.json"


@dataclass(frozen=True)
class Comparison:
    """What a comparison found, and where it lies.

    Attributes:
        result: what `comparison.json` holds.
        folder: holds the page, `comparison.json`, `leaderboard.csv` and `differences.csv`.
        page: one HTML file; in a notebook it shows itself.
    """

    result: dict[str, Any]
    folder: Path
    page: ReportFile


def compare(
    *runs: PathLike,
    sets: Mapping[str, Given] | None = None,
    split: str | None = None,
    out: PathLike | None = None,
    device: str = "auto",
    listener: Listener | None = None,
) -> Comparison:
    """Compare runs on the same test images; runs that differ by their seed alone are one entry.

    Args:
        *runs: folders of runs, trainings or evaluations; two or more.
        sets: measure every model on these sets first, name -> data or (data, weight), and compare that.
            Without them what the runs have in common is compared: `test`, or the sets of their evaluations.
        split: compare this split or set alone.
        out: folder to write; by default `runs/comparison`, with a number where that is taken.
        device: of torch, where `sets` are measured.
        listener: hears how it goes.

    Raises:
        UserError: runs that cannot be compared, as they were measured on different images; says what to do.
    """
    listener = listener or Listener()
    if len(runs) < 2:
        raise UserError("expected two runs or more to compare, as in 'striate compare runs/a runs/b'.")
    opened = [Run.open(run) for run in runs]
    _refuse_repeats(opened)
    folder = choose_folder(out, "comparison", (FACTS, PAGE))
    with _discarded_on_failure(folder / "evaluations"):
        if sets is not None:
            opened = _measured(opened, sets, folder, device, listener)
        entries = group(opened)
        if len(entries) < 2:
            raise UserError(
                "the runs are one recipe, trained with several seeds; name runs of another recipe besides."
            )
        chosen = [Run(run) for entry in entries for run in entry.runs]
        return write_comparison(entries, common_sets(chosen, split), folder, listener)


@contextlib.contextmanager
def _discarded_on_failure(folder: Path) -> Iterator[None]:
    """Remove `folder`, unless it was there, if the block fails: the corrected command needs its place."""
    there = folder.exists()
    try:
        yield
    except BaseException:
        if not there:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def write_comparison(
    entries: Sequence[Entry],
    names: Sequence[str],
    folder: Path,
    listener: Listener,
    *,
    with_first: bool = False,
    study: Mapping[str, Any] | None = None,
) -> Comparison:
    """Compare entries on the sets called `names`, and write tables and page.

    Args:
        entries: two or more.
        names: sets that all of their runs have.
        folder: to write; what an earlier comparison wrote there is replaced.
        listener: hears how it goes.
        with_first: compare each entry with the first alone.
        study: what a study adds to the page, see `study.page.render`.

    Raises:
        UserError: a set holds other images in one run than in another.
    """
    from striate.evaluation.study import compare_entries, disagreements, page, tables

    listener.stage("comparing", 0, 1)
    runs = [Run(run) for entry in entries for run in entry.runs]
    sets = {name: _answers(runs, name) for name in names}
    result = compare_entries(
        entries,
        sets,
        weights=common_weights(runs, names, listener),
        with_first=with_first,
        looks={name: looks.count(runs[0], name) for name in names},
    )
    gallery = disagreements.choose(result, sets[names[0]], _thumbnails(runs[0], names[0]))
    files.make_folder(folder)
    schemas.write_table(folder / "leaderboard.csv", tables.leaderboard(result))
    schemas.write_table(folder / "differences.csv", tables.differences(result))
    files.write_json(folder / FACTS, result)
    files.write_text(folder / PAGE, page.render(result, entries, gallery, study or {}))
    listener.stage("comparing", 1, 1)
    return Comparison(result, folder, ReportFile(folder / PAGE))


def common_sets(runs: Sequence[Run], split: str | None = None) -> list[str]:
    """Return the names of the sets that all runs were measured on, those that a training has seen left out.

    Raises:
        UserError: there are none, or not `split`.
    """
    of_runs = [run.splits() for run in runs]
    known = [name for name in of_runs[0] if all(name in others for others in of_runs)]
    if split is not None:
        if split not in known:
            raise UserError(unknown_name("common split or set", split, known) if known else _no_common(runs))
        return [split]
    names = [name for name in known if name not in looks.SEEN]
    if not names:
        raise DataError(_no_common(runs))
    return names


def common_weights(runs: Sequence[Run], names: Sequence[str], listener: Listener) -> dict[str, float] | None:
    """Return the weights of several sets, divided by their sum; None where the runs do not agree on them."""
    if len(names) < 2:
        return None
    found = [{name: float(run.sets().get(name, {}).get("weight", 0)) for name in names} for run in runs]
    if any(weights != found[0] for weights in found) or not all(found[0].values()):
        listener.message(
            "The runs weigh their sets differently, so there is no total; --set gives them weights."
        )
        return None
    return {name: weight / sum(found[0].values()) for name, weight in found[0].items()}


def choose_folder(out: PathLike | None, name: str, held: Sequence[str]) -> Path:
    """Return the folder to write: `out`, or a free `runs/<name>`.

    Raises:
        RunError: `out` holds a run, or one of the files `held`.
    """
    run = Run.choose(out, name)
    taken = [file for file in held if os.path.exists(run.folder / file)]
    if taken:
        raise RunError(f"{run.folder} holds {taken[0]} already. Choose another --out.")
    return run.folder


def _refuse_repeats(runs: Sequence[Run]) -> None:
    places = [run.folder.resolve() for run in runs]
    twice = [str(run.folder) for run, place in zip(runs, places, strict=True) if places.count(place) > 1]
    if twice:
        raise UserError(f"{twice[0]} is named twice; a run cannot be compared with itself.")


def _measured(
    runs: Sequence[Run], sets: Mapping[str, Given], folder: Path, device: str, listener: Listener
) -> list[Run]:
    """Measure the model of every run on all `sets`; the evaluations lie below `folder`."""
    from striate.workflows.evaluate import evaluate

    measured = []
    for number, run in enumerate(runs, 1):
        out = folder / "evaluations" / f"{number}" / run.folder.resolve().name
        measured.append(evaluate(run.folder, sets=sets, out=out, device=device, listener=listener))
    return measured


def _answers(runs: Sequence[Run], name: str) -> Answers:
    """Return what all runs answered for the images of one set.

    Raises:
        DataError: they were not measured on the same images.
    """
    from striate.evaluation.study import answers

    what = "test images" if name == "test" else f"images called {name!r}"
    sources = [config.located(images_of(run, name)[0]) for run in runs]
    for run, source in zip(runs, sources, strict=True):
        if source != sources[0]:
            raise DataError(
                f"{runs[0].folder} and {run.folder} were measured on different {what}: those of "
                f"{sources[0]} and of {source}. {answers.WAY_OUT}"
            )
    return answers.gather(((str(run.folder), run.predictions(name)) for run in runs), what)


def _thumbnails(run: Run, name: str) -> Callable[[Sequence[str]], Sequence[bytes | None]]:
    from striate.data import thumbnails

    return thumbnails.reader(*images_of(run, name))


def _no_common(runs: Sequence[Run]) -> str:
    from striate.evaluation.study import answers

    held = "; ".join(f"{run.folder}: {', '.join(run.splits()) or 'nothing'}" for run in runs[:4])
    return f"the runs were not measured on a set that all of them have ({held}). {answers.WAY_OUT}"
