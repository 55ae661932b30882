"""What a comparison compares: recipes with the runs made by them, their scores and their ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.evaluation.intervals import sum_interval, wilson
from striate.evaluation.study import repeated
from striate.evaluation.study.answers import Answers
from striate.evaluation.study.measured import Measured, f1_covariance

if TYPE_CHECKING:
    import pandas as pd


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


def describe(
    entry: Entry, part: slice, measured: Mapping[str, Measured], sets: Mapping[str, Answers], level: float
) -> dict[str, Any]:
    """Return what `comparison.json` says of an entry, but for its rank.

    Args:
        entry: to describe.
        part: where its runs stand among those of all entries.
        measured: by the name of the set, and the total.
        sets: the answers, by the name of the set.
        level: of the intervals.
    """
    scores: dict[str, Any] = {}
    for name, found in measured.items():
        scores[name] = {"accuracy": _mean(found.accuracy[part], found.covariance[part, part], level)}
        widen(scores[name]["accuracy"], [(weight, correct[part]) for weight, correct in found.sets], level)
        if found.f1 is not None and found.f1_draws is not None:
            covariance = f1_covariance(found.f1_draws[part])
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


def rank(entries: Sequence[dict[str, Any]], comparisons: Sequence[Mapping[str, Any]], by: str) -> None:
    """Add `rank`, from 1, by the score in `by`, and `level_with_best`: whether the best is not told apart."""
    order = sorted(range(len(entries)), key=lambda at: -entries[at]["scores"][by]["accuracy"]["value"])
    best = order[0]
    apart = {
        (row["first"], row["second"]): row["accuracy"]["verdict"] in ("better", "worse")
        for row in comparisons
        if row["set"] == by
    }
    for place, at in enumerate(order, 1):
        known = apart.get((at, best), apart.get((best, at)))
        entries[at] |= {"rank": place, "level_with_best": at != best and known is False}


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
