"""From what the user calls the data to a source: a path that exists wins over a name."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from striate.data.archives import read_archive
from striate.data.folders import read_folder
from striate.data.named import NAMES, read_idx_folder, read_named
from striate.data.sources import Source
from striate.data.table import read_csv
from striate.errors import DataError, nearest


def find_source(data: str, data_root: str | None = None) -> Source:
    """Return what `data` names: a folder, a zip, a CSV file or a known data set.

    Raises:
        DataError: there is no such thing, or it cannot be read.
    """
    path = os.path.expanduser(data)
    if data and os.path.exists(path):
        return _read_path(Path(path))
    if data.lower() in NAMES:
        return read_named(data.lower(), data_root)
    guess = nearest(data, NAMES)
    question = f" Did you mean {guess!r}?" if guess else ""
    raise DataError(f"no such path: {data!r}; nor a known data set ({', '.join(NAMES)}).{question}")


def _read_path(path: Path) -> Source:
    if path.is_dir():
        return read_idx_folder(path) or read_folder(path)
    if path.is_file():  # a pipe would be waited for
        if path.suffix.lower() == ".csv":
            return read_csv(path)
        if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
            return read_archive(path)
    raise DataError(f"{path} is neither a folder of images nor a .zip or .csv file.")
