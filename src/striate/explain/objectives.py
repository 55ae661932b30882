"""What an image is to excite: a channel, one number of it, or a class. Imports torch.

The network computes up to the layer that is looked at and no further: its later layers cost nothing, and do
not mind images of another size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from striate.errors import UserError
from striate.explain.naming import check_channel
from striate.explain.subject import Subject

ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Hardswish,
    nn.Hardtanh,
    nn.SiLU,
    nn.GELU,
)
"""Of these the input is looked at: where a ReLU puts out 0 no gradient says what to change."""


@dataclass(frozen=True)
class Objective:
    """The number that each image of a batch is to raise.

    Attributes:
        layer: name of the layer; `""`: the scores of the classes.
        channels: (N,), the channel, unit or class of each image.
        place: row and column of the one number to raise; None: the mean over the map.
    """

    layer: str
    channels: tuple[int, ...]
    place: tuple[int, int] | None = None

    def of(self, outputs: Tensor, images: slice) -> Tensor:
        """Return the numbers, (n,), of the images in `images`, for what the layer puts out, (n, C, h, w)."""
        chosen = outputs[torch.arange(len(outputs)), list(self.channels[images])]
        if self.place is not None:
            return chosen[:, self.place[0], self.place[1]]
        return chosen.mean(dim=(1, 2))

    def check(self, outputs: Tensor) -> None:
        """Refuse channels and places that the layer does not have.

        Raises:
            UserError: there is one.
        """
        for number in self.channels:
            check_channel(number, outputs.shape[1], self.layer or "the output")
        if self.place is None:
            return
        rows, columns = outputs.shape[2:]
        row, column = self.place
        if not (0 <= row < rows and 0 <= column < columns):
            raise UserError(
                f"row {row}, column {column} is out of range: "
                f"the maps of {self.layer} have {rows} x {columns}."
            )


class _Reached(Exception):  # noqa: N818 (the way out of a network, not a fault)
    """Ends the computation of a network at a layer."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output


def outputs_at(subject: Subject, layer: str, images: Tensor) -> Tensor:
    """Return what a layer puts out, or an activation is given, for images: (N, C, h, w).

    Args:
        subject: the network, held still.
        layer: name of the layer; `""`: the scores of the classes.
        images: (N, C, H, W) in 0..1.

    Raises:
        UserError: the layer puts out something else than channels, or takes no part.
    """
    mean, std = (
        torch.tensor(values, device=images.device).reshape(1, -1, 1, 1)
        for values in (subject.preprocess.mean, subject.preprocess.std)
    )
    inputs = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
    if not layer:
        return subject.scores(subject.network(inputs))[:, :, None, None]
    with _stopping_at(subject.network.get_submodule(layer)):
        try:
            subject.network(inputs)
        except _Reached as reached:
            return _as_maps(reached.output, layer)
    raise UserError(f"layer {layer!r} takes no part in the network's computation. Choose another.")


@contextmanager
def _stopping_at(module: nn.Module) -> Iterator[None]:
    def before(module: nn.Module, inputs: Any) -> None:
        raise _Reached(inputs[0])

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        raise _Reached(output)

    early = isinstance(module, ACTIVATIONS)
    handle = module.register_forward_pre_hook(before) if early else module.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


def _as_maps(output: Any, layer: str) -> Tensor:
    if isinstance(output, Tensor) and output.ndim in (2, 4):
        return output if output.ndim == 4 else output[:, :, None, None]
    came = f"{tuple(output.shape[1:])} for an image" if isinstance(output, Tensor) else type(output).__name__
    raise UserError(
        f"layer {layer!r} puts out {came}; expected channels, or channels of maps. Choose a convolution."
    )


def takes(subject: Subject, layer: str, size: Sequence[int]) -> bool:
    """Return whether the network computes up to a layer for images of this height and width."""
    blank = torch.zeros((1, subject.preprocess.channels, *size), device=subject.device)
    try:
        with torch.no_grad():
            outputs_at(subject, layer, blank)
    except (RuntimeError, ValueError, AssertionError):  # what torch, torchvision and timm raise of sizes
        return False
    return True
