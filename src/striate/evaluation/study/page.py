"""The page of a comparison: one HTML file that needs no network, made from plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from striate.evaluation import wording as numbers
from striate.evaluation.report.listing import plain
from striate.evaluation.report.page import environment, template
from striate.evaluation.study import charts, wording
from striate.evaluation.study.comparison import TOTAL
from striate.evaluation.study.entries import Entry
from striate.evaluation.study.robustness import listed
from striate.offline_page import policy, script_json
from striate.version import __version__

SCRIPTS = ("report.js", "comparison.js")
OPEN_SECTIONS = 6
"""So many pairs are shown at once; the others open with a click."""
MOVED_CLASSES = 6
"""So many classes whose recall moved most are listed of a pair."""


def render(
    result: Mapping[str, Any],
    entries: Sequence[Entry],
    gallery: Mapping[str, Any],
    study: Mapping[str, Any],
) -> str:
    """Return the page as HTML text.

    Args:
        result: of `compare_entries`.
        entries: the same entries, with their histories.
        gallery: of `disagreements.choose`.
        study: of an ablation: `title`, `lead`, `messages`, `settings`, `commands`, as far as given.
    """
    style = "\n".join(template(name) for name in ("report.css", "comparison.css"))
    script = "\n".join(template(name) for name in SCRIPTS)
    found = environment()
    found.filters.update(points=wording.points, reach=wording.interval, p=wording.probability)
    return found.get_template("comparison.html.j2").render(
        result=result,
        title=study.get("title", "Comparison"),
        kicker=study.get("kicker", "Comparison"),
        headline=wording.headline(result),
        lead=study.get("lead") or _lead(result),
        remarks=[*wording.kept_early(entries), *wording.remarks(result), *study.get("messages", ())],
        main=wording.main_name(result),
        main_set=result["sets"][0],
        rows=_results(result),
        pairs=_pairs(result),
        sections=_sections(result, entries),
        open_sections=OPEN_SECTIONS,
        settings=plain(dict(study.get("settings", {}))),
        commands=study.get("commands", ()),
        several_sets=len(result["sets"]) > 1,
        repeated=any(len(entry["runs"]) > 1 for entry in result["entries"]),
        total=TOTAL,
        style=style,
        script=script,
        policy=policy(style, script),
        page_data=script_json({"entries": [_for_script(entry) for entry in result["entries"]]}),
        image_data=script_json(gallery),
        version=__version__,
    )


def _for_script(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": entry["name"], "runs": len(entry["runs"])}


def _lead(result: Mapping[str, Any]) -> str:
    sets = listed([f"{entry['samples']:,} {entry['name']}" for entry in result["sets"]])
    runs = sum(len(entry["runs"]) for entry in result["entries"])
    return (
        f"{numbers.counted(len(result['entries']), 'recipe')}, {numbers.counted(runs, 'trained network')}, "
        f"all measured on the same {sets} images."
    )


def _results(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row an entry: its scores, drawn on one scale; the base first, else by rank."""
    main = wording.main_name(result)
    scores = [entry["scores"][main]["accuracy"] for entry in result["entries"]]
    limits = charts.span(
        [value for score in scores for value in (*score["runs"], score["low"], score["high"])]
    )
    against = {row["first"]: row for row in wording.main_rows(result)} if result["with_first"] else {}
    effects = _effect_limits(list(against.values()))
    rows = []
    for number, (entry, score) in enumerate(zip(result["entries"], scores, strict=True)):
        described = ", ".join(numbers.percent(value) for value in score["runs"])
        row = against.get(number)
        rows.append(
            {
                "entry": entry,
                "score": score,
                "f1": next((each["f1"] for each in entry["scores"].values() if "f1" in each), None),
                "strip": charts.runs_strip(score["runs"], score["value"], limits, f"Runs: {described}"),
                "row": row,
                "effect": None if row is None else _effect(row, effects),
                "f1_row": _f1_of(result, number) if result["with_first"] else None,
                "seconds": float(np.mean(entry["seconds"])) if entry["seconds"] else None,
            }
        )
    return rows if result["with_first"] else sorted(rows, key=lambda row: row["entry"]["rank"])


def _f1_of(result: Mapping[str, Any], number: int) -> Mapping[str, Any] | None:
    """The comparison of F1 with the first entry, on the first set."""
    rows = (row for row in result["comparisons"] if "f1" in row and row["first"] == number)
    return next((row["f1"] for row in rows), None)


