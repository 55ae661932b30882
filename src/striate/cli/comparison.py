"""What people see when a comparison or a study is done: the leaderboard, what differs, the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from striate.cli.results import cell, result_console
from striate.cli.text import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from striate.workflows.ablate import Study
    from striate.workflows.augment_data import AugmentedData
    from striate.workflows.compare import Comparison
    from striate.workflows.robustness import Robustness

TOTAL = "total"
TOP_DIFFERENCES = 15
"""So many differences are printed; the page holds all."""


def show_comparison(found: Comparison | Study) -> None:
    """Print the leaderboard, the differences, the looks at each set, and where the page lies."""
    console = result_console()
    _show_leaderboard(console, found.result)
    console.print()
    _show_differences(console, found.result)
    for entry in found.result["sets"]:
        if entry["looks"]:
            one = entry["looks"] == 1
            answers = "1 set of answers has" if one else f"{entry['looks']:,} different sets of answers have"
            console.print(
                f"{answers} been scored on the {cell(entry['name'])} images so far",
                soft_wrap=True,
            )
    console.print(f"page: {one_line(str(found.page))}", soft_wrap=True, markup=False)


def as_record(found: Comparison | Study) -> dict[str, Any]:
    """Return the result as plain values, for `--log json`; the confusion matrices stand in the file."""
    result = found.result
    entries = [
        entry
        | {
            "scores": {
                name: {metric: value for metric, value in scores.items() if metric != "confusion"}
                for name, scores in entry["scores"].items()
            }
        }
        for entry in result["entries"]
    ]
    return {
        "folder": str(found.folder),
        "page": str(found.page),
        "sets": result["sets"],
        "entries": entries,
        "comparisons": result["comparisons"],
    }


def _show_leaderboard(console: Console, result: Mapping[str, Any]) -> None:
    names = list(result["entries"][0]["scores"])
    table = Table(box=None, pad_edge=False)
    for column in ("rank", "entry", "runs"):
        table.add_column(column, justify="left" if column == "entry" else "right", overflow="fold")
    for name in names:
        table.add_column(cell("weighted" if name == TOTAL else name), justify="right")
        table.add_column("95 % interval", justify="right")
    for entry in sorted(result["entries"], key=lambda entry: int(entry["rank"])):
        row = [str(entry["rank"]), cell(entry["name"]), str(len(entry["runs"]))]
        for name in names:
            row += _score_cells(entry["scores"][name]["accuracy"])
        table.add_row(*row)
    console.print(table)


def _score_cells(score: Mapping[str, Any]) -> list[str]:
    deviation = "" if score["deviation"] is None else f" ± {100 * score['deviation']:.2f}"
    return [f"{score['value']:.2%}{deviation}", f"{score['low']:.1%} to {score['high']:.1%}"]


def _show_differences(console: Console, result: Mapping[str, Any]) -> None:
    names = [entry["name"] for entry in result["entries"]]
    first_set = TOTAL if TOTAL in result["entries"][0]["scores"] else result["sets"][0]["name"]
    rows: Sequence[Mapping[str, Any]] = [row for row in result["comparisons"] if row["set"] == first_set]
    table = Table(box=None, pad_edge=False)
    for column in ("entry", "against", "points", "95 % interval", "p (Holm)", ""):
        table.add_column(
            column, justify="left" if column in ("entry", "against", "") else "right", overflow="fold"
        )
    for row in rows[:TOP_DIFFERENCES]:
        found = row["accuracy"]
        table.add_row(
            cell(names[row["first"]]),
            cell(names[row["second"]]),
            f"{100 * found['difference']:+.1f}",
            f"{100 * found['low']:+.1f} to {100 * found['high']:+.1f}",
            f"{found['p_adjusted']:.3f}" if found["p_adjusted"] >= 0.001 else "< 0.001",
            found["verdict"],
        )
    console.print(table)
    if len(rows) > TOP_DIFFERENCES:
        console.print(f"  {len(rows) - TOP_DIFFERENCES} more stand on the page", soft_wrap=True)


def show_robustness(found: Robustness) -> None:
    """Print what each model loses under each distortion, and where the page lies."""
    console, result = result_console(), found.result
    table = Table(box=None, pad_edge=False)
    for column in ("distortion", *map(cell, result["models"])):
        table.add_column(column, justify="left" if column == "distortion" else "right", overflow="fold")
    for course in result["distortions"]:
        losses = [curve["loss"] for curve in course["curves"]]
        table.add_row(course["name"], *(f"{100 * loss['value']:.1f}" for loss in losses))
    console.print(f"points of accuracy lost, of {result['samples']:,} images, on average over the levels")
    console.print(table)
    console.print(f"page: {one_line(str(found.page))}", soft_wrap=True, markup=False)


def show_augmented(found: AugmentedData) -> None:
    """Print how many images were written, and where."""
    console = result_console()
    console.print(f"{found.images:,} images: {one_line(str(found.data))}", soft_wrap=True, markup=False)
