"""The trust card of a class map: four checks that a map can fail, and a verdict in one line. Imports torch.

1. Does the answer come from the picture? Without what is on it (one colour, its pixels shuffled, blurred) a
   network that has learned something answers otherwise.
2. Does it come from the object? The picture with its border hidden, and with nothing but its border.
3. Does the map depend on the network? With random weights in the head, and in the deepest block, a map that
   explains the network must change (Adebayo et al. 2018).
4. Does the map mark what the answer hangs on? Pixels are hidden, and shown, in the order of the map
   (deletion and insertion, Petsiuk et al. 2018), and in that of random maps just as smooth.

A map that passes is no proof; one that fails explains nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.explain.framing import enlarge
from striate.explain.subject import Subject, held
from striate.explain.trust import randomised

STEPS = 10
"""Steps in which all pixels are hidden, or shown."""
RANDOM_MAPS = 7
BORDER = 0.1
"""The border is so much of the image's side, at each side: 36 % of the area."""
BATCH = 32
LIMITS = (-1.0, 2.0)

MapOf = Callable[[Subject, np.ndarray, int], np.ndarray]
"""Makes a map, float (h, w), of one image, uint8 (C, H, W), for a class."""


@dataclass(frozen=True)
class Curves:
    """Score of the class while pixels are hidden, or shown, step by step.

    Scores are shares: 1 is that of the whole image, 0 that of none of it; a share beyond `LIMITS` is cut.

    Attributes:
        deletion: (STEPS + 1,), the most important pixels hidden first; from 1 to 0.
        insertion: (STEPS + 1,), the most important pixels shown first; from 0 to 1.
        random_deletion: (RANDOM_MAPS, STEPS + 1), likewise for random maps.
        random_insertion: likewise.
    """

    deletion: np.ndarray
    insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray

    @property
    def gain(self) -> float:
        """Mean distance of insertion above deletion, less that of random maps, which is near 0."""
        return self.spread - float(self.random_spreads.mean())

    @property
    def spread(self) -> float:
        """Mean of insertion less mean of deletion."""
        return float(self.insertion.mean() - self.deletion.mean())

    @property
    def deviation(self) -> float:
        """Standard deviation of the random maps' spreads."""
        return float(self.random_spreads.std(ddof=1))

    @property
    def random_spreads(self) -> np.ndarray:
        """The same for the random maps, (RANDOM_MAPS,)."""
        spreads: np.ndarray = self.random_insertion.mean(axis=1) - self.random_deletion.mean(axis=1)
        return spreads


@dataclass(frozen=True)
class Measures:
    """What was measured of a map.

    Attributes:
        probability: of the explained class for the image.
        without: the lowest probability of it for images without content: one colour, shuffled, blurred.
        border_hidden: share of the score that is left with the border hidden; 1: that of the whole image, 0:
            the lowest of those without content.
        border_alone: the same with nothing but the border shown.
        border_share: share of the map's positive values that lies on the border.
        border_area: share of the border in the image's area.
        head_similarity: mean rank correlation with maps after the head got random weights; 1: unchanged.
        block_similarity: the same for the deepest block.
        curves: deletion and insertion.
    """

    probability: float
    without: float
    border_hidden: float
    border_alone: float
    border_share: float
    border_area: float
    head_similarity: float
    block_similarity: float
    curves: Curves

    @property
    def evidence(self) -> float:
        """How much of the probability comes from what is on the image."""
        return self.probability - self.without

    @property
    def odds(self) -> float:
        """By how many times what is on the image raises the odds of the class."""
        return _odds(self.probability) / _odds(self.without)


def measure(
    subject: Subject, pixels: np.ndarray, label: int, values: np.ndarray, map_of: MapOf, seed: int = 0
) -> Measures:
    """Return what a trust card is made from.

    Args:
        subject: the network.
        pixels: uint8 (C, H, W), the image at the network's size.
        label: the class that the map explains.
        values: float (h, w), the map; the higher, the more it speaks for the class.
        map_of: makes such a map anew, for networks with other weights.
        seed: of random maps, weights and shuffling.
    """
    generator = np.random.default_rng(seed)
    (image,) = subject.tensor(pixels[None])
    large = enlarge(values, pixels.shape[1:])
    border = border_of(pixels.shape[1], pixels.shape[2])
    with held(subject.network), torch.inference_mode():
        score = _Scorer(subject, label)
        colour = image.mean(dim=(1, 2), keepdim=True).expand_as(image)
        frame = torch.from_numpy(border).to(image.device)
        rest = [colour, _shuffled(image, generator), _blurred(image)]
        framed = [torch.where(frame, colour, image), torch.where(frame, image, colour)]
        scores, probabilities = score(torch.stack([image, *rest, *framed]))
        curves = _curves(score, image, colour, large, values.shape, generator)
    head, block = randomised.similarities(subject, pixels, label, values, map_of, seed)
    hidden, alone = _shares(scores[4:], whole=scores[0], nothing=scores[1:4].min())
    return Measures(
        probability=float(probabilities[0]),
        without=float(probabilities[1:4].min()),
        border_hidden=float(hidden),
        border_alone=float(alone),
        border_share=_share(large, border),
        border_area=float(border.mean()),
        head_similarity=head,
        block_similarity=block,
        curves=curves,
    )


