"""The columns of every table, the preprocessing record and the predictions file.

Tables are CSV files whose columns are read as text (`read_table`), because classes may be
called `NA`, `None` or `001`.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from striate import files

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SPLITS = ("train", "val", "test")
"""Splits of a sample table; a sample outside all of them has the split `""` and a note that says why."""

SAMPLE_COLUMNS = ("path", "label", "split", "note")
QUARANTINE_COLUMNS = ("path", "label", "split", "reason")
HISTORY_COLUMNS = (
    "epoch",  # counted from 1
    "lr",  # learning rate at the epoch's last step
    "train_loss",  # mean over the epoch's samples, as trained (augmented, dropout on)
    "train_accuracy",
    "val_loss",  # empty without a validation split
    "val_accuracy",
    "best",  # 1 for the epochs that were the best so far
)
"""`history.csv`; durations are kept in `timing.csv`, so that a repeated run gives an identical history."""
TIMING_COLUMNS = ("epoch", "seconds", "images_per_second")
PREDICTION_COLUMNS = ("image", "label", "predicted", "probability")
"""The first columns of `predictions-<split>.csv`; the probability of each class follows as `p(<class>)`
where there are at most 50, else `second`, `p_second`, ... up to the fifth. `label` is empty where unknown."""

OUTPUTS = ("logits", "log_probabilities", "logit", "probability")
"""What a network puts out: logits or log-probabilities (N, K), or one logit or probability (N, 1)."""

INPUT_VALUES = 2**23
"""Numbers in a batch of images at most, about, where no gradient is wanted: 32 MB."""
MAX_BATCH_SIZE = 256

_RISKY = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a cell begins that a spreadsheet may take for a formula; the last four are full-width = + - @."""
_NAMED = ("path", "label")
"""Columns of `samples.csv` and `quarantine.csv` that hold names as the user gave them."""
_SET_NAME = re.compile(r"[^\W_][\w-]{0,39}")

Output = Literal["logits", "log_probabilities", "logit", "probability"]
Fit = Literal["squash", "crop", "pad"]
Interpolation = Literal["bilinear", "bicubic", "lanczos"]
Views = Literal["one", "flip", "crops", "flip-crops"]


class Preprocess(BaseModel):
    """How an image file becomes a network's input; travels in the bundle.

    An image is turned upright (EXIF), converted to grey or RGB, brought to `height` x `width`, scaled to
    [0, 1], its pixels permuted if a seed says so, and normalised as `(x - mean) / std` per channel.

    Attributes:
        fit: `squash` ignores the proportions; `crop` cuts the largest part of the right proportions from the
            middle; `pad` shows the whole image on black.
        crop_share: the share of either side of that part which a `crop` keeps; no other fit cuts anything.
        interpolation: how values between pixels are found; either way with antialiasing.
        views: what the network's answer is averaged over: the image alone (`one`), with its mirror image
            (`flip`), with its four corners enlarged (`crops`), or with both (`flip-crops`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: Literal[1, 3]
    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    fit: Fit = "squash"
    crop_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    permute_pixels: Annotated[int, Field(ge=0)] | None = None
    views: Views = "one"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (self.channels, self.height, self.width)

    @property
    def batch_size(self) -> int:
        """Images computed at a time, without gradients, where nothing else is asked for: fewer large ones."""
        return max(1, min(MAX_BATCH_SIZE, INPUT_VALUES // (self.channels * self.height * self.width)))

    @property
    def decoding(self) -> dict[str, object]:
        """What decides on the uint8 pixels of an image before they are permuted: a key for caches."""
        return self.model_dump(include={"channels", "height", "width", "fit", "crop_share", "interpolation"})

    def normalize(self, images: np.ndarray) -> np.ndarray:
        """Return float32 (N, C, H, W) network input for uint8 (N, C, H, W) `images`."""
        import numpy as np

        shape = (1, self.channels, 1, 1)
        mean = np.asarray(self.mean, np.float32).reshape(shape)
        std = np.asarray(self.std, np.float32).reshape(shape)
        return (images.astype(np.float32) / np.float32(255) - mean) / std


@dataclass(frozen=True)
class Predictions:
    """What a network put out for some labelled or unlabelled images.

    Attributes:
        images: paths, (N,).
        labels: int64 (N,), positions in `class_names`; -1 where the label is unknown.
        logits: float32 (N, K), or float64; softmax gives the probabilities, whatever the network puts out.
        class_names: (K,).
    """

    images: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray
    class_names: tuple[str, ...]

    def at_temperature(self, temperature: float) -> Predictions:
        """Return the same with logits divided by `temperature`, in float64, so that none become equal."""
        import numpy as np

        if temperature == 1:
            return self
        return replace(self, logits=self.logits.astype(np.float64) / temperature)

    @property
    def probabilities(self) -> np.ndarray:
        """float64 (N, K)."""
        import numpy as np

        shifted = self.logits.astype(np.float64)
        shifted -= shifted.max(axis=1, keepdims=True)
        exponentials: np.ndarray = np.exp(shifted)
        exponentials /= exponentials.sum(axis=1, keepdims=True)
        return exponentials

    @property
    def predicted(self) -> np.ndarray:
        """int64 (N,): the most probable class, the first of several."""
        best: np.ndarray = self.logits.argmax(axis=1)
        return best


def is_set_name(name: str) -> bool:
    """Return whether `name` may be that of an evaluated set: it becomes part of file names."""
    return _SET_NAME.fullmatch(name) is not None and name.lower() not in (*SPLITS, "total")


def guard(text: str) -> str:
    """Return `text` as a cell that no spreadsheet takes for a formula: a quote before a leading = + - @ tab.

    `unguard` gives the text back: nothing is lost, and texts without such a beginning stay as they are.
    Source: OWASP, CSV Injection.
    """
    return f"'{text}" if _RISKY.match(text) else text


def unguard(cell: str) -> str:
    """Return the text that `guard` made into `cell`."""
    return cell[1:] if cell.startswith("'") and _RISKY.match(cell) else cell


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV file with every column as text and no guessing of missing values."""
    import pandas as pd

    return pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8")


def read_images(path: Path) -> pd.DataFrame:
    """Read a table that `write_images` wrote, or one whose names are not guarded."""
    table = read_table(path)
    return table.assign(**{name: table[name].map(unguard) for name in _NAMED if name in table.columns})


def write_images(path: Path, table: pd.DataFrame) -> None:
    """Write `samples.csv` or `quarantine.csv`: as `write_table`, with paths and labels guarded."""
    write_table(
        path, table.assign(**{name: table[name].map(guard) for name in _NAMED if name in table.columns})
    )


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write `table` as CSV (UTF-8, lines end in a line feed), atomically."""
    text = table.to_csv(index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    if "\r" in text:  # not quoted of itself, but read as the end of a line; file names may hold it
        text = table.to_csv(index=False, quoting=csv.QUOTE_ALL, lineterminator="\n")
    files.write_text(path, text)
