"""The table of classes, the pairs that are confused most, and how many images each class has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from striate.evaluation import wording
from striate.evaluation.counts import FEW_IMAGES
from striate.evaluation.report import svg

BALANCE_ROWS = 30
"""With more classes, their sizes are drawn as one profile instead of a bar each."""
SCALED_CLASSES = 200
"""With more classes, recall is not drawn beside its number."""
_METRICS = {
    "recall": "recall",
    "precision": "precision",
    "f1": "F1",
    "roc_auc": "ROC area",
    "average_precision": "average precision",
}
_BAR = 240


@dataclass(frozen=True)
class ClassTable:
    """The table of classes.

    Attributes:
        metrics: key -> title of the columns.
        splits: those whose images are counted beside the measured ones.
        rows: one a class: its entry, and `number`, `counts`, `few`, `scale` (a drawing of recall).
        lowest: what to know of it in a sentence.
    """

    metrics: Mapping[str, str]
    splits: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    lowest: str


def table(entry: Mapping[str, Any], counts: Mapping[str, Sequence[int]], split: str) -> ClassTable:
    """Return the table of an entry of `metrics.json`, with the other splits' images of each class."""
    per_class = entry["per_class"]
    others = [name for name in counts if name != split]
    rows = [
        {
            **row,
            "number": index + 1,
            "counts": [counts[name][index] for name in others],
            "few": is_few(row),
            "scale": _scale(row) if len(per_class) <= SCALED_CLASSES else "",
        }
        for index, row in enumerate(per_class)
    ]
    metrics = {key: title for key, title in _METRICS.items() if any(row.get(key) for row in per_class)}
    return ClassTable(metrics, others, rows, _lowest(per_class))


def is_few(row: Mapping[str, Any]) -> bool:
    """Whether a class has images, but too few to be judged by them."""
    return bool(row["samples"] > 0 and row.get("few", row["samples"] < FEW_IMAGES))


def _scale(row: Mapping[str, Any]) -> str:
    """Draw recall and its interval on a line from 0 to 100 %; nothing where the class has no images."""
    if "recall" in row["undefined"]:
        return ""
    recall = row["recall"]
    low, high, value = (100 * recall[end] for end in ("low", "high", "value"))
    span = f"M{low:.1f} 3H{max(high, low + 0.6):.1f}V9H{low:.1f}z"
    mark = f"M{min(value, 98.4):.1f} 1h1.6v10h-1.6z"
    parts = [svg.element("path", d=span, class_="span"), svg.element("path", d=mark, class_="mark")]
    return svg.element(
        "svg",
        "".join(parts),
        viewBox="0 0 100 12",
        class_="scale",
        aria_hidden="true",
        preserveAspectRatio="none",
    )


def _lowest(per_class: Sequence[Mapping[str, Any]]) -> str:
    judged = [row for row in per_class if row["samples"] and not is_few(row)]
    if len(judged) < 2:
        return ""
    low = min(judged, key=lambda row: row["recall"]["value"])
    high = max(judged, key=lambda row: row["recall"]["value"])
    if low["recall"]["value"] == high["recall"]["value"]:
        share = wording.percent(low["recall"]["value"])
        return f"Every class with enough images is found equally often: {share}."
    return (
        f"Found least often: '{wording.shorten(low['name'])}', {wording.percent(low['recall']['value'])} of "
        f"{low['samples']:,}; most often: '{wording.shorten(high['name'])}', "
        f"{wording.percent(high['recall']['value'])} of {high['samples']:,}."
    )


def pairs(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the most confused pairs, with the positions of their classes and a verdict in words."""
    per_class = entry["per_class"]
    places = {row["name"]: index for index, row in enumerate(per_class)}
    return [
        {
            **pair,
            "places": (places[pair["first"]], places[pair["second"]]),
            "of": tuple(per_class[places[pair[key]]]["samples"] for key in ("first", "second")),
            "words": _verdict(pair),
        }
        for pair in entry.get("confused_pairs", ())
    ]


def _verdict(pair: Mapping[str, Any]) -> str:
    if pair["verdict"] == "one-sided":
        return "one-sided"
    return {"too few": "too few to tell"}.get(pair["verdict"], "no direction shown")


@dataclass(frozen=True)
class Balance:
    """How many images each class has: a bar each, or a profile of many classes.

    Attributes:
        splits: names of the splits.
        rows: (name, images of each split, drawing of the bar).
        profile: drawing of all classes by size, instead of rows.
        words: the finding.
    """

    splits: Sequence[str]
    rows: Sequence[tuple[str, Sequence[int], str]]
    profile: str
    words: str


def balance(counts: Mapping[str, Sequence[int]], names: Sequence[str]) -> Balance | None:
    """Return the class balance, or None where nothing was counted."""
    if not counts:
        return None
    columns = list(zip(*counts.values(), strict=True))
    totals = [sum(column) for column in columns]
    words = _balance_in_words(totals, names)
    splits = list(counts)
    if len(names) > BALANCE_ROWS:
        return Balance(splits, (), _profile(totals, words), words)
    most = max(totals) or 1
    rows = [(name, column, _bar(column, splits, most)) for name, column in zip(names, columns, strict=True)]
    return Balance(splits, rows, "", words)


def _balance_in_words(totals: Sequence[int], names: Sequence[str]) -> str:
    smallest, largest = min(totals), max(totals)
    if smallest == largest:
        return f"Every class has {wording.counted(smallest, 'image')}."
    low, high = (wording.shorten(names[totals.index(value)]) for value in (smallest, largest))
    words = f"'{low}' has the fewest images ({smallest:,}), '{high}' the most ({largest:,}"
    if smallest and (times := largest / smallest) >= 1.5:
        words += f", {times:.1f} times as many" if times < 10 else f", {times:.0f} times as many"
    return words + ")."


def _bar(column: Sequence[int], splits: Sequence[str], most: int) -> str:
    parts, start = [], 0.0
    for count, split in zip(column, splits, strict=True):
        width = _BAR * count / most
        parts.append(svg.element("rect", x=start, y=0, width=width, height=12, class_=f"share {split}"))
        start += width
    return svg.element(
        "svg",
        "".join(parts),
        viewBox=f"0 0 {_BAR} 12",
        class_="bar",
        aria_hidden="true",
        preserveAspectRatio="none",
    )


def _profile(totals: Sequence[int], words: str) -> str:
    ranked = sorted(totals, reverse=True)
    most = ranked[0] or 1
    width, height = 600, 110
    step = width / len(ranked)
    top = "".join(
        f"L{index * step:.1f} {height - 100 * total / most:.1f}H{(index + 1) * step:.1f}"
        for index, total in enumerate(ranked)
    )
    parts = [
        svg.element("path", d=f"M0 {height}{top}V{height}z", class_="share train"),
        svg.line(0, height, width, height, "axis"),
        svg.text(f"{most:,} images", 4, 8, "tick"),
    ]
    description = f"Images of each class, the largest first. {words}"
    return svg.drawing(width, height + 2, parts, description, "profile")
