"""A comparison as tables for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from striate.schemas import guard

if TYPE_CHECKING:
    import pandas as pd


def leaderboard(result: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row an entry, the best first: rank, name, runs, and of each set mean, deviation and limits."""
    import pandas as pd

    rows = []
    for entry in sorted(result["entries"], key=lambda entry: entry["rank"]):
        row = {"rank": entry["rank"], "name": guard(entry["name"]), "runs": len(entry["runs"])}
        for name, scores in entry["scores"].items():
            found = scores["accuracy"]
            row |= {
                name: found["value"],
                f"{name}_deviation": found["deviation"],
                f"{name}_low": found["low"],
                f"{name}_high": found["high"],
            }
        rows.append(row)
    return pd.DataFrame(rows)


def differences(result: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row for each set, metric and pair: difference, limits, p values and verdict."""
    import pandas as pd

    names = [entry["name"] for entry in result["entries"]]
    columns = ("difference", "low", "high", "p_value", "p_adjusted", "verdict", "detectable", "test")
    return pd.DataFrame(
        [
            {
                "set": row["set"],
                "metric": metric,
                "first": guard(names[row["first"]]),
                "second": guard(names[row["second"]]),
                **{column: row[metric][column] for column in columns},
            }
            for row in result["comparisons"]
            for metric in ("accuracy", "f1")
            if metric in row
        ]
    )
