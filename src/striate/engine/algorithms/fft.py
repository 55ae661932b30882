"""Convolution by the convolution theorem: in the frequency domain it is a product, place by place.

Seen as a sum of waves, a shifted image is the same waves with their phases turned: the spectrum of a kernel
says how much each wave grows and turns. So, with F the discrete Fourier transform and * the complex conjugate
(the kernel is not flipped: correlation),

    F(Y)[n, o]  = sum over c of  F(x)[n, c]  F(W)[o, c]*
    F(dx)[n, c] = sum over o of  F(dY)[n, o] F(W)[o, c]
    F(dW)[o, c] = sum over n of  F(x)[n, c]  F(dY)[n, o]*

where dY has stride - 1 zeros between its pixels, and W has dilation - 1 between its taps. For each wave the
sum over channels is a matrix product, (N, C) with (C, O). The transform takes images for periodic, and what
leaves at one edge comes back at the other; they are made as large as the padded image, which is enough: no
window reaches over its edge.

Cost: about 2 N C O S^2 real products for images of S x S pixels, *whatever the kernel's size*, and some
2.5 S^2 log2(S^2) for each of the N C + C O + N O transforms. The definition takes N C O S^2 k^2 / stride^2.

Meant for: large kernels (from 7x7 or so) at stride 1, in one group. A stride of s computes s^2 times what it
keeps. It refuses kernels whose spectra, each as large as an image, would fill the memory. An infinite pixel
makes all of its image NaN. Source: Mathieu, Henaff and LeCun, Fast training of convolutional networks through
FFTs (2014), section 2.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from striate.engine.algorithms import blocks
from striate.engine.algorithms.geometry import Geometry
from striate.engine.algorithms.shifted import pad

TOLERANCE = {"float32": 2e-5, "float64": 1e-13}
"""Largest difference from `loops`, relative to the largest value: all of an image is in every number."""

LARGEST = 1 << 27
"""Numbers in the spectra of images, kernels and outputs together: 1 GiB of complex64."""


def refusal(geometry: Geometry) -> str | None:
    """Return why this algorithm does not serve `geometry`, or None."""
    (height, width), N, C, out = (
        _period(geometry),
        geometry.batch,
        geometry.in_channels,
        geometry.out_channels,
    )
    numbers = (N * C + out * C // geometry.groups + N * out) * height * (width // 2 + 1)
    if numbers > LARGEST:
        return f"the spectra would hold {numbers:,} numbers (at most {LARGEST:,})"
    return None


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Convolve x (N, C, H, W) with weight (O, C / groups, kH, kW), add bias (O,): return (N, O, H', W')."""
    kernels = _kernels_to_waves(weight, geometry).swapaxes(2, 3)  # (waves, G, C/G, O/G)
    waves = _multiply(_images_to_waves(pad(x, geometry), geometry), np.conj(kernels))
    (height, width), (down, right) = geometry.out_size, geometry.stride
    output = _to_images(waves, geometry)[:, :, : down * height : down, : right * width : right]
    return output.copy() if bias is None else output + bias[:, None, None]


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, needs: tuple[str, ...]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of x, weight and bias, None for those that `needs` does not name."""
    grad_x = grad_weight = None
    dy = _images_to_waves(_spread(grad_output, geometry.stride), geometry)  # (waves, G, N, O/G)
    if "x" in needs:
        waves = _multiply(dy, _kernels_to_waves(weight, geometry))
        (top, _), (left, _), (H, W) = *geometry.padding, geometry.size
        grad_x = _to_images(waves, geometry)[:, :, top : top + H, left : left + W].copy()
    if "weight" in needs:
        waves = _multiply(np.conj(dy).swapaxes(2, 3), _images_to_waves(pad(x, geometry), geometry))
        (reach_down, reach_right), (down, right) = geometry.reach, geometry.dilation
        taps = _to_pixels(waves, geometry)[..., :reach_down:down, :reach_right:right]
        grad_weight = taps.reshape(geometry.weight_shape)
    return grad_x, grad_weight, grad_output.sum(axis=(0, 2, 3)) if "bias" in needs else None


def _images_to_waves(images: np.ndarray, geometry: Geometry) -> np.ndarray:
    """(N, channels, h, w), with zeros below and to the right, as spectra (waves, G, N, channels/G)."""
    N, channels, height, width = images.shape
    split = images.reshape(N, geometry.groups, channels // geometry.groups, height, width).swapaxes(0, 1)
    return _to_waves(split, geometry)


def _kernels_to_waves(weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Kernels (O, C/G, kH, kW) as (waves, G, O/G, C/G)."""
    taps = _spread(weight, geometry.dilation)
    shape = geometry.groups, geometry.out_channels // geometry.groups, *taps.shape[1:]
    return _to_waves(taps.reshape(shape), geometry)


def _to_waves(pixels: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Real (G, A, B, h, w) as complex (waves, G, A, B)."""
    (height, width), shape = _period(geometry), pixels.shape[:3]
    waves = np.empty((height * (width // 2 + 1), *shape), np.result_type(pixels, np.complex64))

    def transform(lane: slice) -> None:
        spectra = np.fft.rfft2(pixels[:, lane], (height, width))
        waves[:, :, lane] = np.moveaxis(spectra.reshape(*spectra.shape[:3], -1), -1, 0)

    blocks.run(transform, blocks.share(shape[1]))
    return waves


def _to_pixels(waves: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The inverse of `_to_waves`: (G, A, B, height, width) of the period."""
    (height, width), shape = _period(geometry), waves.shape[1:]
    pixels = np.empty((*shape, height, width), waves.real.dtype)

    def transform(lane: slice) -> None:
        spectra = np.moveaxis(waves[:, :, lane], 0, -1)
        spectra = spectra.reshape(*spectra.shape[:3], height, width // 2 + 1)
        pixels[:, lane] = np.fft.irfft2(spectra, (height, width))

    blocks.run(transform, blocks.share(shape[1]))
    return pixels


def _to_images(waves: np.ndarray, geometry: Geometry) -> np.ndarray:
    """(waves, G, N, channels/G) as (N, channels, height, width) of the period."""
    pixels = _to_pixels(waves, geometry).swapaxes(0, 1)
    return pixels.reshape(len(pixels), pixels.shape[1] * pixels.shape[2], *pixels.shape[3:])


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The matrix product of a (waves, G, A, B) and b (waves, G, B, D) for every wave: (waves, G, A, D)."""
    product = np.empty((*a.shape[:3], b.shape[3]), a.dtype)

    def multiply(lane: slice) -> None:
        np.matmul(a[lane], b[lane], out=product[lane])

    blocks.run(multiply, blocks.share(len(a)))
    return product


def _spread(pixels: np.ndarray, step: tuple[int, int]) -> np.ndarray:
    """(..., h, w) with step - 1 zeros between neighbours."""
    if step == (1, 1):
        return pixels
    height, width = ((count - 1) * apart + 1 for count, apart in zip(pixels.shape[-2:], step, strict=True))
    spread = np.zeros((*pixels.shape[:-2], height, width), pixels.dtype)
    spread[..., :: step[0], :: step[1]] = pixels
    return spread


def _period(geometry: Geometry) -> tuple[int, int]:
    """Height and width of the padded images, made even and quick to transform."""
    return _quick(geometry.padded[0]), _quick(geometry.padded[1])


@cache
def _quick(length: int) -> int:
    """The next even length that is a product of 2, 3 and 5: a Fast Fourier Transform splits it up."""
    while length % 2 or pow(30, length, length):  # 30^n is divisible by n: n has no other factors
        length += 1
    return length