def border_of(height: int, width: int) -> np.ndarray:
    """Return bool (height, width): True on the border."""
    down, across = max(1, round(height * BORDER)), max(1, round(width * BORDER))
    border = np.ones((height, width), bool)
    border[down : height - down, across : width - across] = False
    return border


class _Scorer:
    """Score and probability of one class, in batches.

    The score is the logit less the mean of all logits, which does not change where all of them rise together.
    """

    def __init__(self, subject: Subject, label: int) -> None:
        self.subject = subject
        self.label = label

    def __call__(self, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return two arrays float32 (N,) for the network's inputs, (N, C, H, W)."""
        raw = torch.cat([self.subject.network(part) for part in torch.split(images, BATCH)])
        scores = self.subject.scores(raw)
        centred = scores[:, self.label] - scores.mean(dim=1)
        probabilities = self.subject.probabilities(raw)[:, self.label]
        return centred.float().cpu().numpy(), probabilities.float().cpu().numpy()


def _curves(
    score: _Scorer,
    image: Tensor,
    colour: Tensor,
    large: np.ndarray,
    shape: tuple[int, ...],
    generator: np.random.Generator,
) -> Curves:
    """Hide and show the pixels in the order of the map, and of random maps of the same coarseness."""
    orders = [large, *(_random_map(shape, large.shape, generator) for _ in range(RANDOM_MAPS))]
    masks = torch.from_numpy(np.concatenate([_masks(order) for order in orders])).to(image.device)
    both = torch.cat([masks, ~masks])[:, None]
    scores = np.concatenate(
        [score(torch.where(part, image, colour))[0] for part in torch.split(both, BATCH)]
    ).reshape(2, len(orders), STEPS - 1)
    (nothing, whole), _ = score(torch.stack([colour, image]))
    shares = _shares(scores, whole=whole, nothing=nothing)
    insertion = np.pad(shares[0], ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1)))
    deletion = np.pad(shares[1], ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
    return Curves(deletion[0], insertion[0], deletion[1:], insertion[1:])


def _shares(scores: np.ndarray, whole: float, nothing: float) -> np.ndarray:
    """Return scores as shares of the way from `nothing` to `whole`; 0 where there is no way up."""
    if not whole > nothing:
        return np.zeros_like(scores)
    return np.clip((scores - nothing) / (whole - nothing), *LIMITS)


def _odds(probability: float) -> float:
    inside = min(max(probability, 1e-6), 1 - 1e-6)
    return inside / (1 - inside)


def _masks(order: np.ndarray) -> np.ndarray:
    """Return bool (STEPS - 1, H, W): the first tenth of the pixels, the first two, ..., the highest first."""
    rank = np.empty(order.size, np.int64)
    rank[np.argsort(-order, axis=None, kind="stable")] = np.arange(order.size)
    counts = np.arange(1, STEPS) * order.size / STEPS
    masks: np.ndarray = rank.reshape(1, *order.shape) < counts[:, None, None]
    return masks


def _random_map(shape: tuple[int, ...], size: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    return enlarge(generator.random(shape, np.float32), (size[0], size[1]))


def _shuffled(image: Tensor, generator: np.random.Generator) -> Tensor:
    order = torch.from_numpy(generator.permutation(image[0].numel())).to(image.device)
    return image.flatten(1)[:, order].reshape(image.shape)


def _blurred(image: Tensor) -> Tensor:
    """Average over a quarter of the side."""
    height, width = image.shape[1:]
    small: Any = torch.nn.functional.adaptive_avg_pool2d(image[None], (min(4, height), min(4, width)))
    large: Tensor = torch.nn.functional.interpolate(
        small, (height, width), mode="bilinear", align_corners=False
    )
    return large[0]


def _share(large: np.ndarray, border: np.ndarray) -> float:
    """Return the share of a map's positive values that lies on the border; that of the area where none is."""
    positive = np.maximum(large, 0)
    total = positive.sum()
    return float(positive[border].sum() / total if total > 0 else border.mean())
