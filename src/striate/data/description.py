"""What a data set holds, in tables: for `striate data` and the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.data.images import ImageSets
from striate.schemas import SPLITS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Description:
    """A data set in tables.

    Attributes:
        counts: a row for each class name (index), sorted; columns `train`, `val`, `test`, `unused`
            (in no split), `quarantined`, `total`.
        sizes: rows `width` and `height`; columns `min`, `median`, `max`, in pixels, upright.
        distinct_sizes: how many different (width, height) there are.
        formats: columns `format`, `mode`, `images`: the most frequent first.
    """

    counts: pd.DataFrame
    sizes: pd.DataFrame
    distinct_sizes: int
    formats: pd.DataFrame


def describe(sets: ImageSets) -> Description:
    """Count the images of `sets` by class and split, and tell their sizes and formats."""
    facts = sets.facts
    sizes = facts[["width", "height"]].agg(["min", "median", "max"]).T
    formats = facts.groupby(["format", "mode"]).size().rename("images").reset_index()
    return Description(
        counts=_count(sets),
        sizes=sizes,
        distinct_sizes=len(facts[["width", "height"]].drop_duplicates()),
        formats=formats.sort_values(
            ["images", "format", "mode"], ascending=[False, True, True], ignore_index=True
        ),
    )


def _count(sets: ImageSets) -> pd.DataFrame:
    import pandas as pd

    samples = sets.samples.replace({"split": {"": "unused"}})
    counts = pd.crosstab(samples["label"], samples["split"])
    quarantined = sets.quarantine.groupby("label").size().rename("quarantined")
    counts = counts.join(quarantined, how="outer").fillna(0).astype(int)
    counts = counts.reindex(columns=[*SPLITS, "unused", "quarantined"], fill_value=0).sort_index()
    counts["total"] = counts.sum(axis=1)
    counts.index.name = "label"
    counts.columns.name = None
    return counts
