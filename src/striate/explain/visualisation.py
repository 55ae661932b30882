"""Images that channels, single numbers or classes of a network respond to. Imports torch.

They are made by gradient ascent from noise, all of a layer in one optimisation (Erhan et al. 2009; Olah et
al. 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate.errors import UserError, unknown_name
from striate.explain.ascent import ASCENTS, Ascent, ascend, moved, named, reached
from striate.explain.layers import find_layer
from striate.explain.maps import check_classes
from striate.explain.objectives import Objective, outputs_at, takes
from striate.explain.parametrisation import PARAMETRISATIONS
from striate.explain.subject import Subject, held

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MANY = 64
"""So many channels or classes at first, unless they are named."""
SMALL, LARGE = 64, 128
"""Least and largest side of the images of channels, which show textures and need no more."""
MOVES = 8
"""So often each image is moved to find what it keeps."""


@dataclass(frozen=True)
class Visualised:
    """Images that some numbers of a network respond to. In a notebook it shows itself.

    Attributes:
        model: name of the network.
        layer: name of the layer, shortened where it is long; `""`: the classes.
        channels: (N,), numbers of channels, units or classes.
        names: (N,), what they are called: their numbers, or the classes' names.
        place: row and column of the one number that was raised; None: the mean of the map.
        images: uint8 (N, C, H, W).
        before: float32 (N,), what the noise at first excites.
        after: float32 (N,), what the image excites.
        kept: float32 (N,), what it excites, on average, when it is shifted, scaled and turned.
        how: how it was made.
    """

    model: str
    layer: str
    channels: tuple[int, ...]
    names: tuple[str, ...]
    place: tuple[int, int] | None
    images: np.ndarray
    before: np.ndarray
    after: np.ndarray
    kept: np.ndarray
    how: Ascent

    @property
    def shares(self) -> np.ndarray:
        """float32 (N,): the share of its rise that an image keeps when it is moved, from 0 to 1.

        A pattern that means something to the network keeps most; noise that happens to excite it does not.
        """
        rise = np.maximum(self.after - self.before, np.finfo(np.float32).tiny)
        shares: np.ndarray = np.clip((self.kept - self.before) / rise, 0, 1)
        return shares

    @property
    def unmoved(self) -> np.ndarray:
        """int64: places, in `channels`, of those that no image excites more than noise does."""
        return np.flatnonzero(self.after <= self.before)

    def figure(self) -> Figure:
        """Return the images as a grid."""
        from striate.explain.activation_figures import image_grid

        return image_grid(self.images, self.names)

    def facts(self) -> dict[str, Any]:
        """Return all but the pixels as plain values."""
        from striate.explain.facts import facts_of_visualised

        return facts_of_visualised(self)

    def _repr_png_(self) -> bytes:
        from striate.figure_style import png

        return png(self.figure(), dpi=110)


def visualise(
    subject: Subject,
    layer: str | int,
    channels: Sequence[int] | None = None,
    how: Ascent | str = "fourier",
    *,
    place: tuple[int, int] | None = None,
    size: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Visualised:
    """Return an image for each channel of a layer, all made in one optimisation.

    Args:
        subject: the network; as before afterwards, also after an error.
        layer: name or number of the layer; of an activation, what goes into it is raised.
        channels: which; None: the first 64.
        how: sizes, steps and regularisers, or one of `ASCENTS` by its name.
        place: row and column of the one number of the map to raise; None: its mean.
        size: side of the images in pixels; None: the input's for one place, else between 64 and 128.
        on_step: called with steps done and all steps.

    Raises:
        UserError: there is no such layer, channel or place, or `how` is unknown.
    """
    name = find_layer(subject.network, layer)
    with held(subject.network), torch.no_grad():
        blank = torch.zeros((1, *subject.preprocess.input_shape), device=subject.device)
        outputs = outputs_at(subject, name, blank)
    if channels is None:
        channels = range(min(MANY, outputs.shape[1]))
    objective = Objective(name, tuple(channels), place)
    objective.check(outputs)
    return _visualise(subject, objective, [str(number) for number in channels], how, size, on_step)


def visualise_classes(
    subject: Subject,
    classes: Sequence[int] | None = None,
    how: Ascent | str = "fourier",
    *,
    size: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Visualised:
    """Return an image for each class, which raises its score; likewise.

    Args:
        subject: the network.
        classes: their numbers; None: the first 64.
        how: sizes, steps and regularisers, or one of `ASCENTS` by its name.
        size: side of the images in pixels; None: that of the network's input.
        on_step: called with steps done and all steps.

    Raises:
        UserError: there is no such class, or `how` is unknown.
    """
    chosen = range(min(MANY, len(subject.class_names))) if classes is None else classes
    check_classes(list(chosen), subject.class_names)
    names = [subject.class_names[number] for number in chosen]
    return _visualise(subject, Objective("", tuple(chosen)), names, how, size, on_step)


def _visualise(
    subject: Subject,
    objective: Objective,
    names: Sequence[str],
    how: Ascent | str,
    size: int | None,
    on_step: Callable[[int, int], None] | None,
) -> Visualised:
    how = _ascent(how)
    if subject.preprocess.permute_pixels is not None:
        raise UserError(
            "the network sees its images with their pixels permuted: no image would show anything."
        )
    with held(subject.network), torch.enable_grad():
        sides = _sides(subject, objective, size)
        noise, images = ascend(subject, objective, sides, how, on_step)
        measured = [reached(subject, objective, noise), reached(subject, objective, images)]
        measured.append(_kept(subject, objective, images, how))
    before, after, kept = (one.cpu().numpy() for one in measured)
    pixels = (images.detach().cpu().numpy() * 255).round().astype(np.uint8)
    return Visualised(
        subject.name,
        subject.layer_for_people(objective.layer),
        objective.channels,
        tuple(names),
        objective.place,
        pixels,
        before,
        after,
        kept,
        how,
    )


def _ascent(how: Ascent | str) -> Ascent:
    """Return the ascent that is meant.

    Raises:
        UserError: its name, or that of its parametrisation, is unknown.
    """
    if isinstance(how, str):
        return named(how)
    if how.parametrisation not in PARAMETRISATIONS:
        raise UserError(unknown_name("parametrisation", how.parametrisation, PARAMETRISATIONS))
    return how


def _sides(subject: Subject, objective: Objective, size: int | None) -> tuple[int, int]:
    """Return height and width of the images."""
    height, width = subject.preprocess.input_shape[1:]
    if size is not None:
        if size < 8:
            raise UserError(f"size is {size}; expected at least 8 pixels.")
        return size, size
    if not objective.layer or objective.place is not None:
        return height, width
    side = min(LARGE, max(SMALL, height, width))
    return (side, side) if takes(subject, objective.layer, (side, side)) else (height, width)


def _kept(subject: Subject, objective: Objective, images: torch.Tensor, how: Ascent) -> torch.Tensor:
    """Return the mean of what the images excite when they are moved, by draws that made none of them."""
    usual = ASCENTS["fourier"]
    moves = replace(how, jitter=usual.jitter, scale=usual.scale, rotate=usual.rotate)
    generator = torch.Generator().manual_seed(how.seed + 1)
    found = [reached(subject, objective, moved(images, moves, generator)) for _ in range(MOVES)]
    return torch.stack(found).mean(dim=0)
