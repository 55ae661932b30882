"""Looking at a data set before anything is decided: which images there are, and what they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from striate.config import DataConfig
from striate.data.classes import choose_classes
from striate.data.inspection import Inspection, inspect
from striate.data.lookup import find_source
from striate.data.marks import apply_marks
from striate.data.parallel import Progress
from striate.data.sources import Source


@dataclass(frozen=True)
class Survey:
    """A data set that was looked at, before anything is decided.

    Attributes:
        source: its images.
        inspection: what each of them is.
    """

    source: Source
    inspection: Inspection

    @property
    def usable(self) -> list[int]:
        """The numbers of the images that decode."""
        return [row for row, reason in enumerate(self.inspection.reason) if not reason]

    @property
    def classes(self) -> list[str]:
        """The names of the classes of its images, sorted."""
        return sorted({sample.label for sample in self.source.samples if not sample.note})

    @property
    def median_side(self) -> float:
        """Median shorter side of the images that decode, in pixels; 0 if there are none."""
        sides = np.minimum(self.inspection.width, self.inspection.height)[self.usable]
        return float(np.median(sides)) if len(sides) else 0.0


def survey(config: DataConfig, *, progress: Progress | None = None) -> Survey:
    """Find and look at the images that `config` names.

    Args:
        config: which images.
        progress: called as `progress(stage, done, total)` while images are read.

    Raises:
        DataError: there are none, or their classes cannot be told.
    """
    found = apply_marks(find_source(config.data, config.data_root), config.exclude, config.relabel)
    source = choose_classes(found, config.classes)
    return Survey(source, inspect(source, progress))
