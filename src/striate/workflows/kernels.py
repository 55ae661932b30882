"""A model in; the kernels of its first convolution as pictures, and their film through training, out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from striate import files
from striate.report_file import ReportFile
from striate.workflows.explain_folder import choose_folder, name_of
from striate.workflows.kernel_course import course_of
from striate.workflows.subjects import find_subject

if TYPE_CHECKING:
    from striate.explain.first_layer import FirstKernels

    PathLike = str | os.PathLike[str]

PAGE = "kernels.html"
GRID = "kernels.png"
FACTS = "kernels.json"
FILM = "kernels.gif"


@dataclass(frozen=True)
class ShownKernels:
    """What was drawn, and where it lies.

    Attributes:
        kernels: with the filters that they resemble; in a notebook it shows itself.
        folder: holds the page, the picture, `kernels.json` and, where the run keeps epochs, `kernels.gif`.
        page: one HTML file; in a notebook it shows itself.
        film: the GIF; None where the run keeps no epochs.
    """

    kernels: FirstKernels
    folder: Path
    page: ReportFile
    film: Path | None

    def _repr_html_(self) -> str | None:
        return self.page._repr_html_()


def show_kernels(model: PathLike, *, out: PathLike | None = None, device: str = "auto") -> ShownKernels:
    """Draw the kernels of a model's first convolution, each with its nearest Gabor or Sobel filter.

    Args:
        model: folder of a bundle or run, or the name of a pretrained network.
        out: folder to write; by default `runs/<name of the run, or of the model's folder>-kernels`, with a
            number where that is taken.
        device: of torch: "auto", "cpu", "cuda" or "mps".

    Raises:
        UserError: the model cannot be used, or no convolution of it sees the image.
    """
    from striate.explain.first_layer import first_kernels
    from striate.explain.gallery import render
    from striate.explain.kernel_page import gallery_of
    from striate.figure_style import save

    subject = find_subject(os.fspath(model), device)
    kernels = first_kernels(subject, course_of(Path(model)))
    folder = choose_folder(f"{name_of(model, subject.name)}-kernels", out)
    film = folder / FILM if len(kernels.course) > 1 else None
    if film is not None:
        files.write_bytes(film, kernels.film())
    save(kernels.figure(), folder / GRID)
    files.write_json(folder / FACTS, kernels.facts())
    page = ReportFile(folder / PAGE)
    files.write_text(Path(page), render(gallery_of(kernels)))
    return ShownKernels(kernels, folder, page, film)
