"""Looking at every image of a source once: does it decode, how large is it, what exactly are its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from striate.data import cache, decode
from striate.data.parallel import Progress, each
from striate.data.sources import Reader, Source

SMALL_SIDE = 64
"""Images no larger than this, as they are or as they are to be, are kept in memory."""
STAGE = "reading images"


@dataclass(frozen=True)
class Inspection:
    """What is known of N images.

    Attributes:
        width: int32 (N,), upright, in pixels; 0 where the image does not decode; likewise `height`.
        grey: bool (N,), whether the file can hold no colour.
        format: (N,) text, such as PNG; `array` for images that come decoded.
        mode: (N,) text, Pillow's name of the pixel type in the file.
        digest: uint8 (N, 32), SHA-256 of the file's bytes (or of the pixels, where they come decoded).
        reason: (N,), why an image does not decode; empty where it does.
        small: for images no larger than `SMALL_SIDE`, by their number, the upright pixels, uint8 (H, W) or
            (H, W, 3); only as far as they were decoded just now.
        messages: what the user should know.
    """

    width: np.ndarray
    height: np.ndarray
    grey: np.ndarray
    format: np.ndarray
    mode: np.ndarray
    digest: np.ndarray
    reason: tuple[str, ...]
    small: dict[int, np.ndarray] = field(default_factory=dict)
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Look:
    """What was found out about one image; `facts` and `small` are None where it does not decode."""

    digest: bytes
    reason: str = ""
    facts: decode.Facts | None = None
    small: np.ndarray | None = None


def inspect(source: Source, progress: Progress | None = None) -> Inspection:
    """Look at every image of `source`, or remember what was found when its bytes were the same."""
    if source.reader is None:
        return _inspect_array(source)
    paths = [sample.path for sample in source.samples]
    content = source.reader.content()
    key = cache.key_of("facts", content or "", paths)
    known = _load(key, len(paths))
    if known is not None and (content or _unchanged(source.reader, paths, known, progress)):
        return known
    return _inspect_files(source.reader, paths, key, progress)


def _inspect_array(source: Source) -> Inspection:
    assert source.array is not None
    n, channels, height, width = source.array.shape
    digests = b"".join(hashlib.sha256(image.tobytes()).digest() for image in source.array)
    return Inspection(
        width=np.full(n, width, np.int32),
        height=np.full(n, height, np.int32),
        grey=np.full(n, channels == 1),
        format=np.full(n, "array"),
        mode=np.full(n, "L" if channels == 1 else "RGB"),
        digest=np.frombuffer(digests, np.uint8).reshape(n, 32),
        reason=("",) * n,
    )


def _inspect_files(reader: Reader, paths: Sequence[str], key: str, progress: Progress | None) -> Inspection:
    with decode.quiet():
        looks = list(each(lambda path: _look(reader, path), paths, STAGE, progress))
    facts = [look.facts for look in looks]
    arrays = {
        "width": np.array([fact.width if fact else 0 for fact in facts], np.int32),
        "height": np.array([fact.height if fact else 0 for fact in facts], np.int32),
        "grey": np.array([bool(fact and fact.grey) for fact in facts], bool),
        "format": np.array([fact.format if fact else "" for fact in facts], "U5"),
        "mode": np.array([fact.mode if fact else "" for fact in facts], "U6"),
        "digest": np.frombuffer(b"".join(look.digest for look in looks), np.uint8).reshape(-1, 32),
    }
    bad = [index for index, look in enumerate(looks) if look.reason]
    reasons = {"bad": np.array(bad, np.int64), "why": np.array([looks[index].reason for index in bad], str)}
    message = cache.store("facts", key, arrays | reasons)
    small = {index: look.small for index, look in enumerate(looks) if look.small is not None}
    return _inspection(arrays, [look.reason for look in looks], small, (message,) if message else ())


def _inspection(
    arrays: Mapping[str, np.ndarray],
    reasons: Iterable[str],
    small: dict[int, np.ndarray],
    messages: tuple[str, ...],
) -> Inspection:
    return Inspection(
        width=arrays["width"],
        height=arrays["height"],
        grey=arrays["grey"],
        format=arrays["format"],
        mode=arrays["mode"],
        digest=arrays["digest"],
        reason=tuple(reasons),
        small=small,
        messages=messages,
    )


def _look(reader: Reader, path: str) -> _Look:
    try:
        content = reader.read(path)
    except decode.Undecodable as error:
        return _Look(bytes(32), str(error))
    digest = hashlib.sha256(content).digest()
    try:
        facts, image = decode.load(content, (SMALL_SIDE, SMALL_SIDE))
    except decode.Undecodable as error:
        return _Look(digest, str(error))
    small = np.array(image) if max(image.size) <= SMALL_SIDE else None
    return _Look(digest, facts=facts, small=small)


def _load(key: str, n: int) -> Inspection | None:
    arrays = cache.load("facts", key)
    if arrays is None or set(arrays) != {*_FACTS, "bad", "why"} or len(arrays["digest"]) != n:
        return None
    why = dict(zip(arrays["bad"].tolist(), arrays["why"].tolist(), strict=True))
    return _inspection(arrays, [why.get(index, "") for index in range(n)], {}, ())


_FACTS = ("width", "height", "grey", "format", "mode", "digest")


def _unchanged(reader: Reader, paths: Sequence[str], known: Inspection, progress: Progress | None) -> bool:
    """Return whether every file has the bytes that it had."""
    now = each(lambda path: _digest(reader, path), paths, "checking images", progress)
    return all(digest == before.tobytes() for digest, before in zip(now, known.digest, strict=True))


def _digest(reader: Reader, path: str) -> bytes:
    try:
        return hashlib.sha256(reader.read(path)).digest()
    except decode.Undecodable:
        return bytes(32)
