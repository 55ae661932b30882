"""The confusion matrix as the page shows it: a grid, or for many classes an overview and groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate.evaluation import wording
from striate.evaluation.metrics import confusion_matrix
from striate.evaluation.report import svg

GRID_CLASSES = 30
"""Up to so many classes stand in one grid."""
GROUP_CLASSES = 12
"""No group of classes is larger."""
GROUPS = 24
"""So many groups are drawn; every class can be searched."""
GROUP_SHARE = 0.01
"""Classes stand together if on average this share of their images is taken for one another, and 2 images."""
_STEPS = (0.005, 0.03, 0.1, 0.2, 0.35, 0.6, 0.85)
"""Shares of the true class at which a cell's colour changes: finer where mistakes lie."""
_TELLING = 3  # mistakes between two classes that are worth a sentence
_SMALLEST_MARK = 0.004  # of the overview's side


@dataclass(frozen=True)
class Cell:
    """A cell of the grid: positions of its classes, its count, share of the row and colour."""

    true: int
    predicted: int
    count: int
    share: str
    look: str


@dataclass(frozen=True)
class Row:
    """A true class of a grid: its name, its cells, and its images that were taken for classes elsewhere."""

    name: str
    samples: int
    cells: Sequence[Cell]
    elsewhere: int


@dataclass(frozen=True)
class Grid:
    """A grid of classes against themselves."""

    names: Sequence[str]
    rows: Sequence[Row]
    mistakes: int


@dataclass(frozen=True)
class Confusion:
    """What the section shows: one grid of all classes, or an overview and groups.

    Attributes:
        grid: of all classes, up to `GRID_CLASSES`.
        groups: grids of classes that are taken for one another, those with most mistakes first.
        overview: drawing of the whole matrix, in the order of `order`.
        order: positions of the classes, those of a group side by side.
        within: share of all mistakes that lie in `groups`.
    """

    grid: Grid | None
    groups: Sequence[Grid] = ()
    overview: str = ""
    order: Sequence[int] = ()
    within: float = 0.0


def of_entry(entry: Mapping[str, Any]) -> Confusion:
    """Return what is shown of the confusion matrix of an entry of `metrics.json`."""
    counts = confusion_matrix(entry)
    names = [row["name"] for row in entry["per_class"]]
    if len(names) <= GRID_CLASSES:
        return Confusion(_grid(counts, names, range(len(names))))
    found = groups(counts)
    order = [index for group in found for index in group]
    shown = sorted(found, key=lambda group: -_mistakes(counts, group))
    drawn = [_grid(counts, names, group) for group in shown[:GROUPS] if len(group) > 1]
    mistakes = int(counts.sum() - np.trace(counts))
    within = sum(grid.mistakes for grid in drawn) / mistakes if mistakes else 0.0
    return Confusion(None, drawn, _overview(counts[np.ix_(order, order)]), order, within)


def in_words(entry: Mapping[str, Any]) -> str:
    """Return the finding: which two classes are confused most, where there are mistakes enough to say so."""
    mistakes = entry["samples"] - entry["correct"]
    if not mistakes:
        return "No mistake was made on these images."
    pairs = entry.get("confused_pairs", ())
    count = pairs[0]["first_as_second"] + pairs[0]["second_as_first"] if pairs else 0
    if count < _TELLING:
        return f"{wording.counted(mistakes, 'mistake')}, no two classes confused more than twice."
    first, second = (wording.shorten(pairs[0][key]) for key in ("first", "second"))
    return f"Confused most: '{first}' and '{second}', {count:,} of {wording.counted(mistakes, 'mistake')}."


