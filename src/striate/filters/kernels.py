"""Kernels with names: what classic filters multiply a pixel's neighbours by, and who proposed them.

All are written as they are laid over the image, without flipping: rows from top to bottom, columns from left
to right. A derivative along x is positive where the image grows brighter to the right, along y downwards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np

from striate.errors import UserError, unknown_name

LARGEST = 255
"""Upper limit of a kernel's side in pixels."""
_SIZED = re.compile(r"(box|gaussian)-(\d{1,4})")


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel with its name and where it comes from.

    Attributes:
        name: for the command line.
        weights: (kH, kW) float64, or complex128 for Gabor's; cannot be written to.
        about: what it responds to.
        source: who proposed it, or where it is used.
    """

    name: str
    weights: np.ndarray
    about: str
    source: str = ""

    def __post_init__(self) -> None:
        given = np.asarray(self.weights)
        weights = np.array(given, np.complex128 if np.iscomplexobj(given) else np.float64)
        weights.flags.writeable = False
        object.__setattr__(self, "weights", weights)

    @property
    def keeps_brightness(self) -> bool:
        """Whether a flat image stays as it is, so that the response is an image again."""
        return bool(abs(self.weights.sum() - 1) < 1e-6)


_SMOOTH_SOBEL, _SMOOTH_PREWITT, _SMOOTH_SCHARR = (1, 2, 1), (1, 1, 1), (3, 10, 3)
_DIFFERENCE = (-1, 0, 1)
_SOBEL = (
    "Sobel and Feldman 1968, as in Duda and Hart, Pattern Classification and Scene Analysis, 1973, p. 271"
)
_PREWITT = "Prewitt, Object Enhancement and Extraction, in Picture Processing and Psychopictorics, 1970"
_SCHARR = "Scharr, Optimale Operatoren in der digitalen Bildverarbeitung, dissertation, Heidelberg 2000"
_ROBERTS = "Roberts, Machine Perception of Three-Dimensional Solids, dissertation, MIT 1963"
_GONZALEZ = "Gonzalez and Woods, Digital Image Processing, chapter 3"


def _kernels() -> tuple[Kernel, ...]:
    derivatives = (
        ("sobel", _SMOOTH_SOBEL, 1, _SOBEL),
        ("prewitt", _SMOOTH_PREWITT, 1, _PREWITT),
        ("scharr", _SMOOTH_SCHARR, 1, _SCHARR),
    )
    directed = []
    for name, smooth, scale, source in derivatives:
        along_x = np.outer(smooth, _DIFFERENCE) * scale
        directed += [
            Kernel(f"{name}-x", along_x, "edges from left to right", source),
            Kernel(f"{name}-y", along_x.T, "edges from top to bottom", source),
        ]
    return (
        Kernel("identity", np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]]), "nothing: the image stays as it is"),
        *directed,
        Kernel("roberts-x", np.array([[1, 0], [0, -1]]), "edges along one diagonal", _ROBERTS),
        Kernel("roberts-y", np.array([[0, 1], [-1, 0]]), "edges along the other diagonal", _ROBERTS),
        Kernel(
            "laplacian",
            np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
            "dark dots and lines; second derivative",
            _GONZALEZ,
        ),
        Kernel(
            "edge-detect",
            np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
            "bright dots, lines and edges of any direction",
            f"Laplacian with diagonals, {_GONZALEZ}",
        ),
        Kernel(
            "horizontal-edge",
            np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]]),
            "edges from bottom to top: Sobel's along y, reversed",
            _SOBEL,
        ),
        Kernel(
            "diagonal-edge",
            np.array([[0, 1, 0], [1, 0, -1], [0, -1, 0]]),
            "edges from the bottom right to the top left",
            "first filter of many courses on convolution",
        ),
        Kernel(
            "diagonal", np.eye(3), "lines along the falling diagonal", "step-by-step demos of convolution"
        ),
        Kernel(
            "sharpen", np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]), "image less its Laplacian", _GONZALEZ
        ),
        Kernel(
            "emboss",
            np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
            "relief along the falling diagonal",
            "GIMP's manual",
        ),
    )


KERNELS = {kernel.name: kernel for kernel in _kernels()}
"""The kernels of a fixed size by name; `box-N` and `gaussian-N` have any size N."""


def named(name: str) -> Kernel:
    """Return the kernel called `name`: one of `KERNELS`, or `box-5`, `gaussian-7` of any size.

    Raises:
        UserError: there is no such kernel.
    """
    if name in KERNELS:
        return KERNELS[name]
    sized = _SIZED.fullmatch(name)
    if sized:
        makers = {"box": box, "gaussian": gaussian}
        return makers[sized[1]](int(sized[2]))
    raise UserError(unknown_name("kernel", name, [*KERNELS, "box-3", "gaussian-5"]))


def box(size: int) -> Kernel:
    """Return the mean over size x size pixels; even sizes reach one pixel further up and to the left."""
    _check_size(size)
    weights = np.full((size, size), 1 / size**2)
    return Kernel(f"box-{size}", weights, f"mean over {size} x {size} pixels", _GONZALEZ)


def gaussian(size: int, sigma: float | None = None) -> Kernel:
    """Return a blur that weighs pixels by the normal density of their distance.

    Args:
        size: side in pixels.
        sigma: standard deviation in pixels; by default a sixth of the size, so that three of them fit on
            either side.
    """
    _check_size(size)
    deviation = size / 6 if sigma is None else sigma
    check_positive("sigma", deviation)
    offsets = np.arange(size) - (size - 1) / 2
    line = np.array([exp(-((offset / deviation) ** 2) / 2) for offset in offsets])
    weights = np.outer(line, line)
    about = f"blur with standard deviation {deviation:.3g} pixels"
    return Kernel(f"gaussian-{size}", weights / weights.sum(), about, _GONZALEZ)


def as_kernel(kernel: Kernel | str | Any) -> Kernel:
    """Return a kernel for its name, for an array (kH, kW), or as it is.

    Raises:
        UserError: an unknown name, or an array that is no kernel.
    """
    if isinstance(kernel, Kernel):
        return kernel
    if isinstance(kernel, str):
        return named(kernel)
    try:
        weights = np.asarray(kernel, np.complex128 if np.iscomplexobj(kernel) else np.float64)
    except (TypeError, ValueError):
        raise UserError(f"the kernel is {kernel!r:.60}; expected numbers in rows of one length.") from None
    if weights.ndim != 2 or not weights.size or max(weights.shape) > LARGEST:
        raise UserError(
            f"the kernel has the shape {weights.shape}; expected (height, width) of 1 to {LARGEST} each."
        )
    if not np.isfinite(weights).all():
        raise UserError("the kernel holds values that are not finite; expected numbers.")
    return Kernel("own", weights, "a kernel of one's own")


def check_positive(name: str, value: float) -> None:
    """Refuse a number that is not finite and above 0."""
    if not (np.isfinite(value) and value > 0):
        raise UserError(f"{name} is {value}; expected a number above 0.")


def _check_size(size: int) -> None:
    if not 1 <= size <= LARGEST:
        raise UserError(f"the size of the kernel is {size}; expected 1 to {LARGEST} pixels.")
