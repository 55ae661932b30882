"""`trivial`: TrivialAugment in its wide form, one random operation of random strength for each image.

Müller & Hutter 2021, "TrivialAugment: Tuning-free yet state-of-the-art data augmentation", with the
operations, strengths and 8-bit arithmetic of torchvision's `TrivialAugmentWide`. As there, translations reach
32 pixels whatever the image's size, and what comes into view from beyond the border is black.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from striate.data.augment import affine, colour

COLUMNS = 3  # operation, strength, sign
BINS = 31

_UP_TO_1 = np.linspace(0.0, 0.99, BINS)
_NONE = np.zeros(BINS)
MAGNITUDES: dict[str, np.ndarray] = {
    "Identity": _NONE,
    "ShearX": _UP_TO_1,  # pixels per pixel
    "ShearY": _UP_TO_1,
    "TranslateX": np.linspace(0.0, 32.0, BINS),  # pixels, cut to whole ones
    "TranslateY": np.linspace(0.0, 32.0, BINS),
    "Rotate": np.linspace(0.0, 135.0, BINS),  # degrees
    "Brightness": _UP_TO_1,  # factor less 1, as in the next three
    "Color": _UP_TO_1,
    "Contrast": _UP_TO_1,
    "Sharpness": _UP_TO_1,
    "Posterize": 8 - np.round(np.arange(BINS) / 5),  # bits kept
    "Solarize": np.linspace(1.0, 0.0, BINS),  # threshold, in [0, 1]
    "AutoContrast": _NONE,
    "Equalize": _NONE,
}
"""The strengths among which one is drawn, float64 (31,), for each operation."""
UNSIGNED = ("Posterize", "Solarize")
"""Operations whose strength keeps its sign; the others' is reversed for every second image."""


def trivial_augment(images: torch.Tensor, uniform: np.ndarray) -> torch.Tensor:
    """Change each image by one operation.

    Args:
        images: (B, C, H, W) with C 1 or 3, uint8, or float in [0, 1], which is rounded to 8 bits first.
        uniform: float64 (B, 3) in [0, 1).

    Returns:
        (B, C, H, W), the dtype of `images`.
    """
    if images.dtype != torch.uint8:
        levels = images.mul(255).round_().to(torch.uint8)
        return trivial_augment(levels, uniform).to(images.dtype).div_(255)
    chosen = np.floor(uniform[:, 0] * len(MAGNITUDES)).astype(np.int64)
    bins = np.floor(uniform[:, 1] * BINS).astype(np.int64)
    signs = np.where(uniform[:, 2] < 0.5, -1.0, 1.0)
    result = images.clone()
    for number, operation in enumerate(MAGNITUDES):
        rows = np.flatnonzero(chosen == number)
        if not len(rows) or operation == "Identity":
            continue
        magnitudes = MAGNITUDES[operation][bins[rows]]
        if operation not in UNSIGNED:
            magnitudes = magnitudes * signs[rows]
        where = torch.from_numpy(rows).to(images.device)
        result[where] = apply_operation(images[where], operation, magnitudes)
    return result


def apply_operation(images: torch.Tensor, operation: str, magnitudes: np.ndarray) -> torch.Tensor:
    """Apply one operation with a strength for each image.

    Args:
        images: uint8 (B, C, H, W) with C 1 or 3.
        operation: a key of `MAGNITUDES`.
        magnitudes: float64 (B,), signed.

    Returns:
        uint8 (B, C, H, W).
    """
    if operation in _GEOMETRIC:
        matrices = _GEOMETRIC[operation](magnitudes, images.shape[2], images.shape[3])
        warped = affine.warp(images.to(torch.float32), matrices, mode="nearest", outside="zeros")
        return warped.to(torch.uint8)
    return _COLOURS[operation](images, magnitudes)


def _shear_x(magnitudes: np.ndarray, height: int, width: int) -> np.ndarray:
    """The corner at the top left stays where it is."""
    return affine.inverse_matrices(shear_x=_degrees(magnitudes), centre=(-width / 2, -height / 2))


def _shear_y(magnitudes: np.ndarray, height: int, width: int) -> np.ndarray:
    return affine.inverse_matrices(shear_y=_degrees(magnitudes), centre=(-width / 2, -height / 2))


def _translate_x(magnitudes: np.ndarray, height: int, width: int) -> np.ndarray:
    return affine.inverse_matrices(translate_x=np.trunc(magnitudes))


def _translate_y(magnitudes: np.ndarray, height: int, width: int) -> np.ndarray:
    return affine.inverse_matrices(translate_y=np.trunc(magnitudes))


def _rotate(magnitudes: np.ndarray, height: int, width: int) -> np.ndarray:
    return affine.inverse_matrices(angle=-magnitudes)  # positive strengths turn anticlockwise


def _degrees(slopes: np.ndarray) -> np.ndarray:
    degrees: np.ndarray = np.degrees(np.arctan(slopes))
    return degrees


def _brightness(images: torch.Tensor, magnitudes: np.ndarray) -> torch.Tensor:
    black = torch.zeros((), device=images.device)
    return colour.blend(images.to(torch.float32), black, 1 + magnitudes, 255).to(torch.uint8)


def _saturation(images: torch.Tensor, magnitudes: np.ndarray) -> torch.Tensor:
    if images.shape[1] == 1:
        return images
    values = images.to(torch.float32)
    return colour.blend(values, colour.grey(values).floor_(), 1 + magnitudes, 255).to(torch.uint8)


def _contrast(images: torch.Tensor, magnitudes: np.ndarray) -> torch.Tensor:
    values = images.to(torch.float32)
    mean = colour.grey(values).floor().mean(dim=(1, 2, 3), keepdim=True)
    return colour.blend(values, mean, 1 + magnitudes, 255).to(torch.uint8)


def _sharpness(images: torch.Tensor, magnitudes: np.ndarray) -> torch.Tensor:
    return colour.sharpen(images, 1 + magnitudes)


def _posterize(images: torch.Tensor, magnitudes: np.ndarray) -> torch.Tensor:
    dropped = 8 - magnitudes.astype(np.int64)
    masks = torch.from_numpy((255 >> dropped << dropped).astype(np.uint8)).to(images.device)
    return images & masks.view(-1, 1, 1, 1)


def _solarize(images: torch.Tensor, magnitudes: np.ndarray) -> torch.Tensor:
    thresholds = torch.from_numpy((255 * magnitudes).astype(np.float32)).to(images.device)
    return torch.where(images >= thresholds.view(-1, 1, 1, 1), ~images, images)


def _autocontrast(images: torch.Tensor, magnitudes: np.ndarray) -> torch.Tensor:
    from torchvision.transforms.v2 import (
        functional as reference,
    )  # slow to import; draws nothing, takes batches

    stretched: torch.Tensor = reference.autocontrast(images)
    return stretched


def _equalize(images: torch.Tensor, magnitudes: np.ndarray) -> torch.Tensor:
    from torchvision.transforms.v2 import functional as reference

    equalized: torch.Tensor = reference.equalize(images)
    return equalized


_GEOMETRIC: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "ShearX": _shear_x,
    "ShearY": _shear_y,
    "TranslateX": _translate_x,
    "TranslateY": _translate_y,
    "Rotate": _rotate,
}
_COLOURS: dict[str, Callable[[torch.Tensor, np.ndarray], torch.Tensor]] = {
    "Identity": lambda images, magnitudes: images,
    "Brightness": _brightness,
    "Color": _saturation,
    "Contrast": _contrast,
    "Sharpness": _sharpness,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "AutoContrast": _autocontrast,
    "Equalize": _equalize,
}
