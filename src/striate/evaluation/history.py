"""Reading `history.csv`: its numbers, and which epoch was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.errors import DataError
from striate.schemas import HISTORY_COLUMNS

if TYPE_CHECKING:
    import pandas as pd


def numbers(history: pd.DataFrame) -> pd.DataFrame:
    """Return `history` with whole epochs and float64 columns; what is empty becomes NaN.

    Raises:
        DataError: a column is missing or holds something that is no number.
    """
    missing = [column for column in HISTORY_COLUMNS if column not in history.columns]
    if missing:
        raise DataError(f"history.csv has no column {missing[0]!r}; expected {', '.join(HISTORY_COLUMNS)}.")
    try:
        table = history.loc[:, list(HISTORY_COLUMNS)].replace("", "nan").astype("float64")
        return table.astype({"epoch": "int64"})
    except (ValueError, TypeError) as error:
        raise DataError(f"history.csv holds something that is no number: {error}.") from error


def has_validation(history: pd.DataFrame) -> bool:
    """Whether any epoch was scored on a validation split."""
    return bool(numbers(history)["val_loss"].notna().any())


def chosen_epoch(history: pd.DataFrame) -> int | None:
    """Return the epoch whose weights were kept: the last of the best, or without validation the last."""
    table = numbers(history)
    if table.empty:
        return None
    best = table.loc[table["best"] == 1, "epoch"]
    if best.empty or not has_validation(history):
        return int(table["epoch"].iloc[-1])
    return int(best.iloc[-1])
