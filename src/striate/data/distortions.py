"""What happens to images on their way to a network, in growing strength: shifts, blur, noise and so on.

To measure what a network stands, not to train it: each distortion comes alone, at given levels, and the same
images are distorted alike for every network of the same input size.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from striate.data.draws import draws

_MOST_PIXELS = 2_000_000  # resampled at once


@dataclass(frozen=True)
class Distortion:
    """One way to distort images.

    Attributes:
        name: of it.
        unit: what its levels are.
        levels: in the order in which they are drawn.
        neutral: the level that changes nothing.
        apply: from images uint8 (N, C, H, W), a level, and draws float64 (N, 2) in [0, 1), to such images.
    """

    name: str
    unit: str
    levels: tuple[float, ...]
    neutral: float
    apply: Callable[[np.ndarray, float, np.ndarray], np.ndarray]


def distort(
    images: np.ndarray, distortion: Distortion, level: float, indices: np.ndarray, seed: int = 0
) -> np.ndarray:
    """Return distorted images; each has directions and noise of its own, the same at every level.

    Args:
        images: uint8 (N, C, H, W).
        distortion: one of `DISTORTIONS`.
        level: any of its levels; the neutral one changes nothing.
        indices: integers (N,), positions in the data set: what is drawn follows from them and `seed`.
        seed: of the draws.

    Returns:
        uint8 (N, C, H, W).
    """
    if level == distortion.neutral:
        return images
    return distortion.apply(images, level, draws(seed, 0, indices, 2, f"distort/{distortion.name}"))


def _shift(images: np.ndarray, share: float, uniform: np.ndarray) -> np.ndarray:
    """Move by a share of the side, in a direction of its own."""
    angle = 2 * np.pi * uniform[:, 0]
    height, width = images.shape[2:]
    offsets = share * np.stack([np.sin(angle) * height, np.cos(angle) * width], axis=1)
    return _resample(images, np.broadcast_to(np.eye(2), (len(images), 2, 2)), offsets)


def _scale(images: np.ndarray, factor: float, uniform: np.ndarray) -> np.ndarray:
    return _resample(
        images, np.broadcast_to(np.eye(2) / factor, (len(images), 2, 2)), np.zeros((len(images), 2))
    )


def _rotate(images: np.ndarray, degrees: float, uniform: np.ndarray) -> np.ndarray:
    """Turn to one side or the other."""
    angle = np.radians(degrees) * np.where(uniform[:, 0] < 0.5, 1, -1)
    cos, sin = np.cos(angle), np.sin(angle)
    return _resample(
        images, np.stack([cos, sin, -sin, cos], axis=1).reshape(-1, 2, 2), np.zeros((len(images), 2))
    )


def _blur(images: np.ndarray, share: float, uniform: np.ndarray) -> np.ndarray:
    """Blur by a Gaussian whose deviation is a share of the shorter side."""
    from scipy.ndimage import gaussian_filter

    sigma = share * min(images.shape[2:])
    return _rounded(gaussian_filter(images.astype(np.float32), (0, 0, sigma, sigma), mode="nearest"))


def _noise(images: np.ndarray, deviation: float, uniform: np.ndarray) -> np.ndarray:
    """Add normal noise, independent for each pixel and channel; the deviation is a share of white."""
    seeds = (uniform * 2**32).astype(np.uint64)
    noise = np.stack(
        [np.random.default_rng(pair).standard_normal(images.shape[1:], np.float32) for pair in seeds]
    )
    return _rounded(images + 255 * deviation * noise)


def _brightness(images: np.ndarray, factor: float, uniform: np.ndarray) -> np.ndarray:
    return _rounded(images * np.float32(factor))


def _jpeg(images: np.ndarray, quality: float, uniform: np.ndarray) -> np.ndarray:
    """Save as JPEG of that quality, and open again."""
    return np.stack([_saved(image, round(quality)) for image in images])


def _saved(image: np.ndarray, quality: int) -> np.ndarray:
    """uint8 (C, H, W), C 1 or 3."""
    buffer = io.BytesIO()
    picture = Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))
    picture.save(buffer, "JPEG", quality=quality)
    opened = np.asarray(Image.open(buffer))
    saved: np.ndarray = opened[None] if len(image) == 1 else opened.transpose(2, 0, 1)
    return saved


def _resample(images: np.ndarray, matrices: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Look, for each target position p from the centre, at `matrix @ (p - offset)` in the source (bilinear).

    Beyond the border lies the pixel at the border, again and again.

    Args:
        images: uint8 (N, C, H, W).
        matrices: float64 (N, 2, 2), y before x.
        offsets: float64 (N, 2), in pixels, y before x.
    """
    height, width = images.shape[2:]
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    targets = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1).reshape(
        -1, 2
    )
    step = max(1, _MOST_PIXELS // len(targets))
    parts = []
    for start in range(0, len(images), step):
        part = slice(start, start + step)
        moved = targets[None] - centre - offsets[part, None]
        parts.append(_looked_up(images[part], np.einsum("nij,npj->npi", matrices[part], moved) + centre))
    return np.concatenate(parts)


def _looked_up(images: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Interpolate at `places`, float64 (N, H*W, 2), y before x."""
    count, channels, height, width = images.shape
    places = np.clip(places, 0, [height - 1, width - 1])
    low = np.floor(places).astype(np.int64)
    high = np.minimum(low + 1, [height - 1, width - 1])
    share = (places - low).astype(np.float32)
    flat = images.reshape(count, channels, -1)

    def pixels(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.take_along_axis(flat, (y * width + x)[:, None, :], axis=2).astype(np.float32)

    down, right = share[:, None, :, 0], share[:, None, :, 1]
    above = pixels(low[..., 0], low[..., 1]) * (1 - right) + pixels(low[..., 0], high[..., 1]) * right
    below = pixels(high[..., 0], low[..., 1]) * (1 - right) + pixels(high[..., 0], high[..., 1]) * right
    return _rounded(above * (1 - down) + below * down).reshape(images.shape)


def _rounded(values: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return rounded


DISTORTIONS: dict[str, Distortion] = {
    found.name: found
    for found in (
        Distortion("shift", "share of the side", (0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3), 0.0, _shift),
        Distortion("scale", "factor", (0.4, 0.55, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0), 1.0, _scale),
        Distortion("rotation", "degrees", (0.0, 8.0, 15.0, 25.0, 40.0, 60.0, 90.0), 0.0, _rotate),
        Distortion("blur", "deviation, share of the side", (0.0, 0.02, 0.035, 0.055, 0.08), 0.0, _blur),
        Distortion("noise", "deviation, share of white", (0.0, 0.04, 0.08, 0.15, 0.25, 0.4), 0.0, _noise),
        Distortion("brightness", "factor", (0.25, 0.4, 0.6, 0.8, 1.0, 1.3, 1.7, 2.3), 1.0, _brightness),
        Distortion("JPEG", "quality", (100.0, 75.0, 50.0, 25.0, 12.0, 6.0, 3.0), 100.0, _jpeg),
    )
}
"""Every distortion by name. JPEG's quality of 100 counts as unchanged."""
