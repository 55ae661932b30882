"""A small classification task that a network of a few parameters learns in a second."""

from __future__ import annotations

import numpy as np
import torch

from striate.config import TrainConfig
from striate.data.images import ArrayPixels, ImageSet
from striate.data.loaders import Batches
from striate.schemas import Preprocess

CLASS_NAMES = ("a", "b", "c", "d")
PREPROCESS = Preprocess(channels=1, height=8, width=8, mean=(0.3,), std=(0.2,))


def make_images(n: int, seed: int, num_classes: int = 4) -> ImageSet:
    """Noise with one of four quarters brightened: the class."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_classes, n)
    images = generator.integers(0, 120, (n, 1, 8, 8)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[0, row : row + 4, column : column + 4] += 60
    return ImageSet(tuple(f"{i}.png" for i in range(n)), labels, ArrayPixels(images))


def make_batches(
    n: int = 128, seed: int = 1, shuffle: bool = True, batch_size: int = 32, **settings: object
) -> Batches:
    num_classes = int(settings.pop("num_classes", 4))  # type: ignore[call-overload]
    images = make_images(n, seed, num_classes)
    return Batches(images, PREPROCESS, batch_size, shuffle=shuffle, num_classes=num_classes, **settings)  # type: ignore[arg-type]


def make_network(seed: int = 0, outputs: int = 4, dropout: float = 0.2) -> torch.nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return torch.nn.Sequential(
            torch.nn.Conv2d(1, 6, 3),
            torch.nn.ReLU(),
            torch.nn.BatchNorm2d(6),
            torch.nn.Conv2d(6, 6, 3),
            torch.nn.ReLU(),
            torch.nn.Dropout(dropout),
            torch.nn.Flatten(),
            torch.nn.Linear(96, outputs),
        )


def make_config(**changes: object) -> TrainConfig:
    chosen = {"data": "x", "epochs": 3, "batch_size": 32, "lr": 0.01, **changes}
    return TrainConfig(**chosen)  # type: ignore[arg-type]


def same_weights(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    """Whether two state dicts agree to the bit."""
    return first.keys() == second.keys() and all(
        first[name].tobytes() == second[name].tobytes() for name in first
    )
