"""Decoding batches of images: in the thread that trains, or ahead of it in others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from striate.data.images import ImageSet

AHEAD = 2
"""Batches that wait to be trained on, or are being decoded, for each thread."""


class Decoder:
    """Decodes in this thread, or copies images that lie in memory."""

    def __init__(self, images: ImageSet) -> None:
        self.images = images

    def decode(self, groups: Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
        """Yield the pixels of each group of indices, uint8 (B, C, H, W).

        Raises:
            DataError: a file cannot be read any more; names it.
        """
        for indices in groups:
            yield torch.from_numpy(self.images.pixels.take(indices))


class ThreadedDecoder:
    """Decodes ahead in threads, which end with the iteration, whatever ends it.

    Threads and not processes: Pillow decodes without holding the interpreter, and the memory of a training
    step is copied page by page when it is next written to if a process was forked beside it.
    """

    def __init__(self, images: ImageSet, threads: int) -> None:
        self.images = images
        self.threads = threads

    def decode(self, groups: Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
        """Yield the pixels of each group of indices, uint8 (B, C, H, W), in the order of the groups.

        Raises:
            DataError: a file cannot be read any more; names it.
        """
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="striate-decode")
        waiting: deque[Future[np.ndarray]] = deque()
        try:
            for indices in groups:
                waiting.append(pool.submit(self.images.pixels.take, indices))
                if len(waiting) > AHEAD * self.threads:
                    yield torch.from_numpy(waiting.popleft().result())
            while waiting:
                yield torch.from_numpy(waiting.popleft().result())
        finally:
            pool.shutdown(cancel_futures=True)
