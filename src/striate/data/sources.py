"""What DATA is: a folder, a zip, a table or a name, brought to one form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from striate.schemas import SPLITS


class Reader(Protocol):
    """Where image files come from; can be pickled, and used by several threads."""

    def read(self, path: str) -> bytes:
        """Return the bytes of one file.

        Raises:
            decode.Undecodable: they cannot be had; the text is the reason.
        """
        ...

    def content(self) -> str | None:
        """Return a digest of everything there is to read, where that is cheaper than reading each file."""
        ...


@dataclass(frozen=True)
class Sample:
    """One labelled image of a source; `split` is as given by the source, `""` where it gives none."""

    path: str
    label: str
    split: str = ""
    note: str = ""


@dataclass(frozen=True)
class Source:
    """A data set as found, before any file is decoded.

    Attributes:
        name: short, for run folders.
        samples: sorted by path; a sample with a note is left out for that reason.
        reader: gives the files' bytes; None where `array` holds the pixels.
        array: uint8 (N, C, H, W), one row for each sample, for sets that come decoded.
        quarantine: (path, label, split, reason) of files that cannot even be named.
        classes: the class names found for each split (`""`: for all), including those without any image.
        messages: what the user should know.
    """

    name: str
    samples: tuple[Sample, ...]
    reader: Reader | None = None
    array: np.ndarray | None = None
    quarantine: tuple[tuple[str, str, str, str], ...] = ()
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    messages: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the source gives, in the order train, val, test; none for a flat layout."""
        given = {sample.split for sample in self.samples} | set(self.classes)
        return tuple(split for split in SPLITS if split in given)
