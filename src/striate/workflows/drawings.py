"""Writing a figure to a file that a person named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from striate.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

FIGURES = (".png", ".svg")


def write_drawing(figure: Figure, path: Path, *sources: str | os.PathLike[str]) -> None:
    """Write a figure as PNG or SVG, as its name ends.

    Args:
        figure: to be written.
        path: of the file.
        sources: images that it was made from, which are never written over.

    Raises:
        UserError: another ending, one of the `sources`, or a file that cannot be written.
    """
    from striate import figure_style

    check_target(path, sources, FIGURES)
    figure_style.save(figure, path)


def write_picture(pixels: np.ndarray, path: Path, *sources: str | os.PathLike[str]) -> None:
    """Write uint8 (H, W) or (H, W, 3) as a PNG; `sources` and errors as in `write_drawing`."""
    import io

    from PIL import Image

    from striate import files

    check_target(path, sources, (".png",))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    files.write_bytes(path, buffer.getvalue())


def check_target(path: Path, sources: Sequence[str | os.PathLike[str]], endings: Sequence[str]) -> None:
    """Refuse a file whose name does not end so, that cannot be written, or that is one of the `sources`.

    Raises:
        UserError: so.
    """
    if path.suffix.lower() not in endings:
        raise UserError(f"--out is {path}; expected a name that ends in {' or '.join(endings)}.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}.")
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder.")
    if any(os.path.realpath(path) == os.path.realpath(source) for source in sources):
        raise UserError(f"{path} is an image that is read; choose another --out.")
