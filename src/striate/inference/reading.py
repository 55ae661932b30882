"""From what users hand over to batches of pixels, decoded ahead of the network."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from striate.data import Pixels, decode_images
from striate.data.images import take
from striate.schemas import Preprocess

Item = str | Path | Image.Image | np.ndarray
"""One image: a path, a PIL image, or an array (H, W) or (H, W, C), uint8 or float in 0..1."""


@dataclass(frozen=True)
class Batch:
    """Some images, as far as they could be read.

    Attributes:
        names: (B,), of those that could.
        pixels: uint8 (B, C, H, W).
        problems: name and reason of each that could not.
    """

    names: tuple[str, ...]
    pixels: np.ndarray
    problems: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.names) + len(self.problems)


def as_items(images: Any) -> list[Item]:
    """Return each of `images`, which `Classifier.predict` describes, as an item.

    Raises:
        TypeError: something that is no image.
    """
    return [_as_item(image) for image in _as_sequence(images)]


def decode_items(items: Iterable[Item], preprocess: Preprocess, batch_size: int) -> Iterator[Batch]:
    """Decode `batch_size` items at a time; nothing is raised for an item that cannot be read."""
    place = 0
    waiting = iter(items)
    while chunk := list(islice(waiting, batch_size)):
        names = [_name(item, place + n) for n, item in enumerate(chunk)]
        decoded = decode_images(chunk, preprocess)
        yield Batch(
            tuple(names[row] for row in decoded.kept),
            decoded.images,
            tuple((names[row], reason) for row, reason in sorted(decoded.reasons.items())),
        )
        place += len(chunk)


def decode_set(pixels: Pixels, batch_size: int) -> Iterator[np.ndarray]:
    """Yield uint8 (B, C, H, W) for `batch_size` images of a set at a time; several threads decode files.

    Raises:
        DataError: a file cannot be read any more; the text names it.
    """
    for start in range(0, len(pixels), batch_size):
        rows = np.arange(start, min(start + batch_size, len(pixels)))
        yield take(pixels, rows)


def _as_sequence(images: Any) -> Sequence[Any]:
    if isinstance(images, str | Path | Image.Image):
        return [images]
    if isinstance(images, np.ndarray) or _is_tensor(images):
        return [images] if images.ndim <= 3 else list(images)
    if isinstance(images, Sequence):
        return images
    raise TypeError(
        f"images is a {type(images).__name__}; expected a path, PIL image, array or tensor, or a list of them"
    )


def _as_item(image: Any) -> Item:
    if _is_tensor(image):
        tensor = image.detach().cpu()
        short = tensor.is_floating_point() and tensor.element_size() < 4  # NumPy has no bfloat16
        array: np.ndarray = (tensor.float() if short else tensor).numpy()
        return array.transpose(1, 2, 0) if array.ndim == 3 else array
    if isinstance(image, str | Path | Image.Image | np.ndarray):
        return image
    raise TypeError(f"an image is a {type(image).__name__}; expected a path, PIL image, array or tensor")


def _name(item: Item, place: int) -> str:
    return str(item) if isinstance(item, str | Path) else f"image {place}"


def _is_tensor(image: Any) -> bool:
    """Whether `image` is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)
