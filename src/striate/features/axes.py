"""The principal axes of features, and the linear head that is found along them."""

from __future__ import annotations

import copy
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


class PrincipalAxes:
    """The coordinates in which the penalised problem is nearly diagonal.

    Features are centred, divided by one number a level so that their mean square is 1, and turned.

    Attributes:
        axes: float32 (F, R), directions in the space of the features, the weakest first.
        power: float32 (R,), mean square of the samples along each.
        coordinates: float32 (N, R), of the samples.

    Args:
        features: float32 (N, F), of the training samples.
        levels: how many features come from each level of the network, one after the other; together F.
            Empty: all from one.
    """

    def __init__(self, features: np.ndarray, levels: Sequence[int] = ()) -> None:
        self.mean = features.mean(axis=0)
        centred = features - self.mean
        self.scale = _scale(centred, levels or (centred.shape[1],))
        centred /= self.scale
        n, size = centred.shape
        with one_thread(n * size * min(n, size) < SMALL_GRAM):
            self._turn(centred)

    def _turn(self, centred: np.ndarray) -> None:
        from scipy.linalg import eigh

        n, size = centred.shape
        if n < size:  # the samples span no more than n axes: the smaller of the two Gram matrices will do
            power, turned = eigh(centred @ centred.T / np.float32(n), driver="evd")
            kept = power > power[-1] * 1e-6
            axes = centred.T @ turned[:, kept] / np.sqrt(n * power[kept], dtype=np.float32)
            power = power[kept]
        else:
            power, axes = eigh(centred.T @ centred / np.float32(n), driver="evd")
        self.axes = np.ascontiguousarray(axes, np.float32)
        self.power = np.maximum(power, 0).astype(np.float32)
        self.coordinates = centred @ self.axes

    def leading(self, share: float, least: int) -> Self:
        """Return the strongest axes that hold a `share` of the mean square, and `least` if there are."""
        held = np.cumsum(self.power[::-1], dtype=np.float64) / max(self.power.sum(dtype=np.float64), 1e-30)
        count = min(max(int((held < share).sum()) + 1, least), len(self.power))
        some = copy.copy(self)
        some.axes, some.power = self.axes[:, -count:], self.power[-count:]
        some.coordinates = np.ascontiguousarray(self.coordinates[:, -count:])
        return some

    def head(self, weight: np.ndarray, bias: np.ndarray) -> LinearHead:
        """Return the head on features for one on coordinates: float32 (K, R) `weight` and (K,) `bias`."""
        on_features = np.ascontiguousarray(weight @ self.axes.T / self.scale)
        return LinearHead(on_features, bias - on_features @ self.mean)


def _scale(centred: np.ndarray, levels: Sequence[int]) -> np.ndarray:
    """Return float32 (F,): for each feature the root mean square of its level's features."""
    power = np.square(centred, dtype=np.float64).mean(axis=0)
    ends = np.cumsum(levels)
    roots = [
        float(np.sqrt(power[end - size : end].mean())) or 1.0 for size, end in zip(levels, ends, strict=True)
    ]
    return np.repeat(np.asarray(roots, np.float32), levels)
