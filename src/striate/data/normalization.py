"""Mean and deviation that images are normalised with."""

from __future__ import annotations

import numpy as np

from striate.config import DataConfig
from striate.data import cache
from striate.data.images import Pixels
from striate.data.parallel import Progress, each
from striate.schemas import Preprocess

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of the training images of ImageNet, as torchvision and most pretrained networks use them."""
SAMPLED_IMAGES = 1000
"""Images that are not in memory are too many to read twice: so many of them, drawn by the seed, must do."""
_CHUNK = 32
STAGE = "measuring images"

Moments = tuple[tuple[float, ...], tuple[float, ...]]


def moments(
    config: DataConfig, preprocess: Preprocess, train: Pixels, fingerprint: str, progress: Progress | None
) -> Moments:
    """Return (mean, std), one value a channel, for pixels scaled to [0, 1], as `config.normalize` says.

    Args:
        config: `normalize` and `seed` count.
        preprocess: how `train` was decoded.
        train: the training images.
        fingerprint: of the training images; what was measured on files is remembered for it.
        progress: told how far the measuring is.
    """
    channels = preprocess.channels
    if config.normalize in ("auto", "dataset"):
        settings = (preprocess.decoding, preprocess.permute_pixels)
        key = cache.key_of("moments", settings, fingerprint, config.seed)
        known = None if train.in_memory else cache.load("moments", key)
        if known is not None and set(known) == {"mean", "std"}:
            return tuple(known["mean"].tolist()), tuple(known["std"].tolist())
        mean, std = _measure(train, channels, config.seed, progress)
        if not train.in_memory:
            cache.store("moments", key, {"mean": np.array(mean), "std": np.array(std)})
        return mean, std
    if config.normalize == "half":
        return (0.5,) * channels, (0.5,) * channels
    if config.normalize == "imagenet":
        if channels == 3:
            return IMAGENET_MEAN, IMAGENET_STD
        return (round(float(np.mean(IMAGENET_MEAN)), 6),), (round(float(np.mean(IMAGENET_STD)), 6),)
    return (0.0,) * channels, (1.0,) * channels


def _measure(pixels: Pixels, channels: int, seed: int, progress: Progress | None) -> Moments:
    """Count how often each of the 256 values occurs in each channel: exact, whatever the order.

    The deviation is that of all pixels (divided by their number); a channel without any has deviation 1.
    """
    indices = np.arange(len(pixels))
    if not pixels.in_memory and len(pixels) > SAMPLED_IMAGES:
        generator = np.random.Generator(np.random.PCG64(seed))
        indices = np.sort(generator.choice(len(pixels), SAMPLED_IMAGES, replace=False))
    chunks = [indices[start : start + _CHUNK] for start in range(0, len(indices), _CHUNK)]
    counts = np.zeros((channels, 256), np.int64)
    for count in each(lambda chunk: _count(pixels.take(chunk)), chunks, STAGE, progress):
        counts += count
    values = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(axis=1))
    std[std == 0] = 1.0
    return tuple(mean.tolist()), tuple(std.tolist())


def _count(images: np.ndarray) -> np.ndarray:
    """Return int64 (C, 256): how often each value occurs in each channel of uint8 (N, C, H, W) `images`."""
    return np.stack([np.bincount(channel.ravel(), minlength=256) for channel in images.swapaxes(0, 1)])
