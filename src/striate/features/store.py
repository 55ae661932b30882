"""Features kept on disk by the content of the images: a file of an image changes, and so does its key.

A store is a folder for one frozen network and one way of preparing images. It holds shards: safetensors files
with the SHA-256 of N images and their N rows of features. A shard is written under a temporary name and
renamed, and is named after its own checksum: one that is torn counts as absent, two runs that write at once
write two shards, and a run that was killed has kept all but its last few hundred images.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from striate import files
from striate.cache import cache_folder
from striate.errors import UserError

_SUFFIX = ".safetensors"


class FeatureStore:
    """The features of one network.

    Args:
        key: of the network and how images are prepared for it, at least 40 characters.
    """

    def __init__(self, key: str) -> None:
        self.folder = cache_folder() / "features" / key[:40]

    def find(self, digests: np.ndarray) -> dict[int, np.ndarray]:
        """Return the features that are kept, by the number of the image.

        Args:
            digests: uint8 (N, 32), SHA-256 of each image.

        Returns:
            Number of the image -> float32 (F,).
        """
        wanted: dict[bytes, list[int]] = {}
        for number, digest in enumerate(digests):
            wanted.setdefault(digest.tobytes(), []).append(number)
        found: dict[int, np.ndarray] = {}
        for known, features in self._shards():
            for row, digest in enumerate(known):
                for number in wanted.get(digest.tobytes(), ()):
                    found[number] = features[row]
        return found

    def add(self, digests: np.ndarray, features: np.ndarray) -> str | None:
        """Keep features.

        Args:
            digests: uint8 (N, 32).
            features: float32 (N, F).

        Returns:
            None, or, where they cannot be written, a message that says why: the work goes on without.
        """
        arrays = {"digests": np.ascontiguousarray(digests), "features": np.ascontiguousarray(features)}
        content = safetensors.numpy.save(arrays)
        try:
            files.make_folder(self.folder)
            files.write_bytes(self.folder / (sha256(content).hexdigest()[:40] + _SUFFIX), content)
        except UserError as error:
            return f"Features are not kept for the next time: {error}"
        return None

    def _shards(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield digests and features of every shard that is whole."""
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            shard = _read(path)
            if shard is not None:
                yield shard


def _read(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        content = path.read_bytes()
        if sha256(content).hexdigest()[:40] != path.stem:
            return None
        arrays = safetensors.numpy.load(content)
        digests, features = arrays["digests"], arrays["features"]
    except (OSError, SafetensorError, ValueError, KeyError):
        return None
    fits = digests.shape == (len(features), 32) and digests.dtype == np.uint8
    return (digests, features) if fits and features.dtype == np.float32 else None
