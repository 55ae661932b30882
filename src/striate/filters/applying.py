"""Applying a kernel to an image, by the engine's own convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from striate.engine import functional as F
from striate.errors import UserError, unknown_name
from striate.filters.kernels import Kernel, as_kernel

if TYPE_CHECKING:
    from PIL.Image import Image

OPERATIONS = ("correlation", "convolution")
BORDERS = {
    "zero": "constant",
    "constant": "constant",
    "edge": "edge",
    "nearest": "edge",
    "reflect": "reflect",
    "mirror": "reflect",
    "symmetric": "symmetric",
    "wrap": "wrap",
    "grid-wrap": "wrap",
}
"""What lies beyond the border by name, and NumPy's name of it (`numpy.pad`).

`reflect` is NumPy's, d c b | a b c d | c b a, which SciPy calls `mirror`; SciPy's `reflect` is `symmetric`.
"""
CHANNELS = ("each", "sum")
BRIGHTEST = 0.998
"""Share of a response's values that a picture shows within black and white."""


def apply(
    image: np.ndarray | Image,
    kernel: Kernel | str | Any,
    *,
    operation: str = "correlation",
    border: str = "zero",
    channels: str = "each",
) -> np.ndarray:
    """Return the response of an image to a kernel.

    Cross-correlation lays the kernel over the image as it is, as networks do; convolution flips it first. The
    kernel's middle lies on the pixel that is computed; of an even size, the pixel after the middle does (in a
    convolution the one before it), as in SciPy.

    Args:
        image: (H, W) grey or (H, W, C), of any real dtype, or a PIL image.
        kernel: a name (`sobel-x`, `gaussian-7`), a `Kernel`, or an array (kH, kW), real or complex.
        operation: `correlation` or `convolution`.
        border: what lies beyond the border, one of `BORDERS`; `valid`: nothing, so that the response is
            smaller than the image by the kernel's size less one.
        channels: `each` channel by itself, or their `sum`, which is what one kernel of a network computes.

    Returns:
        (H, W) or (H, W, C), float64, or complex128 for a complex kernel; in the image's units.

    Raises:
        UserError: an unknown name, an image that is none, or smaller than a kernel without border.
    """
    chosen = as_kernel(kernel)
    pixels = as_pixels(image)
    _check_choices(operation, border, channels)
    weights = chosen.weights[::-1, ::-1] if operation == "convolution" else chosen.weights
    padded = _pad(pixels, weights.shape, operation, border)
    if np.iscomplexobj(weights):
        response = _slide(padded, weights.real) + 1j * _slide(padded, weights.imag)
    else:
        response = _slide(padded, weights)
    if channels == "sum":
        response = response.sum(axis=0, keepdims=True)
    return response[0] if pixels.ndim == 2 or channels == "sum" else np.moveaxis(response, 0, -1)


def as_pixels(image: np.ndarray | Image) -> np.ndarray:
    """Return (H, W) or (H, W, C) float64 for an image.

    Raises:
        UserError: it has another shape, or values that are not finite.
    """
    pixels: np.ndarray = np.asarray(image)
    if pixels.ndim not in (2, 3) or not pixels.size or pixels.dtype.kind not in "uifb":
        raise UserError(
            f"the image is {pixels.dtype} of shape {pixels.shape}; expected real numbers, (height, width) or "
            "(height, width, channels)."
        )
    pixels = pixels.astype(np.float64)
    if not np.isfinite(pixels).all():
        raise UserError("the image holds values that are not finite; expected numbers.")
    return pixels


def standardised(image: np.ndarray | Image) -> np.ndarray:
    """Return an image less its mean, divided by its standard deviation; a flat one becomes zero."""
    pixels = as_pixels(image)
    spread = float(pixels.std())
    centred: np.ndarray = pixels - pixels.mean()
    return centred / spread if spread > 0 else centred


def as_picture(response: np.ndarray, kernel: Kernel, white: float = 255.0) -> np.ndarray:
    """Return a response as people look at it, uint8 of its shape.

    What is an image again (a blur, a sharpened image) keeps its values. Of anything else 0 becomes grey, and
    all but the strongest two in a thousand lie between black and white; a complex one shows its magnitude.

    Args:
        response: of `apply`.
        kernel: that was applied.
        white: what is white in the image.
    """
    if np.iscomplexobj(response):
        shown = np.abs(response) / (np.abs(response).max() or 1.0)
    elif kernel.keeps_brightness:
        shown = response / white
    else:
        strength = np.abs(response)
        largest = np.quantile(strength, BRIGHTEST) or strength.max() or 1.0
        shown = response / (2 * largest) + 0.5
    picture: np.ndarray = np.round(255 * np.clip(shown, 0, 1)).astype(np.uint8)
    return picture


def _check_choices(operation: str, border: str, channels: str) -> None:
    given = {"operation": (operation, OPERATIONS), "border": (border, (*BORDERS, "valid"))}
    for kind, (name, known) in (given | {"channels": (channels, CHANNELS)}).items():
        if name not in known:
            raise UserError(unknown_name(kind, name, known))


def _pad(pixels: np.ndarray, size: tuple[int, ...], operation: str, border: str) -> np.ndarray:
    """Return the image with its border, channels first: (C, H', W')."""
    planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    if border == "valid":
        if size[0] > planes.shape[1] or size[1] > planes.shape[2]:
            raise UserError(
                f"the kernel of {size[0]} x {size[1]} is larger than the image of {planes.shape[1]} x "
                f"{planes.shape[2]}; give a border, such as reflect."
            )
        return planes
    before = [(length - 1) // 2 if operation == "convolution" else length // 2 for length in size]
    sides = [(first, length - 1 - first) for first, length in zip(before, size, strict=True)]
    mode: Any = BORDERS[border]
    return np.pad(planes, [(0, 0), *sides], mode=mode)


def _slide(planes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (C, H, W): every plane, as an image of one channel, under one kernel."""
    kernel = np.ascontiguousarray(weights)[None, None]
    return np.asarray(F.conv2d(np.ascontiguousarray(planes)[:, None], kernel))[:, 0]
