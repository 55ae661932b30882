"""Gradient ascent on images: many climb at once, each towards its own number. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import pi
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from striate.errors import UserError, unknown_name
from striate.explain.objectives import Objective, outputs_at, takes
from striate.explain.parametrisation import PARAMETRISATIONS

if TYPE_CHECKING:
    from striate.explain.subject import Subject

PART_PIXELS = 8 * 224 * 224
"""So many pixels go through the network at a time, whatever the number of images: memory has an end."""


@dataclass(frozen=True)
class Ascent:
    """How images are made.

    Attributes:
        parametrisation: "fourier" or "pixel": what is changed.
        steps: of Adam, at each size.
        sizes: how many, each `growth` times the one before; the last is that of the picture.
        growth: factor from one size to the next.
        lr: of Adam.
        weight_decay: of Adam.
        blur: side in pixels of the box that each size's image is blurred with before the next; 0 or 1: none.
        jitter: random shift, share of the side, at most; 0: none.
        scale: random scale, from 1 - scale to 1 + scale; 0: none.
        rotate: random turn, degrees, at most; 0: none.
        variation: weight of the total variation; that of the objective is 1.
        seed: of the noise, shifts, scales and turns.
    """

    parametrisation: str = "fourier"
    steps: int = 128
    sizes: int = 1
    growth: float = 1.2
    lr: float = 0.1
    weight_decay: float = 0.0
    blur: int = 0
    jitter: float = 0.08
    scale: float = 0.12
    rotate: float = 10.0
    variation: float = 1.0
    seed: int = 0


ASCENTS = {
    "fourier": Ascent(),
    "pixel": Ascent("pixel", steps=40, sizes=4, growth=1.4, lr=0.1, blur=3, variation=0.5),
    "multi-scale": Ascent(
        "pixel", steps=20, sizes=13, lr=0.1, weight_decay=1e-6, blur=5, jitter=0, scale=0, rotate=0
    ),
}
"""By the name that options give them. `multi-scale` is that of a course on machine learning: 12 up-scalings
by 1.2 with a blur of 5, 20 steps of Adam at each size, nothing against noise but these."""


def named(name: str) -> Ascent:
    """Return the ascent called `name`.

    Raises:
        UserError: there is none.
    """
    if name not in ASCENTS:
        raise UserError(unknown_name("ascent", name, ASCENTS))
    return ASCENTS[name]


def ascend(
    subject: Subject,
    objective: Objective,
    size: tuple[int, int],
    how: Ascent,
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the noise at first and the images at last, each (N, C, *size) in 0..1.

    Args:
        subject: the network, held still.
        objective: what each image is to raise.
        size: height and width of the images.
        how: steps, sizes and regularisers.
        on_step: called with steps done and all steps.
    """
    form = PARAMETRISATIONS[how.parametrisation]
    generator = torch.Generator().manual_seed(how.seed)
    shapes = _shapes(subject.preprocess.channels, size, how)
    count, total = len(objective.channels), len(shapes) * how.steps
    values = form.noise(count, shapes[0], generator).to(subject.device)
    noise = resized(form.decode(values, shapes[0]), size)
    for number, shape in enumerate(shapes):
        if number:
            images = resized(
                _blurred(form.decode(values, shapes[number - 1]), how.blur), shape[1:], "bicubic"
            )
            values = form.encode(images.clamp(0, 1))
        seen = shape[1:] if takes(subject, objective.layer, shape[1:]) else subject.preprocess.input_shape[1:]
        values = values.requires_grad_()
        optimizer = torch.optim.Adam([values], lr=how.lr, weight_decay=how.weight_decay)
        for step in range(how.steps):
            values.grad = _gradient(subject, objective, values, shape, seen, how, generator)
            optimizer.step()
            if on_step is not None:
                on_step(number * how.steps + step + 1, total)
        values = values.detach()
    return noise, form.decode(values, shapes[-1])


def reached(subject: Subject, objective: Objective, images: Tensor) -> Tensor:
    """Return the number that each image was to raise, (N,)."""
    size = tuple(images.shape[2:])
    seen = size if takes(subject, objective.layer, size) else subject.preprocess.input_shape[1:]
    with torch.no_grad():
        found = [
            objective.of(outputs_at(subject, objective.layer, resized(images[part], seen)), part)
            for part in _parts(len(images), seen)
        ]
    return torch.cat(found)


def moved(images: Tensor, how: Ascent, generator: torch.Generator) -> Tensor:
    """Return the images, each shifted, scaled and turned at random; mirrored beyond their borders."""
    if not (how.jitter or how.scale or how.rotate):
        return images
    down, across, larger, turn = (2 * torch.rand((4, len(images)), generator=generator) - 1).to(images.device)
    angle, factor = turn * how.rotate * pi / 180, 1 / (1 + how.scale * larger)
    ratio = images.shape[2] / images.shape[3]
    cos, sin = factor * angle.cos(), factor * angle.sin()
    first = torch.stack([cos, -sin * ratio, 2 * how.jitter * across], dim=1)
    second = torch.stack([sin / ratio, cos, 2 * how.jitter * down], dim=1)
    grid = nn.functional.affine_grid(
        torch.stack([first, second], dim=1), list(images.shape), align_corners=False
    )
    return nn.functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def total_variation(images: Tensor) -> Tensor:
    """Return the mean difference of neighbours of each image, (N,)."""
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean(dim=(1, 2, 3))
    across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
    return down + across


def resized(images: Tensor, size: Sequence[int], mode: str = "bilinear") -> Tensor:
    """Return the images with another height and width."""
    if list(images.shape[2:]) == list(size):
        return images
    return nn.functional.interpolate(images, tuple(size), mode=mode, align_corners=False)


def _gradient(
    subject: Subject,
    objective: Objective,
    values: Tensor,
    shape: tuple[int, ...],
    seen: Sequence[int],
    how: Ascent,
    generator: torch.Generator,
) -> Tensor:
    """Return the gradient of what Adam is to lower; of each image alone, though many are computed at once.

    Each objective is divided by its size, so that the total variation weighs alike on all.
    """
    form = PARAMETRISATIONS[how.parametrisation]
    gradients: list[Tensor] = []
    for part in _parts(len(values), seen):
        leaf = values.detach()[part].requires_grad_()
        images = form.decode(leaf, shape)
        shown = resized(moved(images, how, generator), seen)
        climbed = objective.of(outputs_at(subject, objective.layer, shown), part)
        loss = -(climbed / (climbed.detach().abs() + 1e-2)).sum()
        if how.variation:
            loss = loss + how.variation * total_variation(images).sum()
        gradients += torch.autograd.grad(loss, leaf)
    return torch.cat(gradients)


def _shapes(channels: int, size: tuple[int, int], how: Ascent) -> list[tuple[int, int, int]]:
    factors = [how.growth ** (number - how.sizes + 1) for number in range(how.sizes)]
    return [(channels, *(max(4, round(length * factor)) for length in size)) for factor in factors]  # type: ignore[misc]


def _blurred(images: Tensor, side: int) -> Tensor:
    if side <= 1 or min(images.shape[2:]) <= side:
        return images
    reach = (side // 2, (side - 1) // 2)
    padded = nn.functional.pad(images, (*reach, *reach), mode="reflect")
    return nn.functional.avg_pool2d(padded, side, stride=1)


def _parts(count: int, size: Sequence[int]) -> list[slice]:
    many = max(1, PART_PIXELS // (size[0] * size[1]))
    return [slice(start, min(start + many, count)) for start in range(0, count, many)]
