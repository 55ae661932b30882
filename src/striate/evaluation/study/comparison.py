"""Which of several recipes is better, on which test set, and how sure that is; `docs/studies.md` says how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.evaluation.bootstrap import percentiles
from striate.evaluation.intervals import sum_interval, wilson
from striate.evaluation.pairs import SIGNIFICANCE, holm
from striate.evaluation.study import paired, repeated
from striate.evaluation.study.answers import Answers
from striate.evaluation.study.exchange import exchange_test, with_imagined
from striate.evaluation.study.repeated import Estimate
from striate.evaluation.study.resampling import macro_f1, macro_f1_draws

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
LEVEL = 0.95
TOTAL = "total"
"""Name of the weighted total among the sets; no set may be called so."""
MOST_FOR_EVERY_PAIR = 8
"""With more entries, each is compared with the first alone, lest correction hide every difference."""
ROUNDING = 1e-12
"""Up to which resampled scores are alike."""
FEW = 50
"""Images that differ, below which their spread alone is not trusted."""
NOT_DISTINGUISHABLE = "not distinguishable"
IDENTICAL = "identical"


@dataclass(frozen=True)
class Entry:
    """A recipe and the runs made by it.

    Attributes:
        name: on the page.
        runs: folders of its runs, one a seed.
        seeds: of these runs; None where unknown.
        settings: those in which it differs from other entries.
        network: `name`, `parameters`, `multiply_adds`, as far as known.
        seconds: of training, each run; empty where unknown.
        histories: `schemas.HISTORY_COLUMNS` as numbers, of each run; empty where nothing was trained.
        loss: that was trained, as the settings name it.
    """

    name: str
    runs: tuple[str, ...]
    seeds: tuple[int | None, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    seconds: tuple[float, ...] = ()
    histories: tuple[pd.DataFrame, ...] = ()
    loss: str = "auto"


@dataclass(frozen=True)
class _Measured:
    """One set, or the weighted total of several: the score of every run, and what moves it.

    Attributes:
        accuracy: float64 (R,).
        covariance: float64 (R, R), of the accuracies, due to the images.
        f1: float64 (R,), macro; None for a total.
        f1_draws: float64 (R, B); None for a total.
        correct: bool (R, n); None for a total.
        sets: weight and bool (R, n) of each set that it is made of.
    """

    accuracy: np.ndarray
    covariance: np.ndarray
    f1: np.ndarray | None = None
    f1_draws: np.ndarray | None = None
    correct: np.ndarray | None = None
    sets: tuple[tuple[float, np.ndarray], ...] = ()


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
    parts = _parts([len(entry.runs) for entry in entries])
    measured = {name: _measure(answers) for name, answers in sets.items()}
    if weights:
        measured[TOTAL] = _total(measured, weights)
    pairs = pairs_of(len(entries), with_first)
    comparisons = [
        row
        for name, found in measured.items()
        for row in _compare(name, found, sets.get(name), entries, pairs, level)
    ]
    described = [
        _entry(entry, part, measured, sets, level) for entry, part in zip(entries, parts, strict=True)
    ]
    _rank(described, comparisons, TOTAL if weights else next(iter(sets)))
    return {
        "format": FORMAT,
        "level": level,
        "significance": SIGNIFICANCE,
        "sets": [_set(name, answers, weights, looks) for name, answers in sets.items()],
        "with_first": with_first or len(entries) > MOST_FOR_EVERY_PAIR,
        "entries": described,
        "comparisons": comparisons,
    }


def _parts(sizes: Sequence[int]) -> list[slice]:
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _measure(answers: Answers) -> _Measured:
    classes = len(answers.class_names)
    correct = answers.correct
    covariance = (
        repeated.image_covariance(correct) if len(answers.labels) > 1 else np.zeros((len(correct),) * 2)
    )
    return _Measured(
        accuracy=correct.mean(axis=1),
        covariance=covariance,
        f1=macro_f1(answers.labels, answers.predicted, classes),
        f1_draws=macro_f1_draws(answers.labels, answers.predicted, classes),
        correct=correct,
        sets=((1.0, correct),),
    )


def _total(measured: Mapping[str, _Measured], weights: Mapping[str, float]) -> _Measured:
    """The sets hold different images, so that their errors add up by squares."""
    accuracy = sum(weights[name] * measured[name].accuracy for name in weights)
    covariance = sum(weights[name] ** 2 * measured[name].covariance for name in weights)
    sets = tuple((weight, correct) for name, weight in weights.items() for _, correct in measured[name].sets)
    return _Measured(np.asarray(accuracy), np.asarray(covariance), sets=sets)


def _compare(
    name: str,
    found: _Measured,
    answers: Answers | None,
    entries: Sequence[Entry],
    pairs: Sequence[tuple[int, int]],
    level: float,
) -> list[dict[str, Any]]:
    """Compare the pairs on one set; p values are adjusted for all of them (Holm)."""
    parts = _parts([len(entry.runs) for entry in entries])
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


def _accuracy_difference(found: _Measured, first: slice, second: slice, level: float) -> dict[str, Any]:
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


def _drawn_to_0(found: _Measured, first: slice, second: slice) -> Estimate:
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


def _f1_difference(found: _Measured, first: slice, second: slice, level: float) -> dict[str, Any]:
    """Single runs: the percentile bootstrap; else its covariance, and the seeds.

    Where nothing varied, as with one image a class, which resamples within the classes repeat, the test of
    the right answers stands in.
    """
    assert found.f1 is not None and found.f1_draws is not None and found.correct is not None  # noqa: PT018
    covariance = _covariance(found.f1_draws)
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


def _covariance(draws: np.ndarray) -> np.ndarray:
    """Covariance (R, R) of the runs' resampled scores (R, B); 0 for runs whose scores differ by rounding."""
    covariance = np.atleast_2d(np.cov(draws))
    moved = np.ptp(draws, axis=1) > ROUNDING
    covariance[~moved], covariance[:, ~moved] = 0.0, 0.0
    return covariance


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
    counts = paired.count_pairs(_majority(ours), _majority(theirs))
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


