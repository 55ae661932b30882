"""Images that channels of a layer respond to, made by gradient ascent from noise. Imports torch.

All channels are optimised in one batch: each image climbs its own channel (Olah et al. 2017). Pixels, or the
Fourier coefficients of the image scaled by 1 / frequency, are what is changed; random shifts and scales keep
the image from relying on single pixels, total variation from noise. Sizes grow by octaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from striate.errors import UserError
from striate.explain.layers import find_layer
from striate.explain.naming import check_channel
from striate.explain.subject import Subject, held, hooked

Parametrisation = Literal["fourier", "pixel"]


@dataclass(frozen=True)
class Ascent:
    """How images are made.

    Attributes:
        parametrisation: "fourier" or "pixel": what is changed.
        steps: of Adam, at each size.
        octaves: sizes, each 1.4 times the one before; the last is the network's input.
        lr: of Adam.
        jitter: random shift, pixels at the last size, at most; 0: none.
        scale: random scale, from 1 - scale to 1 + scale; 0: none.
        variation: weight of the total variation.
        seed: of the noise, shifts and scales.
    """

    parametrisation: Parametrisation = "fourier"
    steps: int = 64
    octaves: int = 2
    lr: float = 0.05
    jitter: int = 4
    scale: float = 0.05
    variation: float = 0.05
    seed: int = 0


@dataclass(frozen=True)
class Visualised:
    """Images for channels of a layer. In a notebook it shows itself.

    Attributes:
        layer: its name.
        channels: (N,).
        images: uint8 (N, C, H, W).
        before: float32 (N,), each channel's mean for the noise at first; likewise `after` for the image.
    """

    layer: str
    channels: tuple[int, ...]
    images: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def figure(self) -> Any:
        """Return the images as a grid."""
        from striate.explain.activation_figures import image_grid

        return image_grid(self.images, [str(number) for number in self.channels])

    def _repr_png_(self) -> bytes:
        from striate.figure_style import png

        return png(self.figure(), dpi=110)


def visualise(
    subject: Subject, layer: str | int, channels: Sequence[int] | None = None, how: Ascent | None = None
) -> Visualised:
    """Return an image for each channel of a layer, all made in one optimisation.

    Args:
        subject: the network; as before afterwards, also after an error.
        layer: name or number of the layer.
        channels: which; None: the first 64.
        how: sizes, steps and regularisers.

    Raises:
        UserError: there is no such layer or channel, or the parametrisation is unknown.
    """
    how = how or Ascent()
    if how.parametrisation not in ("fourier", "pixel"):
        raise UserError(f"parametrisation is {how.parametrisation!r}; expected 'fourier' or 'pixel'.")
    name = find_layer(subject.network, layer)
    size = subject.preprocess.input_shape
    generator = torch.Generator().manual_seed(how.seed)
    with held(subject.network), torch.enable_grad(), ExitStack() as hooks:
        means = _Means(subject)
        hooks.enter_context(hooked(subject.network.get_submodule(name), means.note))
        chosen = _channels(means, size, channels, name)
        noise = torch.rand((len(chosen), *size), generator=generator).to(subject.device)
        before = means(noise, chosen).detach()
        images = noise
        for octave in range(how.octaves):
            side = [max(4, round(length / 1.4 ** (how.octaves - 1 - octave))) for length in size[1:]]
            images = _climb(_resized(images, side), size[1:], lambda x: means(x, chosen), how, generator)
        after = means(images, chosen).detach()
    pixels = (images.detach().cpu().numpy() * 255).round().astype(np.uint8)
    return Visualised(name, tuple(chosen), pixels, before.cpu().numpy(), after.cpu().numpy())


class _Means:
    """The mean of one channel of the layer for each image of a batch."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.output: Tensor | None = None

    def note(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        """Keep what the layer puts out; an in-place layer after it gets a copy."""
        self.output = output
        return output.clone()

    def __call__(self, images: Tensor, channels: Sequence[int]) -> Tensor:
        """Return (N,) for images in 0..1, (N, C, H, W)."""
        preprocess = self.subject.preprocess
        mean, std = (
            torch.tensor(values, device=images.device).reshape(1, -1, 1, 1)
            for values in (preprocess.mean, preprocess.std)
        )
        self.subject.network((images - mean) / std)
        output = self.output
        assert output is not None
        return output[torch.arange(len(images)), list(channels)].flatten(1).mean(dim=1)


def _channels(
    means: _Means, size: tuple[int, int, int], channels: Sequence[int] | None, layer: str
) -> list[int]:
    with torch.no_grad():
        means(torch.zeros((1, *size), device=means.subject.device), [0])
    assert means.output is not None
    count = means.output.shape[1]
    chosen = list(range(min(64, count))) if channels is None else list(channels)
    for number in chosen:
        check_channel(number, count, layer)
    return chosen


def _climb(
    start: Tensor,
    full: tuple[int, int],
    objective: Callable[[Tensor], Tensor],
    how: Ascent,
    generator: torch.Generator,
) -> Tensor:
    """Return images of the start's size after some steps of Adam upwards."""
    encode, decode = _FORMS[how.parametrisation]
    values = encode(start.detach()).requires_grad_()
    optimizer = torch.optim.Adam([values], lr=how.lr)
    for _ in range(how.steps):
        images = decode(values, start.shape)
        seen = _resized(_moved(images, how, generator), full)
        reached = objective(seen)
        climb = reached / (reached.detach().abs() + 1e-2)
        loss = -climb.sum() + how.variation * _variation(images)
        (values.grad,) = torch.autograd.grad(loss, values)
        optimizer.step()
    return decode(values.detach(), start.shape)


def _moved(images: Tensor, how: Ascent, generator: torch.Generator) -> Tensor:
    """Return the images shifted and scaled at random, all alike."""
    if how.scale:
        factor = 1 + how.scale * (2 * float(torch.rand((), generator=generator)) - 1)
        large = _resized(images, [max(4, round(length * factor)) for length in images.shape[2:]])
        images = _resized(large, images.shape[2:])
    if how.jitter:
        shifts = torch.randint(-how.jitter, how.jitter + 1, (2,), generator=generator).tolist()
        images = torch.roll(images, shifts, dims=(2, 3))
    return images


def _variation(images: Tensor) -> Tensor:
    """Return the mean difference of neighbours, summed over images."""
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean(dim=(1, 2, 3))
    across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
    return (down + across).sum()


def _resized(images: Tensor, size: Sequence[int]) -> Tensor:
    if list(images.shape[2:]) == list(size):
        return images
    return nn.functional.interpolate(images, tuple(size), mode="bilinear", align_corners=False)


def _to_logit(images: Tensor) -> Tensor:
    return torch.logit(images.clamp(0.02, 0.98))


def _to_fourier(images: Tensor) -> Tensor:
    spectrum = torch.fft.rfft2(_to_logit(images), norm="ortho")
    return torch.view_as_real(spectrum / _scales(images.shape, images.device))


def _from_fourier(values: Tensor, shape: torch.Size) -> Tensor:
    spectrum = torch.view_as_complex(values) * _scales(shape, values.device)
    return torch.sigmoid(torch.fft.irfft2(spectrum, s=shape[2:], norm="ortho"))


def _scales(shape: torch.Size, device: torch.device) -> Tensor:
    """Return sqrt(H W) / (1 + steps of frequency), so that all frequencies are learned at a like pace."""
    height, width = shape[2:]
    down = torch.fft.fftfreq(height, device=device)[:, None] * height
    across = torch.fft.rfftfreq(width, device=device) * width
    scales: Tensor = (height * width) ** 0.5 / (1 + (down**2 + across**2).sqrt()) / 4
    return scales


_FORMS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, torch.Size], Tensor]]] = {
    "fourier": (_to_fourier, _from_fourier),
    "pixel": (_to_logit, lambda values, shape: torch.sigmoid(values)),
}