def _pairs(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for every pair where all are compared; nothing where each is compared with the first."""
    if result["with_first"]:
        return []
    rows = wording.main_rows(result)
    limits = _effect_limits(rows)
    return [{"row": row, "effect": _effect(row, limits), "names": _names(result, row)} for row in rows]


def _effect_limits(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    return charts.span([0.0, *(row["accuracy"][end] for row in rows for end in ("low", "high"))])


def _effect(row: Mapping[str, Any], limits: tuple[float, float]) -> str:
    found = row["accuracy"]
    described = f"{wording.points(found['difference'])} points, {wording.interval(found)}"
    return charts.effect_strip(found, limits, described)


def _names(result: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, str]:
    return result["entries"][row["first"]]["name"], result["entries"][row["second"]]["name"]


def _sections(result: Mapping[str, Any], entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """A section for each pair, about the first set."""
    first_set = result["sets"][0]["name"]
    rows = [row for row in result["comparisons"] if row["set"] == first_set]
    return [_section(result, entries, row, number) for number, row in enumerate(rows)]


def _section(
    result: Mapping[str, Any], entries: Sequence[Entry], row: Mapping[str, Any], number: int
) -> dict[str, Any]:
    names, classes = _names(result, row), result["sets"][0]["class_names"]
    ours, base = (
        np.asarray(result["entries"][row[end]]["scores"][row["set"]]["confusion"])
        for end in ("first", "second")
    )
    histories = entries[row["first"]].histories, entries[row["second"]].histories
    losses = tuple(_loss(entries[row[end]]) for end in ("first", "second"))
    apart = losses[0] != losses[1]
    titles = {"loss": "Loss: lower is better", "accuracy": "Accuracy: higher is better"}
    curves = [
        {"title": title, "drawing": drawing}
        for quantity, title in titles.items()
        if not (apart and quantity == "loss")
        and (drawing := charts.curves_beside(*histories, quantity, names)) is not None
    ]
    return {
        "number": number,
        "names": names,
        "row": row,
        "sentence": wording.pair_sentence(result, row),
        "curves": curves,
        "losses": _no_losses(names, losses) if apart and curves else "",
        "kept": [wording.epochs_kept(entries[row[end]]) for end in ("first", "second")],
        "maps": _maps(ours, base, classes, names) if len(classes) <= charts.MAP_CLASSES else [],
        "moved": _moved(ours, base, classes),
        "runs": min(len(result["entries"][row[end]]["runs"]) for end in ("first", "second")),
    }


def _loss(entry: Entry) -> str:
    """Return what its losses are. Cross-entropy, nll and bce are one number, of different outputs."""
    by_output = entry.network.get("output") == "probability"  # whose loss is squared-error if none is named
    squared = entry.loss == "squared-error" or (entry.loss == "auto" and by_output)
    return "a squared error" if squared else "a cross-entropy"


def _no_losses(names: tuple[str, str], losses: tuple[str, ...]) -> str:
    return (
        f"Losses are not drawn: that of '{names[0]}' is {losses[0]}, that of '{names[1]}' {losses[1]}, and "
        "these have no scale in common."
    )


def _maps(
    ours: np.ndarray, base: np.ndarray, classes: Sequence[str], names: tuple[str, str]
) -> list[dict[str, str]]:
    return [
        {"title": names[1], "drawing": charts.confusion_map(base, classes, f"Confusion of {names[1]}")},
        {"title": names[0], "drawing": charts.confusion_map(ours, classes, f"Confusion of {names[0]}")},
        {
            "title": "what changed",
            "drawing": charts.change_map(ours, base, classes, "Change of the shares of each true class"),
        },
    ]


def _moved(ours: np.ndarray, base: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The classes whose recall moved most."""
    sizes = np.maximum(1, ours.sum(axis=1)), np.maximum(1, base.sum(axis=1))
    recalls = np.diag(ours) / sizes[0], np.diag(base) / sizes[1]
    change = recalls[0] - recalls[1]
    order = [index for index in np.argsort(-np.abs(change), kind="stable").tolist() if change[index]]
    return [
        {
            "name": classes[index],
            "ours": float(recalls[0][index]),
            "base": float(recalls[1][index]),
            "change": float(change[index]),
        }
        for index in order[:MOVED_CLASSES]
    ]
