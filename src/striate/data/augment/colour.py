"""Brightness, contrast, saturation and sharpness of a batch, a factor an image.

Each is torchvision's operation of that name: a blend of the image with a degenerate of it, black, its mean
grey, its grey version or its blurred version; a factor of 1 changes nothing, more than 1 exaggerates.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

LUMA = (0.2989, 0.587, 0.114)  # weights of red, green and blue, ITU-R BT.601 as torchvision rounds them


def grey(images: torch.Tensor) -> torch.Tensor:
    """Return the grey version, (B, 1, H, W), of float images (B, C, H, W) with C 1 or 3."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    return red.mul(LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).unsqueeze(1)


def blend(images: torch.Tensor, degenerate: torch.Tensor, factors: np.ndarray, bound: float) -> torch.Tensor:
    """Return `factor * image + (1 - factor) * degenerate`, clipped to [0, bound].

    Args:
        images: float (B, C, H, W).
        degenerate: float, broadcast to `images`.
        factors: float64 (B,).
        bound: 1 for images in [0, 1], 255 for those of 8 bits.
    """
    factor = _column(factors, images)
    return images.mul(factor).add_(degenerate * _column(1 - factors, images)).clamp_(0, bound)


def jitter(
    images: torch.Tensor,
    *,
    brightness: np.ndarray,
    contrast: np.ndarray,
    saturation: np.ndarray,
    orders: np.ndarray,
) -> torch.Tensor:
    """Change brightness, contrast and saturation of each image, one after another in an order of its own.

    An image of one channel keeps its saturation.

    Args:
        images: float (B, C, H, W) in [0, 1].
        brightness: factors, float64 (B,).
        contrast: factors, float64 (B,).
        saturation: factors, float64 (B,).
        orders: int (B, 3), permutations of 0 (brightness), 1 (contrast) and 2 (saturation).

    Returns:
        float (B, C, H, W) in [0, 1].
    """
    factors = np.stack([brightness, contrast, saturation], axis=1)
    if images.shape[1] == 1:
        factors[:, 2] = 1.0
    for step in range(3):
        kind = orders[:, step]
        factor = np.take_along_axis(factors, kind[:, None], axis=1)[:, 0]
        shade = grey(images)
        mean = shade.mean(dim=(1, 2, 3), keepdim=True)
        # (1, H, W) of each image: zero, its mean or its grey version
        degenerate = shade * _column(kind == 2, images) + mean * _column(kind == 1, images)
        images = blend(images, degenerate, factor, 1.0)
    return images


def sharpen(images: torch.Tensor, factors: np.ndarray) -> torch.Tensor:
    """Change the sharpness of uint8 images (B, C, H, W); border pixels stay as they are.

    The degenerate is a 3x3 mean whose centre weighs five times its neighbours, rounded to 8 bits.
    """
    channels, height, width = images.shape[1:]
    if height <= 2 or width <= 2:
        return images
    kernel = torch.full((3, 3), 1 / 13, device=images.device)
    kernel[1, 1] = 5 / 13
    sharpened = images.to(torch.float32)
    inner = sharpened[..., 1:-1, 1:-1]
    blurred = functional.conv2d(sharpened, kernel.expand(channels, 1, 3, 3), groups=channels).round_()
    inner.add_(blurred.sub_(inner).mul_(_column(1 - factors, sharpened)))
    return sharpened.clamp_(0, 255).to(torch.uint8)


def _column(values: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """Return one value an image, (B, 1, 1, 1), with the dtype and device of `like`."""
    return torch.from_numpy(np.asarray(values)).to(dtype=like.dtype, device=like.device).view(-1, 1, 1, 1)
