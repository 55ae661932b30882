"""The effective receptive field: how much each pixel counts, by gradients. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.errors import UserError
from striate.explain.fields.result import LayerField, ReceptiveFields
from striate.explain.subject import held, hooked

DEVIATIONS = 4
"""Width of the effective field in standard deviations: of a bell it holds 95 % along each axis."""
DRAWS = 8


@dataclass(frozen=True)
class EffectiveField:
    """How much the pixels of an image count for one place of a layer.

    Attributes:
        layer: with its theoretical field.
        place: (row, column) of the output.
        influence: (H, W) float64, size of the gradient at each pixel; the largest is 1.
    """

    layer: LayerField
    place: tuple[int, int]
    influence: np.ndarray

    @property
    def centre(self) -> tuple[float, float]:
        """(row, column) of the mean place, weighed by influence."""
        rows, columns = self._shares()
        return float(rows @ np.arange(len(rows))), float(columns @ np.arange(len(columns)))

    @property
    def size(self) -> tuple[float, float]:
        """(height, width) in pixels: four standard deviations of the place, weighed by influence.

        Effective fields are nearly bells (Luo et al. 2016, section 2); single strong pixels change little.
        """
        height, width = (
            DEVIATIONS * sqrt(float(share @ (np.arange(len(share)) - middle) ** 2))
            for share, middle in zip(self._shares(), self.centre, strict=True)
        )
        return height, width

    def _shares(self) -> tuple[np.ndarray, np.ndarray]:
        """Share of the influence of each row (H,) and column (W,)."""
        total = self.influence.sum() or 1.0
        return self.influence.sum(axis=1) / total, self.influence.sum(axis=0) / total


def effective_field(
    network: nn.Module,
    fields: ReceptiveFields,
    layer: str,
    images: np.ndarray,
    *,
    place: tuple[int, int] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> EffectiveField:
    """Return how much each pixel counts for one place of a layer, on average over channels and images.

    The influence of a pixel is the root of the mean squared derivative, over the layer's channels, of the
    output by the pixel (Luo, Li, Urtasun and Zemel, Understanding the Effective Receptive Field in Deep
    Convolutional Neural Networks, 2016). It is estimated as the gradient of the channels under random signs,
    whose mean square is the mean of the squares. The network's mode, gradients and hooks are as before.

    Args:
        network: takes images (N, C, H, W).
        fields: of this network.
        layer: name of one whose outputs are maps.
        images: float32 (N, C, H, W), as the network gets them.
        place: (row, column) of the output; by default the middle.
        draws: of random signs.
        seed: of the draws.

    Raises:
        UserError: there is no such layer, or its outputs are no maps, or there is no such place.
    """
    chosen = fields[layer]
    place = _checked_place(chosen, place)
    generator = torch.Generator().manual_seed(seed)
    module = network.get_submodule(layer.partition(" #")[0])
    squares = np.zeros(images.shape[2:])
    for _ in range(draws):
        gradient = _gradient(network, module, images, place, generator)
        squares += gradient.square().sum(dim=(0, 1)).cpu().numpy()
    influence = np.sqrt(squares)
    return EffectiveField(chosen, place, influence / (influence.max() or 1.0))


def _gradient(
    network: nn.Module,
    module: nn.Module,
    images: np.ndarray,
    place: tuple[int, int],
    generator: torch.Generator,
) -> Tensor:
    """Return the gradient of one place, its channels under random signs, by the images (N, C, H, W)."""
    parameter = next(network.parameters(), torch.empty(0))
    inputs = torch.as_tensor(images, dtype=parameter.dtype, device=parameter.device).requires_grad_()
    outputs: list[Tensor] = []

    def note(module: nn.Module, given: Any, output: Tensor) -> None:
        outputs.append(output[:, :, place[0], place[1]])  # a later layer may work in place

    with held(network), torch.enable_grad(), hooked(module, note):
        network(inputs)
        signs = torch.randint(0, 2, outputs[-1].shape, generator=generator).to(inputs) * 2 - 1
        (gradient,) = torch.autograd.grad(outputs[-1], inputs, signs)
    return gradient


def _checked_place(layer: LayerField, place: tuple[int, int] | None) -> tuple[int, int]:
    if len(layer.output_shape) != 3:
        raise UserError(f"{layer.name} puts out {layer.output_shape}, no maps; choose a layer before it.")
    _, height, width = layer.output_shape
    row, column = place or (height // 2, width // 2)
    if not (0 <= row < height and 0 <= column < width):
        raise UserError(f"place is {(row, column)}; the maps of {layer.name} are {height} x {width}.")
    return row, column
