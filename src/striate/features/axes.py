"""The principal axes of features, and the linear head that is found along them."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from striate.features.threads import one_thread

SMALL_GRAM = 2 * 10**10
"""Multiplications in the product of the features with themselves below which one thread does everything: of
some 2,000 images with 2,000 features each, two threads saved a tenth of the time."""


@dataclass(frozen=True)
class LinearHead:
    """Features (N, F) to logits (N, K): `features @ weight.T + bias`.

    Attributes:
        weight: float32 (K, F), as `torch.nn.Linear` has it.
        bias: float32 (K,).
    """

    weight: np.ndarray
    bias: np.ndarray

    @property
    def layers(self) -> tuple[LinearHead, ...]:
        """Its layers: itself alone."""
        return (self,)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return float32 (N, K) for float32 (N, F)."""
        result: np.ndarray = features @ self.weight.T + self.bias
        return result


Turned = tuple[np.ndarray, np.ndarray]
"""float32 (M,) and (M, M), M the smaller of N and F: eigenvalues of the smaller one of the two matrices of
products, of samples or of features, ascending, and its eigenvectors as columns."""


class PrincipalAxes:
    """The coordinates in which the penalised problem is nearly diagonal.

    Features are centred, divided by one number a level so that their mean square is 1, and turned. The axes
    themselves are never written out where there are fewer samples than features: they are the samples,
    combined.

    Attributes:
        spanning: float32 (M, F), whose combinations the axes are; None: the axes are `combinations`.
        combinations: float32 (M, R), or (F, R), directions in the space of the features, the weakest first.
        power: float32 (R,), mean square of the samples along each.
        coordinates: float32 (N, R), of the samples.
        turned: what it took longest to find.

    Args:
        features: float32 (N, F), of the training samples.
        levels: how many features come from each level of the network, one after the other; together F.
            Empty: all from one.
        turned: that of the same features and levels, where it is known.
    """

    def __init__(
        self, features: np.ndarray, levels: Sequence[int] = (), turned: Turned | None = None
    ) -> None:
        self.mean = features.mean(axis=0)
        centred = features - self.mean
        self.scale = _scale(centred, levels or (centred.shape[1],))
        centred /= self.scale
        n, size = centred.shape
        self.turned = turned or _turn(centred)
        power, directions = self.turned
        if n >= size:
            self.spanning = None
            self.combinations, self.power = directions, np.maximum(power, 0)
            with one_thread(_small(centred)):
                self.coordinates = centred @ directions
            return
        self.spanning = centred
        kept = power > power[-1] * 1e-6
        kept[-1] = True  # where nothing varies too
        self.power = np.maximum(power[kept], 0)
        length = np.sqrt(np.float32(n) * self.power)
        self.combinations = directions[:, kept] / np.where(length > 0, length, 1)
        self.coordinates = directions[:, kept] * length

    def leading(self, share: float, least: int) -> Self:
        """Return the strongest axes that hold a `share` of the mean square, and `least` if there are."""
        held = np.cumsum(self.power[::-1], dtype=np.float64) / max(self.power.sum(dtype=np.float64), 1e-30)
        count = min(max(int((held < share).sum()) + 1, least), len(self.power))
        some = copy.copy(self)
        some.combinations, some.power = self.combinations[:, -count:], self.power[-count:]
        some.coordinates = np.ascontiguousarray(self.coordinates[:, -count:])
        return some

    def head(self, weight: np.ndarray, bias: np.ndarray) -> LinearHead:
        """Return the head on features for one on coordinates: float32 (K, R) `weight` and (K,) `bias`."""
        on_features = weight @ self.combinations.T
        if self.spanning is not None:
            on_features = on_features @ self.spanning
        on_features = np.ascontiguousarray(on_features / self.scale)
        return LinearHead(on_features, bias - on_features @ self.mean)


def kept_axes(features: np.ndarray, levels: Sequence[int] = ()) -> PrincipalAxes:
    """Return the principal axes of features; for the same ones, to the bit, they are read from disk.

    What cannot be written, or is torn, is found anew each time. Arguments are those of `PrincipalAxes`.
    """
    from striate.data import cache

    n, size = features.shape
    digest = hashlib.sha256(np.ascontiguousarray(features).data).hexdigest()
    key = cache.key_of("axes", 1, digest, features.shape, list(levels))
    known = cache.load("axes", key)
    shapes = {"power": (min(n, size),), "directions": (min(n, size),) * 2}
    if known is not None and {name: array.shape for name, array in known.items()} == shapes:
        return PrincipalAxes(features, levels, (known["power"], known["directions"]))
    axes = PrincipalAxes(features, levels)
    cache.store("axes", key, dict(zip(shapes, axes.turned, strict=True)))
    return axes


def _turn(centred: np.ndarray) -> Turned:
    """Return the eigenvalues and eigenvectors of the smaller of the two matrices of products."""
    from scipy.linalg import eigh  # NumPy's takes twice as long

    n, size = centred.shape
    with one_thread(_small(centred)):
        products = centred @ centred.T if n < size else centred.T @ centred
        products /= np.float32(n)
        power, directions = eigh(products, driver="evd", overwrite_a=True)
    return power, directions


def _small(features: np.ndarray) -> bool:
    """Return whether one thread multiplies features (N, F) with themselves."""
    return bool(features.size * min(features.shape) < SMALL_GRAM)


def _scale(centred: np.ndarray, levels: Sequence[int]) -> np.ndarray:
    """Return float32 (F,): for each feature the root mean square of its level's features."""
    power = np.einsum("nf,nf->f", centred, centred, dtype=np.float64) / len(centred)
    ends = np.cumsum(levels)
    roots = [
        float(np.sqrt(power[end - size : end].mean())) or 1.0 for size, end in zip(levels, ends, strict=True)
    ]
    return np.repeat(np.asarray(roots, np.float32), levels)
