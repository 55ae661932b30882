"""From images to their features: decoded and computed by all cores at once, one image a core in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from striate.data import Pixels, decode
from striate.data.parallel import Progress, each
from striate.features import onnx_file
from striate.features.extractors import Extractor, TorchExtractor
from striate.features.store import FeatureStore
from striate.schemas import Preprocess

if TYPE_CHECKING:
    import torch

STAGE = "computing features"
CHECKED_IMAGES = 8
"""On so many of the user's own images a new ONNX file is compared with torch."""
SHARD = 512
"""Images whose features are written to disk at a time: 2.6 MB of 1280 features."""


@dataclass(frozen=True)
class Frozen:
    """A frozen network without its head.

    Attributes:
        key: digest of its layers and weights, at least 40 characters.
        module: builds it, a torch module from (N, C, H, W) to (N, F); called only if features are missing
            and there is no ONNX file of it yet.
    """

    key: str
    module: Callable[[], torch.nn.Module]


@dataclass(frozen=True)
class Features:
    """The features of N images.

    Attributes:
        values: float32 (N, F).
        computed: how many were not found on disk.
        messages: what the user should know.
    """

    values: np.ndarray
    computed: int
    messages: tuple[str, ...]


def cached_features(
    pixels: Pixels,
    digests: np.ndarray,
    preprocess: Preprocess,
    frozen: Frozen,
    progress: Progress | None = None,
) -> Features:
    """Return the features of images: those that are kept from disk, the others computed and kept.

    The features of an image do not depend on the images beside it: they are computed one by one.

    Args:
        pixels: N images, decoded when they are needed.
        digests: uint8 (N, 32), SHA-256 of each image's file.
        preprocess: what `pixels` were prepared with.
        frozen: the network.
        progress: called as `progress(stage, done, total)`.

    Raises:
        DataError: a file cannot be read any more; names it.
    """
    store = FeatureStore(_key(frozen, preprocess))
    known = store.find(digests)
    missing = [number for number in range(len(digests)) if number not in known]
    messages: list[str] = []
    if missing:
        extractor, message = _open(pixels.select(missing[:CHECKED_IMAGES]), preprocess, frozen)
        messages += [message] if message else []
        for numbers, features in extract(pixels, missing, preprocess, extractor, progress):
            known.update(zip(numbers, features, strict=True))
            refusal = store.add(digests[numbers], features)
            if refusal and refusal not in messages:
                messages.append(refusal)
    values = np.stack([known[number] for number in range(len(digests))])
    return Features(values, len(missing), tuple(messages))


def _key(frozen: Frozen, preprocess: Preprocess) -> str:
    from striate.data.cache import key_of

    settings = preprocess.model_dump(mode="json")
    return key_of("features", frozen.key, settings)


def _open(some: Pixels, preprocess: Preprocess, frozen: Frozen) -> tuple[Extractor, str]:
    """Return what computes, and a message if it is the slower way."""
    known = onnx_file.read(frozen.key)
    if known is not None:
        return known, ""
    module = frozen.module()
    images = preprocess.normalize(some.take(np.arange(len(some))))
    made = onnx_file.make(frozen.key, module, images)
    if isinstance(made, str):
        return TorchExtractor(module), f"Features are computed by PyTorch, which is slower: {made}."
    return made, ""


def extract(
    pixels: Pixels,
    numbers: Sequence[int],
    preprocess: Preprocess,
    extractor: Extractor,
    progress: Progress | None,
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield numbers of images and their features, float32 (n, F), some hundred at a time."""

    def compute(number: int) -> np.ndarray:
        features = extractor(preprocess.normalize(pixels.take(np.array([number]))))
        result: np.ndarray = features[0]
        return result

    done: list[np.ndarray] = []
    start = 0
    with decode.quiet():
        for features in each(compute, numbers, STAGE, progress):
            done.append(features)
            if len(done) == SHARD:
                yield list(numbers[start : start + SHARD]), np.stack(done)
                start, done = start + SHARD, []
    if done:
        yield list(numbers[start:]), np.stack(done)
