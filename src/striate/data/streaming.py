"""Decoding batches of images: in this process, or ahead of time in worker processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from striate.data.images import ImageSet
from striate.errors import DataError, StriateError


class Decoder:
    """Decodes in this process, or copies images that lie in memory."""

    def __init__(self, images: ImageSet) -> None:
        self.images = images

    def decode(self, groups: Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
        """Yield the pixels of each group of indices, uint8 (B, C, H, W).

        Raises:
            DataError: a file cannot be read any more; names it.
        """
        for indices in groups:
            yield torch.from_numpy(self.images.pixels.take(indices))


class WorkerDecoder:
    """Decodes ahead in worker processes.

    Workers end with the iteration, whatever ends it. Only where processes do not start by forking and have
    to import everything anew, those of a completed iteration wait for the next one.
    """

    def __init__(self, images: ImageSet, num_workers: int) -> None:
        self.images = images
        self.num_workers = num_workers
        self._idle: tuple[DataLoader[Any], _Groups] | None = None

    def decode(self, groups: Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
        """Yield the pixels of each group of indices, uint8 (B, C, H, W), in the order of the groups.

        Raises:
            DataError: a file cannot be read any more; names it.
            StriateError: a worker died.
        """
        keep = multiprocessing.get_start_method() != "fork"
        loader, sampler = self._idle or _start(self.images, self.num_workers, keep)
        self._idle = None
        sampler.groups = groups
        iterator = _iterate(loader)
        finished = False
        try:
            yield from _received(iterator)
            finished = True
        finally:
            if finished and keep:
                self._idle = (loader, sampler)
            else:
                iterator._shutdown_workers()  # now, not when the last traceback is forgotten


class _Groups:
    """What the loader asks its workers for: each "index" is the index array of a whole batch."""

    def __init__(self) -> None:
        self.groups: Sequence[np.ndarray] = ()

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)


class _Decoding(Dataset[torch.Tensor | str]):
    """Decodes one batch in a worker; a broken file comes back as its message, not as a traceback."""

    def __init__(self, images: ImageSet) -> None:
        self.images = images

    def __getitem__(self, indices: np.ndarray) -> torch.Tensor | str:
        try:
            return torch.from_numpy(self.images.pixels.take(indices))
        except DataError as error:
            return str(error)


def _start(images: ImageSet, num_workers: int, keep: bool) -> tuple[DataLoader[Any], _Groups]:
    sampler = _Groups()
    with _expected_warnings():
        loader = DataLoader(
            _Decoding(images),
            batch_size=None,
            sampler=sampler,
            num_workers=num_workers,
            collate_fn=_as_it_is,
            generator=torch.Generator(),  # else it draws from the global one, which dropout uses
            persistent_workers=keep,
        )
    return loader, sampler


def _iterate(loader: DataLoader[Any]) -> Any:
    """Start an iteration and, where needed, the workers."""
    with _expected_warnings():
        return iter(loader)


@contextlib.contextmanager
def _expected_warnings() -> Iterator[None]:
    """Silence what is meant: more workers than cores, and forking although torch has threads."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        yield


def _received(iterator: Iterator[torch.Tensor | str]) -> Iterator[torch.Tensor]:
    try:
        for decoded in iterator:
            if isinstance(decoded, str):
                raise DataError(decoded)
            yield decoded
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise StriateError(
            "a decoding process died (out of memory?); try again with num-workers 0."
        ) from error


def _as_it_is(decoded: Any) -> Any:
    return decoded
