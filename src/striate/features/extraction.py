"""From images to their features: decoded and computed by all cores at once, one image a core in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from striate.data import Pixels, decode
from striate.data.parallel import Progress, each
from striate.data.views import VIEWS, WHOLE, View, show
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
        written: gives its ONNX file where that can be had without torch, else None: then torch makes it.
    """

    key: str
    module: Callable[[], torch.nn.Module]
    written: Callable[[], bytes | None] = lambda: None


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

    They are the mean over the views that `preprocess` asks for; each view is kept by itself. The features of
    an image do not depend on the images beside it: they are computed one by one.

    Args:
        pixels: N images, decoded when they are needed.
        digests: uint8 (N, 32), SHA-256 of each image's file.
        preprocess: what `pixels` were prepared with.
        frozen: the network.
        progress: called as `progress(stage, done, total)`.

    Raises:
        DataError: a file cannot be read any more; names it.
    """
    views = VIEWS[preprocess.views]
    stores = {view: FeatureStore(_key(frozen, preprocess, view)) for view in views}
    known = {view: store.find(digests) for view, store in stores.items()}
    numbers = range(len(digests))
    missing = [number for number in numbers if any(number not in known[view] for view in views)]
    messages: list[str] = []
    if missing:
        extractor, message = _open(pixels.select(missing[:CHECKED_IMAGES]), preprocess, frozen)
        messages += [message] if message else []
        lacking = [view for view in views if any(number not in known[view] for number in missing)]
        for part, features in extract(pixels, missing, preprocess, extractor, progress, lacking):
            for view, rows in zip(lacking, features.swapaxes(0, 1), strict=True):
                known[view].update(zip(part, rows, strict=True))
                refusal = stores[view].add(digests[part], rows)
                if refusal and refusal not in messages:
                    messages.append(refusal)
    return Features(_mean(known, numbers), len(missing), tuple(messages))


def missing_features(digests: np.ndarray, preprocess: Preprocess, frozen: Frozen) -> list[int]:
    """Return the numbers of the images whose features are not kept; arguments as for `cached_features`."""
    known = [FeatureStore(_key(frozen, preprocess, view)).find(digests) for view in VIEWS[preprocess.views]]
    return [number for number in range(len(digests)) if any(number not in found for found in known)]


def _mean(known: Mapping[View, Mapping[int, np.ndarray]], numbers: Sequence[int]) -> np.ndarray:
    """Return float32 (N, F): the mean over the views of what is known of each image."""
    first, *others = known.values()
    values = np.stack([first[number] for number in numbers])
    for features in others:
        values += np.stack([features[number] for number in numbers])
    return values / np.float32(len(known)) if others else values


def _key(frozen: Frozen, preprocess: Preprocess, view: View) -> str:
    from striate.data.cache import key_of

    settings = preprocess.model_dump(mode="json", exclude={"views"})
    return key_of("features", frozen.key, settings, *([] if view == WHOLE else [view]))


def _open(some: Pixels, preprocess: Preprocess, frozen: Frozen) -> tuple[Extractor, str]:
    """Return what computes, and a message if it is the slower way."""
    known = onnx_file.read(frozen.key)
    if known is not None:
        return known, ""
    module = frozen.module()
    images = preprocess.normalize(some.take(np.arange(len(some))))
    made = onnx_file.make(frozen.key, module, images, frozen.written())
    if isinstance(made, str):
        return TorchExtractor(module), f"Features are computed by PyTorch, which is slower: {made}."
    return made, ""


def extract(
    pixels: Pixels,
    numbers: Sequence[int],
    preprocess: Preprocess,
    extractor: Extractor,
    progress: Progress | None,
    views: Sequence[View] = (WHOLE,),
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield numbers of images and the features of their views, float32 (n, V, F), some hundred at a time."""

    def compute(number: int) -> np.ndarray:
        images = pixels.take(np.array([number]))
        return np.stack([extractor(preprocess.normalize(show(images, view)))[0] for view in views])

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
