"""Images and the name of a filter in, a figure out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import radians
from pathlib import Path
from typing import TYPE_CHECKING

from striate.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from striate.filters import Kernel

    PathLike = str | os.PathLike[str]


def kernels() -> list[tuple[str, str, str]]:
    """Return name, what it finds and source of every kernel, and of the families of kernels."""
    from striate.filters import KERNELS

    fixed = [(kernel.name, kernel.about, kernel.source) for kernel in KERNELS.values()]
    return [
        *fixed,
        ("box-N", "mean over N x N pixels: blur", "Gonzalez and Woods, Digital Image Processing, chapter 3"),
        ("gaussian-N", "blur by the normal density, N pixels wide", "as box-N"),
        ("gabor", "stripes of one width and direction", "Daugman 1985; scikit-image"),
    ]


def draw_filter(
    kernel: str,
    image: PathLike,
    *,
    operation: str = "correlation",
    border: str = "zero",
    channels: str = "each",
    grey: bool = False,
    step: str | None = None,
    **wave: float,
) -> Figure:
    """Draw an image, a kernel and the response side by side, or one step of the kernel.

    Args:
        kernel: a name of `striate.filters.named`, or `gabor`.
        image: path.
        operation: `correlation` or `convolution`.
        border: of `striate.filters.BORDERS`, or `valid`.
        channels: `each` or `sum`.
        grey: filter the image in grey.
        step: "row,column" of the one pixel whose computation is drawn, in grey.
        wave: of `gabor`: `frequency` (periods a pixel), `angle` (degrees), `sigma` (pixels).

    Raises:
        UserError: the kernel or the image cannot be used.
    """
    from striate.filters import figures

    chosen = _kernel(kernel, **wave)
    pixels = read_image(image, grey=grey or step is not None)
    if step is None:
        return figures.filtered(pixels, chosen, operation=operation, border=border, channels=channels)
    row, column = _parse_place(step)
    return figures.step(pixels, chosen, row, column, operation=operation)


def respond(
    kernel: str,
    image: PathLike,
    *,
    operation: str = "correlation",
    border: str = "zero",
    channels: str = "each",
    grey: bool = False,
    **wave: float,
) -> np.ndarray:
    """Return the response alone as a picture, uint8 (H, W) or (H, W, 3); arguments as in `draw_filter`.

    It has the image's size, but for the border `valid`.
    """
    from striate.filters import apply, as_picture

    chosen = _kernel(kernel, **wave)
    pixels = read_image(image, grey=grey)
    return as_picture(apply(pixels, chosen, operation=operation, border=border, channels=channels), chosen)


def _kernel(name: str, frequency: float = 0.1, angle: float = 0.0, sigma: float | None = None) -> Kernel:
    from striate.filters import gabor, named

    return gabor(frequency, radians(angle), sigma) if name == "gabor" else named(name)


def draw_bank(
    images: Sequence[PathLike],
    *,
    frequencies: Sequence[float] = (),
    angles: Sequence[float] = (),
    sigmas: Sequence[float] = (),
) -> Figure:
    """Draw how strongly images respond to Gabor filters of all combinations.

    Args:
        images: paths; taken in grey.
        frequencies: in periods a pixel; likewise below, without any those of `striate.filters.gabor`.
        angles: in degrees.
        sigmas: in pixels.

    Raises:
        UserError: a number or an image cannot be used.
    """
    from striate.filters import bank, figures, respond
    from striate.filters.gabor import ANGLES, FREQUENCIES, SIGMAS

    if not images:
        raise UserError("a bank of filters needs images: striate filters bank IMAGE...")
    turned = [radians(angle) for angle in angles]
    filters = bank(frequencies or FREQUENCIES, turned or ANGLES, sigmas or SIGMAS)
    pixels = [read_image(image, grey=True) for image in images]
    return figures.bank_grid(respond(pixels, filters), [Path(image).stem for image in images])


def draw_curves(names: Sequence[str] = ()) -> Figure:
    """Draw activation functions and losses with their derivatives; without names, all."""
    from striate.filters import figures, functions

    return figures.function_curves(functions(names))


def read_image(path: PathLike, *, grey: bool = False) -> np.ndarray:
    """Return an image at its own size, uint8 (H, W) or (H, W, 3), upright.

    Raises:
        DataError: it cannot be used; says why.
    """
    import numpy as np

    from striate.data import open_image

    image = open_image(Path(path))
    return np.asarray(image.convert("L") if grey else image)


def _parse_place(value: str) -> tuple[int, int]:
    try:
        row, column = (int(part) for part in value.split(","))
    except ValueError:
        raise UserError(f"step is {value!r}: expected row,column, as in 10,20.") from None
    return row, column