def _majority(correct: np.ndarray) -> np.ndarray:
    """Which images more than half of the runs name correctly, bool (n,)."""
    most: np.ndarray = correct.mean(axis=0) > 0.5
    return most


def _verdict(difference: float, p_adjusted: float, identical: bool) -> str:
    if identical:
        return IDENTICAL
    if p_adjusted >= SIGNIFICANCE or difference == 0:
        return NOT_DISTINGUISHABLE
    return "better" if difference > 0 else "worse"


def _entry(
    entry: Entry, part: slice, measured: Mapping[str, _Measured], sets: Mapping[str, Answers], level: float
) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    for name, found in measured.items():
        scores[name] = {"accuracy": _mean(found.accuracy[part], found.covariance[part, part], level)}
        widen(scores[name]["accuracy"], [(weight, correct[part]) for weight, correct in found.sets], level)
        if found.f1 is not None and found.f1_draws is not None:
            covariance = _covariance(found.f1_draws[part])
            scores[name]["f1"] = _mean(found.f1[part], covariance, level)
            _as_wide(scores[name]["f1"], scores[name]["accuracy"])
        if name in sets:
            scores[name]["confusion"] = _confusion(sets[name], part)
    return {
        "name": entry.name,
        "runs": list(entry.runs),
        "seeds": list(entry.seeds),
        "settings": dict(entry.settings),
        "network": dict(entry.network),
        "seconds": list(entry.seconds),
        "scores": scores,
    }


def widen(accuracy: dict[str, Any], sets: Sequence[tuple[float, np.ndarray]], level: float) -> None:
    """Give one run Wilson's interval; that of several is no narrower than Wilson's for all their answers.

    Args:
        accuracy: `low` and `high`, which are replaced.
        sets: weight and bool (R, n), whether each run names each image correctly, of each set; the intervals
            of several are combined as `evaluate` does.
        level: of the interval.
    """
    lows, highs = np.array([wilson(int(correct.sum()), correct.size, level) for _, correct in sets]).T
    values = np.array([correct.mean() for _, correct in sets])
    low, high = sum_interval(values, lows, highs, np.array([weight for weight, _ in sets]))
    single = len(sets[0][1]) == 1
    accuracy["low"] = max(0.0, low if single else min(low, accuracy["low"]))
    accuracy["high"] = min(1.0, high if single else max(high, accuracy["high"]))


def _as_wide(f1: dict[str, Any], accuracy: Mapping[str, float]) -> None:
    """Give macro F1 the room that accuracy has, where all resamples are alike."""
    if f1["low"] == f1["high"]:
        f1["low"] = max(0.0, f1["value"] - (accuracy["value"] - accuracy["low"]))
        f1["high"] = min(1.0, f1["value"] + (accuracy["high"] - accuracy["value"]))


def _mean(values: np.ndarray, covariance: np.ndarray, level: float) -> dict[str, Any]:
    low, high = repeated.mean(values, covariance).interval(level)
    return {
        "value": float(values.mean()),
        "deviation": float(values.std(ddof=1)) if len(values) > 1 else None,
        "low": max(0.0, low),
        "high": min(1.0, high),
        "runs": values.tolist(),
    }


def _confusion(answers: Answers, part: slice) -> list[list[int]]:
    """Counts over all runs of the entry, (K, K); rows true, columns predicted."""
    classes = len(answers.class_names)
    cells = answers.labels * classes + answers.predicted[part]
    counts = np.bincount(cells.ravel(), minlength=classes * classes)
    rows: list[list[int]] = counts.reshape(classes, classes).tolist()
    return rows


def _rank(entries: Sequence[dict[str, Any]], comparisons: Sequence[Mapping[str, Any]], by: str) -> None:
    """Add `rank`, from 1, by the score in `by`, and `level_with_best`: whether the best is not told apart."""
    order = sorted(range(len(entries)), key=lambda at: -entries[at]["scores"][by]["accuracy"]["value"])
    best = order[0]
    apart = {
        (row["first"], row["second"]): row["accuracy"]["verdict"] in ("better", "worse")
        for row in comparisons
        if row["set"] == by
    }
    for rank, at in enumerate(order, 1):
        known = apart.get((at, best), apart.get((best, at)))
        entries[at] |= {"rank": rank, "level_with_best": at != best and known is False}


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
