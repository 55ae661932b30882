"""What gradient ascent changes of an image: its pixels, or its Fourier coefficients. Imports torch.

Either form turns values, which may be any numbers, into images in 0..1 by a sigmoid, and images back into
values. Colours are changed along the axes in which those of photos vary independently; Fourier coefficients
are scaled by 1 / frequency, as those of photos fall, so that a step changes coarse and fine shapes alike
(Olah, Mordvintsev and Schubert, Feature Visualization, 2017, section "preconditioning and parameterization").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

STRENGTH = 0.25
"""How far a Fourier coefficient of 1 takes the logit of a pixel, in a square image's lowest frequency."""
EDGE = 0.02
"""An image's values are held so far from 0 and 1 when it becomes logits, which have to be finite."""
_VARIANCES = (0.2175, 0.0188, 0.0045)
_AXES = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""Principal axes of the colours (RGB in 0..1) of ImageNet's photos, as columns, and the variance along each
(Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep CNNs, 2012, section 4.1)."""


@dataclass(frozen=True)
class Parametrisation:
    """A form of images that gradient ascent changes.

    Attributes:
        encode: images (N, C, H, W) in 0..1 to values, whose first dimension is N.
        decode: values, and the images' (C, H, W), to images (N, C, H, W) in 0..1; the inverse of `encode`.
        noise: count, (C, H, W) and a generator to the values of noise, from which ascent begins.
    """

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor, tuple[int, ...]], Tensor]
    noise: Callable[[int, tuple[int, ...], torch.Generator], Tensor]


def pixels_of(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the images whose pixels, along the axes of colour, have these logits, (N, *shape)."""
    return torch.sigmoid(_colours(values))


def pixel_values(images: Tensor) -> Tensor:
    """Return what `pixels_of` makes the images from, but for values within `EDGE` of 0 and 1."""
    logits = torch.logit(images.clamp(EDGE, 1 - EDGE))
    return _colours(logits, inverse=True)


def fourier_pixels(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the images of Fourier coefficients, (N, *shape): their inverse transform, then the sigmoid.

    Args:
        values: (N, C, H, W // 2 + 1, 2), real and imaginary parts of the coefficients over `spectrum_scales`.
        shape: (C, H, W).
    """
    spectrum = torch.view_as_complex(values) * spectrum_scales(shape).to(values.device)
    return pixels_of(torch.fft.irfft2(spectrum, s=shape[1:], norm="ortho"), shape)


def fourier_values(images: Tensor) -> Tensor:
    """Return what `fourier_pixels` makes the images from, but for values within `EDGE` of 0 and 1."""
    spectrum = torch.fft.rfft2(pixel_values(images), norm="ortho")
    return torch.view_as_real(spectrum / spectrum_scales(tuple(images.shape[1:])).to(images.device))


def spectrum_scales(shape: tuple[int, ...]) -> Tensor:
    """Return what each coefficient is multiplied by, (H, W // 2 + 1): `STRENGTH` / frequency.

    The frequency is in periods a pixel, and that of the mean counts as one period an image.
    """
    height, width = shape[1:]
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    scales: Tensor = STRENGTH / (down**2 + across**2).sqrt().clamp(min=1 / max(height, width))
    return scales


def _pixel_noise(count: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """150 to 180 of 255 at random: a quiet grey."""
    return pixel_values((150 + 30 * torch.rand((count, *shape), generator=generator)) / 255)


def _fourier_noise(count: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Coefficients of deviation 0.01: clouds that are hardly seen."""
    channels, height, width = shape
    return 0.01 * torch.randn((count, channels, height, width // 2 + 1, 2), generator=generator)


def _colours(values: Tensor, inverse: bool = False) -> Tensor:
    """Return coordinates along the axes of colour as RGB, or the inverse; grey stays as it is."""
    if values.shape[1] != 3:
        return values
    deviations = torch.tensor(_VARIANCES, device=values.device).sqrt()
    matrix = torch.tensor(_AXES, device=values.device) * (deviations / deviations.max())
    matrix = torch.linalg.inv(matrix) if inverse else matrix
    return torch.einsum("rc,nchw->nrhw", matrix, values)


PARAMETRISATIONS = {
    "fourier": Parametrisation(fourier_values, fourier_pixels, _fourier_noise),
    "pixel": Parametrisation(pixel_values, pixels_of, _pixel_noise),
}
