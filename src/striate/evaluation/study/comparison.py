"""Which of several recipes is better, on which test set, and how sure that is; `docs/studies.md` says how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from striate.evaluation.bootstrap import percentiles
from striate.evaluation.intervals import LEVEL
from striate.evaluation.pairs import SIGNIFICANCE, holm
from striate.evaluation.study import paired, repeated
from striate.evaluation.study.answers import Answers, majority, parts_of
from striate.evaluation.study.entries import Entry, describe, rank
from striate.evaluation.study.exchange import exchange_test, with_imagined
from striate.evaluation.study.measured import Measured, f1_covariance, measure, total
from striate.evaluation.study.repeated import Estimate

FORMAT = 1
TOTAL = "total"
"""Name of the weighted total among the sets; no set may be called so."""
MOST_FOR_EVERY_PAIR = 8
"""With more entries, each is compared with the first alone, lest correction hide every difference."""
FEW = 50
"""Images that differ, below which their spread alone is not trusted."""
NOT_DISTINGUISHABLE = "not distinguishable"
IDENTICAL = "identical"


def pairs_of(entries: int, with_first: bool) -> list[tuple[int, int]]:
    """Return which entries are compared, as positions (judged, compared with)."""
    if with_first or entries > MOST_FOR_EVERY_PAIR:
        return [(number, 0) for number in range(1, entries)]
    return [(later, earlier) for earlier, later in combinations(range(entries), 2)]


def compare_entries(
    entries: Sequence[Entry],
    sets: Mapping[str, Answers],
    *,
    weights: Mapping[str, float] | None = None,
    with_first: bool = False,
    looks: Mapping[str, int] | None = None,
    level: float = LEVEL,
) -> dict[str, Any]:
    """Return what `comparison.json` holds.

    Args:
        entries: two or more.
        sets: name -> the answers of all runs of all entries, in their order, for the images of that set.
        weights: of the sets in the total, which add up to 1; None: no total.
        with_first: compare each entry with the first alone, not every pair.
        looks: how often each set has been looked at, as far as known.
        level: of the intervals.
    """
    parts = parts_of([len(entry.runs) for entry in entries])
    measured = {name: measure(answers) for name, answers in sets.items()}
    if weights:
        measured[TOTAL] = total(measured, weights)
    pairs = pairs_of(len(entries), with_first)
    comparisons = [
        row
        for name, found in measured.items()
        for row in _compare(name, found, sets.get(name), entries, pairs, level)
    ]
    described = [
        describe(entry, part, measured, sets, level) for entry, part in zip(entries, parts, strict=True)
    ]
    rank(described, comparisons, TOTAL if weights else next(iter(sets)))
    return {
        "format": FORMAT,
        "level": level,
        "significance": SIGNIFICANCE,
        "sets": [_set(name, answers, weights, looks) for name, answers in sets.items()],
        "with_first": with_first or len(entries) > MOST_FOR_EVERY_PAIR,
        "entries": described,
        "comparisons": comparisons,
    }


def _compare(
    name: str,
    found: Measured,
    answers: Answers | None,
    entries: Sequence[Entry],
    pairs: Sequence[tuple[int, int]],
    level: float,
) -> list[dict[str, Any]]:
    """Compare the pairs on one set; p values are adjusted for all of them (Holm)."""
    parts = parts_of([len(entry.runs) for entry in entries])
    rows = []
    for first, second in pairs:
        row: dict[str, Any] = {"set": name, "first": first, "second": second}
        row["accuracy"] = _accuracy_difference(found, parts[first], parts[second], level)
        if answers is not None:
            row["f1"] = _f1_difference(found, parts[first], parts[second], level)
            matched = _matched_runs(entries[first], entries[second])
            row |= _agreement(answers, parts[first], parts[second], matched, level)
        rows.append(row)
    for metric in ("accuracy", "f1") if answers is not None else ("accuracy",):
        adjusted = holm([row[metric]["p_value"] for row in rows])
        for row, p_adjusted in zip(rows, adjusted, strict=True):
            row[metric]["p_adjusted"] = p_adjusted
            row[metric]["verdict"] = _verdict(
                row[metric]["difference"], p_adjusted, row.get("identical", False)
            )
    return rows


def _accuracy_difference(found: Measured, first: slice, second: slice, level: float) -> dict[str, Any]:
    """Single runs on a set: McNemar's exact test, Newcombe's interval; else seeds and images together.

    So that a few images prove no more than they can, two are imagined, and where fewer than `FEW` differ in a
    set, the p value is no smaller than that of swapping the answers at random.
    """
    value = float(found.accuracy[first].mean() - found.accuracy[second].mean())
    result = _described(_drawn_to_0(found, first, second), level) | {"difference": value}
    result |= {"low": min(result["low"], value), "high": max(result["high"], value)}
    if found.correct is not None and first.stop - first.start == second.stop - second.start == 1:
        counts = paired.count_pairs(found.correct[first][0], found.correct[second][0])
        low, high = paired.difference_interval(counts, level)
        exact = {"p_value": paired.mcnemar(counts), "test": "McNemar, exact"}
        return result | {"low": low, "high": high} | exact
    differences = [_wins(correct, first, second) for _, correct in found.sets]
    if min(map(np.count_nonzero, differences)) >= FEW:
        return result
    weights = [weight / correct.shape[1] for weight, correct in found.sets]
    return result | {"p_value": max(result["p_value"], exchange_test(differences, weights))}


def _drawn_to_0(found: Measured, first: slice, second: slice) -> Estimate:
    """The difference of two recipes with an imagined image for each in every set."""
    runs = first.stop - first.start
    chosen = np.r_[first, second]
    answers = [(weight, with_imagined(correct[chosen], runs)) for weight, correct in found.sets]
    covariance = sum(weight**2 * repeated.image_covariance(correct) for weight, correct in answers)
    estimate = repeated.difference(found.accuracy[first], found.accuracy[second], np.asarray(covariance))
    means = sum(weight * correct.mean(axis=1) for weight, correct in answers)
    return replace(estimate, value=float(np.mean(means[:runs]) - np.mean(means[runs:])))


def _wins(correct: np.ndarray, first: slice, second: slice) -> np.ndarray:
    """Of how many pairs of runs the first alone names each image, less those of the second, int64 (n,)."""
    ours, theirs = correct[first].astype(np.int64), correct[second].astype(np.int64)
    wins: np.ndarray = ours.sum(axis=0) * len(theirs) - theirs.sum(axis=0) * len(ours)
    return wins


def _f1_difference(found: Measured, first: slice, second: slice, level: float) -> dict[str, Any]:
    """Single runs: the percentile bootstrap; else its covariance, and the seeds.

    Where nothing varied, as with one image a class, which resamples within the classes repeat, the test of
    the right answers stands in.
    """
    assert found.f1 is not None and found.f1_draws is not None and found.correct is not None  # noqa: PT018
    covariance = f1_covariance(found.f1_draws)
    result = _described(_difference(found.f1, covariance, first, second), level)
    if result["error"] == 0:
        of_right = _accuracy_difference(found, first, second, level)
        ends = {
            "low": min(result["low"], of_right["low"]),
            "high": max(result["high"], of_right["high"]),
        }
        return result | ends | {"p_value": of_right["p_value"], "test": of_right["test"]}
    if first.stop - first.start > 1 or second.stop - second.start > 1:
        return result
    drawn = found.f1_draws[first][0] - found.f1_draws[second][0]
    low, high = percentiles(drawn, level)
    ends = {"low": min(float(low), result["difference"]), "high": max(float(high), result["difference"])}
    return result | ends | {"p_value": _percentile_p(drawn), "test": "paired bootstrap"}


def _difference(values: np.ndarray, covariance: np.ndarray, first: slice, second: slice) -> Estimate:
    chosen = np.r_[first, second]
    return repeated.difference(values[first], values[second], covariance[np.ix_(chosen, chosen)])


def _described(estimate: Estimate, level: float) -> dict[str, Any]:
    low, high = estimate.interval(level)
    return {
        "difference": estimate.value,
        "low": max(-1.0, low),
        "high": min(1.0, high),
        "error": estimate.error,
        "p_value": estimate.p_value,
        "detectable": estimate.detectable(level),
        "test": "runs and images",
    }


def _percentile_p(drawn: np.ndarray) -> float:
    """Twice the smaller share of resamples on either side of 0, never 0 (Davison and Hinkley 1997, 4.2)."""
    below, above = np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0)
    return float(min(1.0, 2 * (min(below, above) + 1) / (len(drawn) + 1)))


def _matched_runs(first: Entry, second: Entry) -> list[tuple[int, int, int | None]]:
    """Return which runs belong together, as positions in both entries, and their seed.

    Those of the same seed do, where both know their seeds and share any; else those in the same place.
    """
    ours, theirs = _places(first), _places(second)
    shared = sorted(ours.keys() & theirs.keys())
    if shared:
        return [(ours[seed], theirs[seed], seed) for seed in shared]
    return [(place, place, None) for place in range(min(len(first.runs), len(second.runs)))]


def _places(entry: Entry) -> dict[int, int]:
    """Where the run of each seed stands; empty where the seeds are not known."""
    places = {seed: place for place, seed in enumerate(entry.seeds) if seed is not None}
    return places if len(places) == len(entry.runs) else {}


def _agreement(
    answers: Answers,
    first: slice,
    second: slice,
    matched: Sequence[tuple[int, int, int | None]],
    level: float,
) -> dict[str, Any]:
    """Return on how many images the two agree, seed by seed and by the majority of each one's runs."""
    ours, theirs = answers.correct[first], answers.correct[second]
    counts = paired.count_pairs(majority(ours), majority(theirs))
    seeds = [(seed, paired.count_pairs(ours[one], theirs[other])) for one, other, seed in matched]
    answered, against = answers.predicted[first], answers.predicted[second]
    alike = all(np.array_equal(answered[one], against[other]) for one, other, _ in matched)
    return {
        "counts": _counted(counts),
        "mcnemar": [
            {"seed": seed} | _counted(each) | {"p_value": paired.mcnemar(each)} for seed, each in seeds
        ],
        "odds_ratio": paired.odds_ratio(counts, level),
        "identical": alike and len(matched) == len(ours) == len(theirs),
    }


def _counted(counts: paired.Paired) -> dict[str, int]:
    return {
        "both": counts.both,
        "only_first": counts.only_first,
        "only_second": counts.only_second,
        "neither": counts.neither,
    }


def _verdict(difference: float, p_adjusted: float, identical: bool) -> str:
    if identical:
        return IDENTICAL
    if p_adjusted >= SIGNIFICANCE or difference == 0:
        return NOT_DISTINGUISHABLE
    return "better" if difference > 0 else "worse"


def _set(
    name: str, answers: Answers, weights: Mapping[str, float] | None, looks: Mapping[str, int] | None
) -> dict[str, Any]:
    return {
        "name": name,
        "samples": len(answers.labels),
        "weight": (weights or {}).get(name),
        "looks": (looks or {}).get(name),
        "class_names": list(answers.class_names),
    }
