"""The kernels of a network's first convolution as images, beside the classic filters that they resemble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.errors import UserError
from striate.explain.matching import Match, chance, nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from striate.explain.subject import Subject

DIGITS = 4


@dataclass(frozen=True)
class FirstKernels:
    """Kernels of the first convolution. In a notebook it shows itself.

    Attributes:
        model: name of the network.
        layer: name of the convolution, shortened where it is long.
        weights: float32 (O, C, kH, kW), C being 1 or 3.
        matches: (O,), the Gabor or Sobel nearest to each.
        chance: the score that only one random kernel of this size in twenty exceeds.
        course: weights by epoch, through training; epoch 0 is before it. Empty where none are kept.
    """

    model: str
    layer: str
    weights: np.ndarray
    matches: tuple[Match, ...]
    chance: float
    course: Mapping[int, np.ndarray]

    @property
    def images(self) -> np.ndarray:
        """uint8 (O, C, kH, kW): grey is 0, each kernel at its own contrast."""
        return as_images(self.weights)

    @property
    def resembling(self) -> np.ndarray:
        """int64: the kernels that resemble a Gabor or Sobel more than random ones do, and than a blur."""
        return np.flatnonzero([match.score >= self.chance and not match.is_blur for match in self.matches])

    def figure(self) -> Figure:
        """Return each kernel beside its nearest classic filter."""
        from striate.explain.kernel_figures import kernel_grid

        return kernel_grid(self)

    def film(self) -> bytes:
        """Return the kernels through training, a GIF file.

        Raises:
            UserError: no epochs are kept.
        """
        from striate.explain.kernel_figures import film

        return film(self.course)

    def facts(self) -> dict[str, Any]:
        """Return all but the weights as plain values."""
        return {
            "model": self.model,
            "layer": self.layer,
            "shape": list(self.weights.shape),
            "chance": round(self.chance, DIGITS),
            "epochs": sorted(self.course),
            "kernels": [
                {
                    "number": number,
                    "nearest": match.name,
                    "score": round(match.score, DIGITS),
                    "blur": round(match.blur, DIGITS),
                }
                for number, match in enumerate(self.matches)
            ],
        }

    def _repr_png_(self) -> bytes:
        from striate.figure_style import png

        return png(self.figure(), dpi=110)


def first_kernels(subject: Subject, course: Mapping[int, np.ndarray] | None = None) -> FirstKernels:
    """Return the kernels of the first convolution that sees the image. Imports torch.

    Args:
        subject: the network.
        course: weights by epoch; None: none are kept.

    Raises:
        UserError: no convolution sees the image, or its kernels are single weights.
    """
    from striate.explain.layers import is_convolution, trace

    channels = subject.preprocess.channels
    for call in trace(subject.network, subject.preprocess.input_shape):
        module: Any = call.module
        if is_convolution(module) and module.in_channels == channels:
            weights = module.weight.detach().float().cpu().numpy()
            break
    else:
        raise UserError(f"no convolution of {subject.name} sees the image: there are no kernels to show.")
    if weights.shape[2:] == (1, 1):
        raise UserError(f"the kernels of {call.name} are single weights: there is no pattern to show.")
    return FirstKernels(
        subject.name,
        subject.layer_for_people(call.name),
        weights,
        tuple(nearest(weights)),
        chance(weights.shape[1:]),
        course or {},
    )


def as_images(weights: np.ndarray, largest: np.ndarray | None = None) -> np.ndarray:
    """Return kernels as images, uint8 of the same shape: grey is 0, brighter is more.

    Args:
        weights: (O, C, kH, kW).
        largest: (O,), the size of the weight that gets full contrast; None: of each kernel its own largest.
    """
    top = np.abs(weights).max(axis=(1, 2, 3)) if largest is None else largest
    shares = weights / np.where(top > 0, top, 1)[:, None, None, None]
    images: np.ndarray = np.rint(127.5 + 127.5 * np.clip(shares, -1, 1)).astype(np.uint8)
    return images
