"""The findings of a comparison in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.evaluation.history import chosen_epoch, has_validation
from striate.evaluation.study.comparison import IDENTICAL, NOT_DISTINGUISHABLE, TOTAL
from striate.evaluation.study.entries import Entry
from striate.evaluation.wording import counted, percent, shorten

if TYPE_CHECKING:
    import pandas as pd

MINUS = "\N{MINUS SIGN}"
MANY_LOOKS = 20
"""From so many looks at a test set on, its best score is said to flatter."""
LATER_GAIN = 0.02
"""Where the last epoch has so much more of the validation images right than the kept one, it is said."""


def points(share: float, digits: int = 1, *, sign: bool = True) -> str:
    """Return a difference of shares in percentage points: `+5.1`; less than 0 with a minus sign."""
    text = f"{100 * share:{'+' if sign else ''}.{digits}f}"
    return text.replace("-", MINUS) if float(text) else text.lstrip("+-")


def interval(found: Mapping[str, Any]) -> str:
    """Return the limits of a difference in points."""
    return f"{points(found['low'])} to {points(found['high'])}"


def probability(p_value: float) -> str:
    """Return a p value as papers write it."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}" if p_value < 0.1 else f"p = {p_value:.2f}"


def headline(result: Mapping[str, Any]) -> str:
    """Return what was found, in one sentence."""
    rows = main_rows(result)
    if len(rows) == 1:
        return pair_sentence(result, rows[0])
    if result["with_first"]:
        return _against_first(result, rows)
    best = min(result["entries"], key=lambda entry: entry["rank"])
    level = [entry["name"] for entry in result["entries"] if entry["level_with_best"]]
    score = percent(best["scores"][main_name(result)]["accuracy"]["value"])
    if not level:
        return f"{_quoted(best)} leads with {score}, and every other is distinguishable from it."
    names = _listed([f"'{shorten(name)}'" for name in level])
    return f"{_quoted(best)} has the highest score, {score}, but is not distinguishable from {names}."


