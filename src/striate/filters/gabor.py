"""Gabor filters: waves under a bell, which respond to stripes of one width and direction.

The cells that Hubel and Wiesel found in the striate cortex respond so (Daugman, Uncertainty relation for
resolution in space, spatial frequency and orientation, 1985), and first layers of trained networks resemble
them. The kernels are scikit-image's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import degrees, pi
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.errors import UserError
from striate.filters.applying import apply, standardised
from striate.filters.kernels import LARGEST, Kernel, check_positive

if TYPE_CHECKING:
    from PIL.Image import Image

FREQUENCIES = (0.1, 0.2)
ANGLES = (0.0, pi / 4)
SIGMAS = (1.0, 3.0)
"""The bank that `striate filters bank` applies unless told otherwise."""
_DAUGMAN = "Daugman 1985; scikit-image"


@dataclass(frozen=True)
class BankResponses:
    """What a bank of filters found on some images.

    Attributes:
        kernels: (F,).
        images: as given, (N,), grey.
        magnitudes: for each kernel, for each image, (H, W) float64: how strongly each place responds.
    """

    kernels: tuple[Kernel, ...]
    images: tuple[np.ndarray, ...]
    magnitudes: tuple[tuple[np.ndarray, ...], ...]


def gabor(frequency: float, theta: float = 0.0, sigma: float | None = None) -> Kernel:
    """Return a complex Gabor kernel, `skimage.filters.gabor_kernel`.

    Args:
        frequency: of the wave, in periods a pixel, above 0 and at most 1.
        theta: direction in which the wave runs, in radians from the x axis; stripes lie across it.
        sigma: standard deviation of the bell in pixels, the same in all directions; by default
            scikit-image's, for a bandwidth of one octave.

    Raises:
        UserError: a number out of range, or so small a frequency that the kernel is larger than 255 pixels.
    """
    from skimage.filters import gabor_kernel

    check_positive("frequency", frequency)
    if frequency > 1:
        raise UserError(f"frequency is {frequency}; expected at most 1 period a pixel.")
    if not np.isfinite(theta):
        raise UserError(f"theta is {theta}; expected an angle in radians.")
    if sigma is not None:
        check_positive("sigma", sigma)
    reach = 6 * (sigma if sigma is not None else 0.56 / frequency)
    if reach > LARGEST:
        raise UserError(
            f"the kernel would be {reach:.0f} pixels wide; expected at most {LARGEST}: "
            "give a smaller sigma or a larger frequency."
        )
    make: Any = gabor_kernel
    weights = make(frequency, theta=theta, sigma_x=sigma, sigma_y=sigma)
    width = "" if sigma is None else f", sigma {sigma:g}"
    about = f"{frequency:g} periods a pixel, {degrees(theta):.4g}°{width}"
    return Kernel(f"gabor-{frequency:g}-{degrees(theta):.4g}", weights, about, _DAUGMAN)


def bank(
    frequencies: Sequence[float] = FREQUENCIES,
    angles: Sequence[float] = ANGLES,
    sigmas: Sequence[float] = SIGMAS,
) -> tuple[Kernel, ...]:
    """Return the Gabor kernels of all combinations; angles in radians, the frequency changes fastest."""
    return tuple(
        gabor(frequency, theta, sigma) for theta, sigma, frequency in product(angles, sigmas, frequencies)
    )


def magnitude(image: np.ndarray | Image, kernel: Kernel) -> np.ndarray:
    """Return how strongly each place responds to a complex kernel: sqrt(real^2 + imaginary^2).

    The image is standardised, convolved, and goes on beyond its border with its other side.

    Args:
        image: (H, W) grey.
        kernel: of `gabor`.

    Returns:
        (H, W) float64.
    """
    response = apply(standardised(image), kernel, operation="convolution", border="wrap")
    found: np.ndarray = np.hypot(response.real, response.imag)
    return found


def respond(images: Sequence[np.ndarray], kernels: Sequence[Kernel]) -> BankResponses:
    """Return the magnitudes of all kernels on all images, (H, W) grey each."""
    found = tuple(tuple(magnitude(image, kernel) for image in images) for kernel in kernels)
    return BankResponses(tuple(kernels), tuple(images), found)
