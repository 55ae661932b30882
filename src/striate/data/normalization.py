"""Mean and deviation that images are normalised with."""

from __future__ import annotations

import numpy as np

from striate.config import DataConfig
from striate.data.images import Pixels

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of the training images of ImageNet, as torchvision and most pretrained networks use them."""
SAMPLED_IMAGES = 1000
"""Images that are not in memory are too many to read twice: so many of them, drawn by the seed, must do."""
_CHUNK = 256

Moments = tuple[tuple[float, ...], tuple[float, ...]]


def moments(config: DataConfig, channels: int, train: Pixels) -> Moments:
    """Return (mean, std), one value a channel, for pixels scaled to [0, 1], as `config.normalize` says."""
    if config.normalize == "dataset":
        return _measure(train, channels, config.seed)
    if config.normalize == "half":
        return (0.5,) * channels, (0.5,) * channels
    if config.normalize == "imagenet":
        if channels == 3:
            return IMAGENET_MEAN, IMAGENET_STD
        return (round(float(np.mean(IMAGENET_MEAN)), 6),), (round(float(np.mean(IMAGENET_STD)), 6),)
    return (0.0,) * channels, (1.0,) * channels


def _measure(pixels: Pixels, channels: int, seed: int) -> Moments:
    """Count how often each of the 256 values occurs in each channel: exact, whatever the order.

    The deviation is that of all pixels (divided by their number); a channel without any has deviation 1.
    """
    indices = np.arange(len(pixels))
    if not pixels.in_memory and len(pixels) > SAMPLED_IMAGES:
        generator = np.random.Generator(np.random.PCG64(seed))
        indices = np.sort(generator.choice(len(pixels), SAMPLED_IMAGES, replace=False))
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(indices), _CHUNK):
        chunk = pixels.take(indices[start : start + _CHUNK])
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[:, channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(axis=1))
    std[std == 0] = 1.0
    return tuple(mean.tolist()), tuple(std.tolist())
