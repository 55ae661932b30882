"""All that an audit found, as values, tables and sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from striate.audit.doubts import LabelDoubt, Outlier
from striate.audit.duplicates import Group
from striate.audit.reading import Images
from striate.audit.shortcuts import Shortcut
from striate.schemas import guard

if TYPE_CHECKING:
    import pandas as pd

DUPLICATE_COLUMNS = ("group", "image", "split", "label", "kind", "similarity", "copy_of", "suggested")
SHORTCUT_COLUMNS = ("cue", "balanced_accuracy", "low", "high", "chance", "p", "strength", "images")
DOUBT_COLUMNS = ("image", "split", "label", "suggested", "score")
OUTLIER_COLUMNS = ("image", "split", "label", "distance")
WEIGHTY_LEAK = 0.01
"""Share of a split's images with a copy in train from which on every reader of a result must know."""
_RANK = {"test": 0, "val": 1, "train": 2, "": 3}
"""Of several copies, that of the most protected split is kept: a test set should not change."""


@dataclass(frozen=True)
class Findings:
    """What an audit found.

    Attributes:
        images: what was looked at.
        groups: of duplicates.
        shortcuts: every cue that was tried, the strongest first.
        doubts: likely label errors, the most doubtful first; None: no features were given.
        outliers: the farthest first; None likewise.
        near: pairs of images (numbers) that are near-duplicates by their features, and by nothing else.
    """

    images: Images
    groups: tuple[Group, ...]
    shortcuts: tuple[Shortcut, ...]
    doubts: tuple[LabelDoubt, ...] | None = None
    outliers: tuple[Outlier, ...] | None = None
    near: tuple[tuple[int, int], ...] = ()

    def kept(self, group: Group) -> int:
        """Return the number of the image of `group` to keep: of test before val before train, the largest."""
        return min(group.members, key=lambda number: _RANK[self.images.splits[number]])

    def suggestions(self) -> dict[int, str]:
        """Return what to do with an image, by its number; nothing where only a person can decide.

        Copies are dropped but for one. Where copies have different labels, a person must say which is right.
        """
        return {
            number: "drop"
            for group in self.groups
            if not group.conflicting
            for number in group.members
            if number != self.kept(group)
        }

    def leaked(self) -> dict[str, int]:
        """Return how many images of val and of test have a copy in train."""
        leaked: Counter[str] = Counter()
        for group in self.groups:
            splits = [self.images.splits[number] for number in group.members]
            if "train" in splits:
                leaked.update(split for split in splits if split in ("val", "test"))
        return {split: leaked[split] for split in ("val", "test") if split in self.images.splits}

    def leaks(self) -> list[dict[str, str]]:
        """Return the images of val and test that have a copy in train.

        Each with `image`, `split`, `label`, `copy_of` (the copy in train that it resembles most, as far as
        known), `copy_label` and `kind`.
        """
        found = []
        for group in self.groups:
            inside = [number for number in group.members if self.images.splits[number] == "train"]
            for number in group.members if inside else ():
                if self.images.splits[number] in ("val", "test"):
                    found.append(self._leak(number, group, inside))
        return found

    def _leak(self, number: int, group: Group, inside: Sequence[int]) -> dict[str, str]:
        """Describe one image of `group`, whose members `inside` are in train."""
        images = self.images
        pairs = [pair for pair in group.pairs if number in (pair.first, pair.second)]
        linked = [
            (pair.similarity, other, pair.kind)
            for pair in pairs
            for other in (pair.first, pair.second)
            if other in inside
        ]
        _, nearest, kind = max(linked, default=(0.0, inside[0], "copy of a copy"))
        return {
            "image": images.paths[number],
            "split": images.splits[number],
            "label": images.labels[number],
            "copy_of": images.paths[nearest],
            "copy_label": images.labels[nearest],
            "kind": kind,
        }

    def remarks(self) -> list[str]:
        """Return what of `sentences` every reader of a result must know."""
        strong = [shortcut.sentence for shortcut in self.shortcuts if shortcut.strength == "strong"]
        return [*self._on_leaks(WEIGHTY_LEAK), *self._on_conflicts(), *strong[:1]]

    def sentences(self) -> list[str]:
        """Return what must be known, the weightiest first; empty where nothing was found."""
        return [*self._on_duplicates(), *self._on_shortcuts(), *self._on_features()]

    def _on_duplicates(self) -> list[str]:
        said = [*self._on_leaks(), *self._on_conflicts()]
        if self.groups:
            extra = sum(len(group.members) - 1 for group in self.groups)
            said.append(f"{_count(extra, 'image')} repeat another one.")
        return said

    def _on_leaks(self, least: float = 0.0) -> list[str]:
        """Say how many images leaked into train, for the splits with more than the share `least` of them."""
        said = []
        for split, count in self.leaked().items():
            n = self.images.splits.count(split)
            if count > least * n:
                share = f"{count / n:.1%}" if count / n >= 0.001 else f"{count / n:.2%}"
                said.append(
                    f"{count:,} of {n:,} {split} images ({share}) have a copy in train: "
                    "the accuracy measured on them is not honest."
                )
        return said

    def _on_conflicts(self) -> list[str]:
        conflicts = sum(group.conflicting for group in self.groups)
        if not conflicts:
            return []
        verb = "has" if conflicts == 1 else "have"
        return [f"{_count(conflicts, 'group')} of copies of one image {verb} different labels."]

    def _on_shortcuts(self) -> list[str]:
        found = [shortcut for shortcut in self.shortcuts if shortcut.strength != "none"]
        if not found:
            return []
        others = ", ".join(f"{shortcut.cue} ({shortcut.balanced_accuracy:.0%})" for shortcut in found[1:])
        return [found[0].sentence + (f" Also: {others}." if others else "")]

    def _on_features(self) -> list[str]:
        said = []
        if self.doubts:
            labels, them = ("label", "it") if len(self.doubts) == 1 else ("labels", "them")
            verb = "contradicts" if len(self.doubts) == 1 else "contradict"
            said.append(f"The {labels} of {_count(len(self.doubts), 'image')} {verb} images like {them}.")
        if self.outliers:
            verb = "resembles" if len(self.outliers) == 1 else "resemble"
            said.append(f"{_count(len(self.outliers), 'image')} {verb} no other image.")
        if self.near:
            said.append(f"{_count(len(self.near), 'further pair')} of images have almost the same features.")
        return said

    def facts(self) -> dict[str, Any]:
        """Return the findings as plain values, for `audit.json`."""
        images = self.images
        return {
            "data": images.name,
            "images": len(images),
            "undecodable": images.undecodable,
            "splits": dict(sorted(Counter(images.splits).items())),
            "sentences": self.sentences(),
            "duplicates": {
                "groups": len(self.groups),
                "images": sum(len(group.members) for group in self.groups),
                "exact_groups": sum(group.exact for group in self.groups),
                "across_splits": sum(group.across_splits for group in self.groups),
                "conflicting_labels": sum(group.conflicting for group in self.groups),
                "leaked": self.leaked(),
            },
            "shortcuts": [asdict(shortcut) for shortcut in self.shortcuts],
            "doubtful_labels": None if self.doubts is None else len(self.doubts),
            "outliers": None if self.outliers is None else len(self.outliers),
            "near_in_features": [[images.paths[first], images.paths[second]] for first, second in self.near],
        }

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables by the names of their files."""
        tables = {
            "duplicates.csv": _table(self._duplicates(), DUPLICATE_COLUMNS),
            "shortcuts.csv": _table([_cells(shortcut) for shortcut in self.shortcuts], SHORTCUT_COLUMNS),
        }
        if self.doubts is not None:
            rows = [
                (*self._named(doubt.number), guard(doubt.suggested), f"{doubt.score:.4f}")
                for doubt in self.doubts
            ]
            tables["doubtful-labels.csv"] = _table(rows, DOUBT_COLUMNS)
        if self.outliers is not None:
            far = [(*self._named(outlier.number), f"{outlier.distance:.2f}") for outlier in self.outliers]
            tables["outliers.csv"] = _table(far, OUTLIER_COLUMNS)
        return tables

    def _named(self, number: int) -> tuple[str, str, str]:
        images = self.images
        return guard(images.paths[number]), images.splits[number], guard(images.labels[number])

    def _duplicates(self) -> list[tuple[str, ...]]:
        suggested = self.suggestions()
        rows: list[tuple[str, ...]] = []
        for position, group in enumerate(self.groups, 1):
            found = {pair.first: pair for pair in group.pairs}
            for number in group.members:
                pair = found.get(number)
                how = ("", "", "")
                if pair is not None:
                    how = (pair.kind, f"{pair.similarity:.4f}", guard(self.images.paths[pair.second]))
                rows.append((str(position), *self._named(number), *how, suggested.get(number, "keep")))
        return rows


def _cells(shortcut: Shortcut) -> tuple[str, ...]:
    values = asdict(shortcut).values()
    return tuple(f"{value:.4f}" if isinstance(value, float) else str(value) for value in values)


def _table(rows: Sequence[tuple[str, ...]], columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns), dtype=str)


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
