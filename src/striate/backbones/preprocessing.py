"""From pictures to the input that a pretrained network was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from striate.schemas import Preprocess

Interpolation = Literal["bilinear", "bicubic", "lanczos"]

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Preprocessing:
    """Resize the shorter side, cut out the middle, normalise.

    Attributes:
        size: (height, width) of the input.
        crop_share: the share of the resized picture's shorter side that is kept.
        mean: of each channel, of values in [0, 1].
        std: likewise.
        interpolation: of the resizing; always with antialiasing.
    """

    size: tuple[int, int]
    crop_share: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Interpolation = "bicubic"

    def as_input(self, size: tuple[int, int] | None = None) -> Preprocess:
        """Return the same as the settings of an image's way in, which bundles hold.

        Args:
            size: (height, width) of another input; None: its own.
        """
        height, width = size or self.size
        return Preprocess(
            channels=3,
            height=height,
            width=width,
            fit="crop",
            crop_share=self.crop_share,
            interpolation=self.interpolation,
            mean=self.mean,
            std=self.std,
        )

    def __call__(self, images: Sequence[Image.Image | np.ndarray]) -> np.ndarray:
        """Return float32 (N, 3, height, width).

        Args:
            images: PIL images, or uint8 arrays (H, W, 3) or (H, W).
        """
        pixels = np.stack([self.cut(_as_image(image)) for image in images])
        mean, std = (np.asarray(values, np.float32).reshape(1, 3, 1, 1) for values in (self.mean, self.std))
        return (pixels.astype(np.float32) / np.float32(255) - mean) / std

    def cut(self, image: Image.Image) -> np.ndarray:
        """Return uint8 (3, height, width): resized with antialiasing, cut."""
        height, width = self.size
        side = int(min(height, width) / self.crop_share)
        shorter = min(image.size)
        resized = image.resize(
            (image.width * side // shorter, image.height * side // shorter), _FILTERS[self.interpolation]
        )
        left, top = round((resized.width - width) / 2), round((resized.height - height) / 2)
        cut = resized.crop((left, top, left + width, top + height))
        return np.asarray(cut).transpose(2, 0, 1)


def _as_image(image: Image.Image | np.ndarray) -> Image.Image:
    return (Image.fromarray(image) if isinstance(image, np.ndarray) else image).convert("RGB")
