"""Duplicates: the same file, the same pixels, or a copy that was resized, re-encoded, cropped or mirrored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from striate.audit import fingerprints, tangents
from striate.audit.comparison import Match, copies
from striate.audit.reading import Images
from striate.data.parallel import Progress

SAME_FILE, SAME_PIXELS = "same file", "same pixels"
_CROPPED = 0.985
"""A picture that shows less than this share of the other's width or height is called cropped."""
_BRIGHTENED = 0.03
_IDENTICAL = 2e-3
"""With a larger residual, two images of one size are not worth comparing pixel by pixel."""


@dataclass(frozen=True)
class Pair:
    """Two images of which one is a copy of the other.

    Attributes:
        first: number of the image; `second` likewise.
        kind: `same file`, `same pixels`, or what was done: `mirrored`, `cropped`, `resized`, `brightened`,
            `re-encoded`, several joined by commas.
        similarity: share of the variance that one explains of the other, 0 to 1.
    """

    first: int
    second: int
    kind: str
    similarity: float


@dataclass(frozen=True)
class Group:
    """Images that are copies of one another, or of the same image.

    Attributes:
        members: numbers of the images, the largest picture first.
        pairs: for each other member, its pair with the member that it resembles most.
        across_splits: whether the members lie in several splits.
        conflicting: whether the members have several labels.
    """

    members: tuple[int, ...]
    pairs: tuple[Pair, ...]
    across_splits: bool
    conflicting: bool

    @property
    def exact(self) -> bool:
        """Whether all are the same file or the same pixels."""
        return all(pair.kind in (SAME_FILE, SAME_PIXELS) for pair in self.pairs)


def find_duplicates(images: Images, progress: Progress | None = None) -> tuple[Group, ...]:
    """Return the groups of duplicates: across splits first, then conflicting labels, then the larger ones."""
    pairs = list(_same_files(images))
    heads = _heads(images)
    flat = images.small[heads].reshape(len(heads), -1).std(axis=1) < fingerprints.FLAT
    pairs += _flat_ones(images, heads[flat])
    pairs += _copies(images, heads[~flat], progress)
    groups = [_group(images, members, found) for members, found in _components(pairs)]
    return tuple(
        sorted(
            groups,
            key=lambda group: (
                not group.across_splits,
                not group.conflicting,
                -len(group.members),
                images.paths[group.members[0]],
            ),
        )
    )


def _same_files(images: Images) -> Iterable[Pair]:
    first: dict[bytes, int] = {}
    kind = SAME_PIXELS if images.format[0] == "array" else SAME_FILE
    for number, digest in enumerate(images.digest):
        head = first.setdefault(digest, number)
        if head != number:
            yield Pair(head, number, kind, 1.0)


def _heads(images: Images) -> np.ndarray:
    """Return int64: one image of each set of identical files."""
    first: dict[bytes, int] = {}
    for number, digest in enumerate(images.digest):
        first.setdefault(digest, number)
    return np.array(list(first.values()), np.int64)


def _flat_ones(images: Images, numbers: np.ndarray) -> Iterable[Pair]:
    """Yield pairs of images without a picture (all white, say) that agree in every pixel."""
    alike: dict[tuple[int, int, bytes], list[int]] = defaultdict(list)
    for number in numbers.tolist():
        key = (int(images.width[number]), int(images.height[number]), images.small[number].tobytes())
        head = next((other for other in alike[key] if _same_pixels(images, other, number)), None)
        if head is None:
            alike[key].append(number)
        else:
            yield Pair(head, number, SAME_PIXELS, 1.0)


def _copies(images: Images, numbers: np.ndarray, progress: Progress | None) -> Iterable[Pair]:
    """Yield the pairs of near-duplicates among the images `numbers`."""
    if len(numbers) < 2:
        return
    small = images.small[numbers]
    prints, scale = fingerprints.fingerprints(small)
    candidates = fingerprints.alike(prints, progress)
    if candidates.dense:
        candidates = tangents.closest(small, prints, scale, candidates)
    found = copies(images, replace(candidates, pairs=numbers[candidates.pairs]), progress)
    for row, (first, second) in enumerate(found.pairs.tolist()):
        yield Pair(first, second, _kind(images, found, row), float(1 - found.residual[row]))


def _kind(images: Images, found: Match, row: int) -> str:
    first, second = found.pairs[row].tolist()
    mirrored = bool(found.mirrored[row])
    same_size = images.width[first] == images.width[second] and images.height[first] == images.height[second]
    if same_size and found.residual[row] < _IDENTICAL and _same_pixels(images, first, second, mirrored):
        return "mirrored" if mirrored else SAME_PIXELS
    cropped = bool(found.scale[row].min() < _CROPPED)
    brightness = images.colour[[first, second]].mean(axis=1)
    brightened = abs(float(brightness[0] - brightness[1])) > _BRIGHTENED * float(brightness.max())
    did = {
        "mirrored": mirrored,
        "cropped": cropped,
        "resized": not same_size and not cropped,
        "brightened": brightened and not cropped,
    }
    return ", ".join(word for word, done in did.items() if done) or "re-encoded"


def _same_pixels(images: Images, first: int, second: int, mirrored: bool = False) -> bool:
    one, other = (np.asarray(images.open(number, 0).convert("RGB")) for number in (first, second))
    return np.array_equal(one[:, ::-1] if mirrored else one, other)


def _components(pairs: list[Pair]) -> Iterable[tuple[list[int], list[Pair]]]:
    """Yield the members and the pairs of each connected component."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not pairs:
        return
    numbers = sorted({number for pair in pairs for number in (pair.first, pair.second)})
    row = {number: place for place, number in enumerate(numbers)}
    edges = np.array([[row[pair.first], row[pair.second]] for pair in pairs])
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(numbers), len(numbers)))
    _, component = connected_components(graph, directed=False)
    members: dict[int, list[int]] = defaultdict(list)
    inside: dict[int, list[Pair]] = defaultdict(list)
    for place, number in enumerate(numbers):
        members[int(component[place])].append(number)
    for pair in pairs:
        inside[int(component[row[pair.first]])].append(pair)
    for key, group in members.items():
        yield group, inside[key]


def _group(images: Images, members: list[int], pairs: list[Pair]) -> Group:
    area = images.width.astype(np.int64) * images.height
    ordered = sorted(members, key=lambda number: (-int(area[number]), images.paths[number]))
    best: dict[int, Pair] = {}
    for pair in pairs:
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            known = best.get(one)
            if known is None or pair.similarity > known.similarity:
                best[one] = Pair(one, other, pair.kind, pair.similarity)
    return Group(
        members=tuple(ordered),
        pairs=tuple(best[number] for number in ordered[1:]),
        across_splits=len({images.splits[number] for number in members}) > 1,
        conflicting=len({images.labels[number] for number in members}) > 1,
    )