def pair_sentence(result: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Return what a comparison of two entries found, with the interval of the difference."""
    first, second = (result["entries"][row[end]] for end in ("first", "second"))
    found, name = row["accuracy"], row["set"]
    if found["verdict"] == IDENTICAL:
        return f"{_quoted(first)} and {_quoted(second)} answered every image alike."
    if found["verdict"] == "worse" and not result["with_first"]:
        return _turned(result, row)
    difference = f"{points(found['difference'])} points ({interval(found)})"
    if found["verdict"] == NOT_DISTINGUISHABLE:
        return f"{_quoted(first)} is not distinguishable from {_quoted(second)}: {difference}."
    scores = [percent(entry["scores"][name]["accuracy"]["value"]) for entry in (first, second)]
    what = "in the weighted total" if name == TOTAL else f"of the {name} images"
    return (
        f"{_quoted(first)} is {found['verdict']} than {_quoted(second)}: {scores[0]} against {scores[1]} "
        f"{what}, {difference}."
    )


def _turned(result: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Say a finding of an entry that is worse with the better one first."""
    found = row["accuracy"]
    flipped = {"difference": -found["difference"], "low": -found["high"], "high": -found["low"]}
    turned = {"first": row["second"], "second": row["first"]}
    return pair_sentence(result, {**row, **turned, "accuracy": {**found, **flipped, "verdict": "better"}})


def remarks(result: Mapping[str, Any]) -> list[str]:
    """Return what must be known to judge the findings, the weightiest first."""
    return [
        text for text in (_single_runs(result), _looks(result), _identical(result), _unseen(result)) if text
    ]


def kept_early(entries: Sequence[Entry]) -> list[str]:
    """Return which entries have the weights of an early epoch, though the last was right more often."""
    return [text for entry in entries if (text := _kept_early(entry))]


def _kept_early(entry: Entry) -> str:
    if not entry.histories or not all(has_validation(table) for table in entry.histories):
        return ""
    kept = [chosen_epoch(table) or 0 for table in entry.histories]
    last = [int(table["epoch"].iloc[-1]) for table in entry.histories]
    before, after = (
        float(np.mean([_val_accuracy(*each) for each in zip(entry.histories, epochs, strict=True)]))
        for epochs in (kept, last)
    )
    if any(epoch == end for epoch, end in zip(kept, last, strict=True)) or not after - before >= LATER_GAIN:
        return ""
    return (
        f"'{shorten(entry.name, 60)}' was measured with the weights of {epochs_kept(entry)} of {max(last)}, "
        f"of the lowest validation loss. After the last epoch it named {percent(after)} of the validation "
        f"images correctly, there {percent(before)}: with best-by last, or val_accuracy, the judgement may "
        "be another."
    )


def _val_accuracy(history: pd.DataFrame, epoch: int) -> float:
    return float(history.loc[history["epoch"] == epoch, "val_accuracy"].iloc[-1])


def epochs_kept(entry: Entry) -> str:
    """Return the epochs whose weights were kept, over the runs: "epoch 8" or "epochs 7 to 9"."""
    kept = [epoch for table in entry.histories if (epoch := chosen_epoch(table)) is not None]
    if not kept:
        return ""
    low, high = min(kept), max(kept)
    return f"epoch {low}" if low == high else f"epochs {low} to {high}"


def main_name(result: Mapping[str, Any]) -> str:
    """Return the set that entries are ranked by: the total where there is one."""
    return TOTAL if any(entry["weight"] for entry in result["sets"]) else str(result["sets"][0]["name"])


def main_rows(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the comparisons by what entries are ranked by."""
    return [row for row in result["comparisons"] if row["set"] == main_name(result)]


def seeds(entry: Mapping[str, Any]) -> str:
    """Return how often an entry was trained."""
    return counted(len(entry["runs"]), "run")


def _against_first(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    base = _quoted(result["entries"][0])
    told = []
    for verdict in ("better", "worse"):
        found = sorted(
            (row for row in rows if row["accuracy"]["verdict"] == verdict),
            key=lambda row: -abs(row["accuracy"]["difference"]),
        )
        if found:
            names = [
                f"{_quoted(result['entries'][row['first']])} ({points(row['accuracy']['difference'])})"
                for row in found
            ]
            told.append(f"{_listed(names)} {'is' if len(found) == 1 else 'are'} {verdict} than {base}")
    open_ones = [row for row in rows if row["accuracy"]["verdict"] in (NOT_DISTINGUISHABLE, IDENTICAL)]
    if not told:
        return f"None of the {len(rows)} changes is distinguishable from {base}."
    if open_ones:
        listed = _listed([_quoted(result["entries"][row["first"]]) for row in open_ones])
        told.append(f"{listed} {'is' if len(open_ones) == 1 else 'are'} not distinguishable from it")
    return f"{'; '.join(told)}."


def _single_runs(result: Mapping[str, Any]) -> str:
    single = [entry for entry in result["entries"] if len(entry["runs"]) == 1]
    if not single:
        return ""
    if len(single) == len(result["entries"]):
        return (
            "Each network was trained once, so the tests speak of these very networks. Another seed moves an "
            "accuracy too, and by how much was not measured: train each with several seeds (--seed) to "
            "compare recipes."
        )
    names = _listed([_quoted(entry) for entry in single])
    return f"{names} ran once; the deviation of the others stands for the one that it lacks."


def _looks(result: Mapping[str, Any]) -> str:
    texts = [
        f"{entry['looks']} different sets of answers have been scored on the {entry['name']} images so far"
        for entry in result["sets"]
        if (entry["looks"] or 0) >= MANY_LOOKS
    ]
    if not texts:
        return ""
    return f"{' and '.join(texts)}. The best of so many flatters: keep images that nobody has looked at."


def _identical(result: Mapping[str, Any]) -> str:
    pairs = [row for row in result["comparisons"] if row.get("identical")]
    if not pairs:
        return ""
    row, names = pairs[0], [entry["name"] for entry in result["entries"]]
    return (
        f"'{shorten(names[row['first']])}' and '{shorten(names[row['second']])}' gave the same answer to "
        "every image: what was changed had no effect on these answers."
    )


def _unseen(result: Mapping[str, Any]) -> str:
    """How small a difference could have been missed, where something was not distinguishable."""
    missed = [row["accuracy"]["detectable"] for row in main_rows(result) if _is_open(row)]
    if not any(missed):
        return ""
    return (
        "Not distinguishable does not mean equal: differences below about "
        f"{points(max(missed), sign=False)} points would have escaped this comparison in one case of five or "
        "more. More seeds or more test images would show smaller ones."
    )


def _is_open(row: Mapping[str, Any]) -> bool:
    return bool(row["accuracy"]["verdict"] == NOT_DISTINGUISHABLE)


def _quoted(entry: Mapping[str, Any]) -> str:
    return f"'{shorten(entry['name'], 60)}'"


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = [*names[:most], *([f"{len(names) - most} more"] if len(names) > most else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
