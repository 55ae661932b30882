"""Which algorithm computes a convolution."""

from __future__ import annotations

import difflib
from typing import Protocol

from striate.engine.algorithms import (
    depthwise,
    fft,
    im2col,
    im2row,
    loops,
    pixels,
    pointwise,
    shifted,
    windows,
    winograd,
)
from striate.engine.algorithms.geometry import Geometry
from striate.engine.backend import Array, is_numpy

Gradients = tuple[Array | None, Array | None, Array | None]


class Algorithm(Protocol):
    """What each module of this package has."""

    @property
    def TOLERANCE(self) -> dict[str, float]:  # noqa: N802 - a constant in every module
        """Largest difference from `loops` by dtype, relative to the largest value."""

    def refusal(self, geometry: Geometry) -> str | None:
        """Return why the algorithm does not serve `geometry`, or None."""

    def forward(self, x: Array, weight: Array, bias: Array | None, geometry: Geometry) -> Array:
        """Return the output (N, O, H', W')."""

    def backward(
        self, grad_output: Array, x: Array, weight: Array, geometry: Geometry, needs: tuple[str, ...]
    ) -> Gradients:
        """Return the gradients of x, weight and bias, None for those that `needs` does not name."""


ALGORITHMS: dict[str, Algorithm] = {
    "loops": loops,
    "pixels": pixels,
    "windows": windows,
    "im2col": im2col,
    "im2row": im2row,
    "pointwise": pointwise,
    "depthwise": depthwise,
    "shifted": shifted,
    "winograd": winograd.LARGE,
    "winograd-2x2": winograd.SMALL,
    "fft": fft,
}
"""Every algorithm by its name."""


MANY_CHANNELS = 12
"""Input channels from which on Winograd's algorithm may pay."""


def choose(name: str, geometry: Geometry, *arrays: Array | None) -> Algorithm:
    """Return the algorithm called `name`; `"auto"` decides by `automatic`, never by a timed race.

    Raises:
        ValueError: no such algorithm, or it does not serve this shape or library.
    """
    if name == "auto":
        name = automatic(geometry) if is_numpy(*arrays) else "shifted"
    check_algorithm(name)
    if name != "shifted" and not is_numpy(*arrays):
        raise ValueError(
            f"algorithm: expected 'auto' or 'shifted' for arrays that are not NumPy's, got {name!r}"
        )
    reason = ALGORITHMS[name].refusal(geometry)
    if reason is not None:
        raise ValueError(f"algorithm: {name!r} does not serve this convolution: {reason}; use 'auto'")
    return ALGORITHMS[name]


def check_algorithm(name: str) -> None:
    """Refuse what is neither `"auto"` nor the name of an algorithm."""
    if not isinstance(name, str) or name not in ("auto", *ALGORITHMS):
        near = difflib.get_close_matches(str(name), ALGORITHMS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"algorithm: expected 'auto' or one of {', '.join(ALGORITHMS)}, got {name!r}{hint}")


def automatic(geometry: Geometry) -> str:
    """Return the name of the algorithm that was measured to be the fastest for such shapes.

    With few channels copies cost little and Winograd's transforms much, the more so where BLAS has no kernels
    for small matrices; with very few, planes of a channel are copied faster than pixels, else pixels.
    """
    if geometry.groups > 1:
        return "im2col" if depthwise.refusal(geometry) else "depthwise"
    if pointwise.refusal(geometry) is None:
        return "pointwise"
    if geometry.in_channels < MANY_CHANNELS:
        return "im2row" if geometry.out_channels <= im2row.FANNING_OUT * geometry.in_channels else "im2col"
    return "winograd" if _winograd_pays(geometry) else "im2row"


def _winograd_pays(geometry: Geometry) -> bool:
    """Tell whether there are so many tiles that what they save outweighs the transforms."""
    if winograd.LARGE.refusal(geometry) is not None:
        return False
    return winograd.LARGE.work(geometry) < im2row.work(geometry)
