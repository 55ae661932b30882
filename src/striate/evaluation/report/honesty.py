"""What an audit found among the images of a training: the part of the report about the data itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from striate.evaluation import wording
from striate.evaluation.context import ReportContext

LEAKS = 20
"""So many leaked images are listed; `audit.json` holds all."""
_VERDICTS = {"strong": "a shortcut, strong", "some": "a shortcut", "none": "no"}


@dataclass(frozen=True)
class Honesty:
    """What is shown of an audit.

    Attributes:
        findings: sentences, or why there was no audit.
        audited: whether there was one; everything that follows is empty without.
        counts: what was counted, and how many.
        accuracies: (split, with all images, without those that have a copy in train), as entries of
            `metrics.json`.
        leaks: images of val and test and their copies in train; `more` are not listed.
        shortcuts: (cue, accuracy as `value`, `low`, `high`, chance, verdict).
    """

    findings: Sequence[str]
    audited: bool
    counts: Sequence[tuple[str, int]] = ()
    accuracies: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = ()
    leaks: Sequence[Mapping[str, str]] = ()
    more: int = 0
    shortcuts: Sequence[tuple[str, Mapping[str, float], float, str]] = ()


def of_context(context: ReportContext) -> Honesty | None:
    """Return what to show; None for a run without audit, such as an older one."""
    found = context.audit
    if why := found.get("skipped"):
        return Honesty((f"The data was not audited: {why}.",), audited=False)
    if "duplicates" not in found:
        return None
    leaks = found.get("leaks", ())
    return Honesty(
        found["sentences"] or ("Nothing was found: no copies, no shortcuts.",),
        True,
        _counts(found),
        _accuracies(context.metrics),
        leaks[:LEAKS],
        max(0, len(leaks) - LEAKS),
        [_shortcut(row) for row in found["shortcuts"]],
    )


def _counts(found: Mapping[str, Any]) -> list[tuple[str, int]]:
    duplicates = found["duplicates"]
    rows = [
        ("images looked at", found["images"]),
        ("images with a copy", duplicates["images"]),
        ("groups of copies", duplicates["groups"]),
        ("of these, the same file or pixels", duplicates["exact_groups"]),
        ("groups in several splits", duplicates["across_splits"]),
        ("groups with different labels", duplicates["conflicting_labels"]),
    ]
    for split, count in duplicates["leaked"].items():
        rows.append((f"{wording.image_kind(split)}s with a copy in train", count))
    return rows


def _accuracies(metrics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    return [
        (split, metrics[split], metrics[split]["without_leaked"])
        for split in ("test", "val")
        if metrics.get(split, {}).get("without_leaked", {}).get("left_out")
    ]


def _shortcut(row: Mapping[str, Any]) -> tuple[str, Mapping[str, float], float, str]:
    accuracy = {"value": row["balanced_accuracy"], "low": row["low"], "high": row["high"]}
    return row["cue"], accuracy, row["chance"], _VERDICTS[row["strength"]]