def groups(counts: np.ndarray, largest: int = GROUP_CLASSES) -> list[list[int]]:
    """Return all classes in groups of those that are taken for one another, the largest groups first.

    Pairs are taken in the order of their mutual confusion (the mean of both directions' shares). The groups
    of both classes are joined if they then hold no more than `largest` classes, and if the mean confusion
    between them is high enough too, so that groups do not grow into chains. Classes that are hardly
    confused stay alone, in their own order.

    Args:
        counts: int (K, K); rows are true classes, columns predicted ones.
        largest: classes in a group.
    """
    shares = counts / np.maximum(counts.sum(axis=1), 1)[:, None]
    mutual = (shares + shares.T) / 2
    group_of = list(range(len(counts)))
    members = [[index] for index in range(len(counts))]
    for first, second in _pairs(counts, mutual):
        one, other = group_of[first], group_of[second]
        if one == other or len(members[one]) + len(members[other]) > largest:
            continue
        if mutual[np.ix_(members[one], members[other])].mean() < GROUP_SHARE:
            continue
        for index in members[other]:
            group_of[index] = one
        members[one] += members[other]
        members[other] = []
    return sorted((group for group in members if group), key=lambda group: (-len(group), group[0]))


def _pairs(counts: np.ndarray, mutual: np.ndarray) -> Iterable[tuple[int, int]]:
    """Pairs of classes that are taken for one another often enough, the most confused first."""
    first, second = np.nonzero(np.triu((counts + counts.T >= 2) & (mutual >= GROUP_SHARE), 1))
    order = np.argsort(-mutual[first, second], kind="stable")
    return zip(first[order].tolist(), second[order].tolist(), strict=True)


def _mistakes(counts: np.ndarray, group: Sequence[int]) -> int:
    block = counts[np.ix_(group, group)]
    return int(block.sum() - np.trace(block))


def _grid(counts: np.ndarray, names: Sequence[str], classes: Sequence[int]) -> Grid:
    samples = counts.sum(axis=1)
    rows = []
    for true in classes:
        cells = [_cell(true, other, int(counts[true, other]), int(samples[true])) for other in classes]
        elsewhere = int(samples[true]) - sum(cell.count for cell in cells)
        rows.append(Row(names[true], int(samples[true]), cells, elsewhere))
    return Grid([names[index] for index in classes], rows, _mistakes(counts, classes))


def _cell(true: int, predicted: int, count: int, samples: int) -> Cell:
    if not count:
        return Cell(true, predicted, 0, "", "none")
    share = count / samples
    return Cell(true, predicted, count, whole_percent(share), _look(share, true == predicted))


def whole_percent(share: float) -> str:
    """Return a share in whole percent; one that would be rounded to 0 or 100 without being it says so."""
    if share < 0.005:
        return "<1"
    if 0.995 <= share < 1:
        return ">99"
    return f"{100 * share:.0f}"


def _look(share: float, right: bool) -> str:
    """Return the class of a cell's colour: `r1` to `r8` for right answers, `w1` to `w8` for wrong ones."""
    return f"{'r' if right else 'w'}{1 + int(np.searchsorted(_STEPS, share, side='right'))}"


def _overview(counts: np.ndarray) -> str:
    """Draw the whole matrix, a path a colour, a cell a unit; marks never get too small to be seen."""
    classes = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1), 1)[:, None]
    true, predicted = np.nonzero(counts)
    looks = np.searchsorted(_STEPS, shares[true, predicted], side="right")
    mark = max(1.0, _SMALLEST_MARK * classes)
    parts = [svg.element("rect", width=classes, height=classes, class_="field")]
    for right in (False, True):
        for look in range(len(_STEPS) + 1):
            here = (looks == look) & ((true == predicted) == right)
            if here.any():
                cells = zip(predicted[here].tolist(), true[here].tolist(), strict=True)
                path = "".join(f"M{column} {row}h{mark:g}" for column, row in cells)
                parts.append(svg.element("path", d=path, class_=f"{'r' if right else 'w'}{look + 1}"))
    place = (
        f"translate({(1 - mark) / 2:g} .5)"  # lines as long as they are thick: squares, in the cells' middle
    )
    marks = svg.element("g", "".join(parts[1:]), transform=place, stroke_width=mark)
    share = wording.percent(float(np.trace(counts) / max(1, counts.sum())))
    description = (
        f"Confusion matrix of {classes} classes: {share} of the images lie on the diagonal. The pairs of "
        "classes that are confused most are listed below."
    )
    return svg.drawing(classes, classes, [parts[0], marks], description, "overview")
