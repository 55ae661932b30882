"""Dropout, with a generator of its own and a mask that can be given."""

from __future__ import annotations

import numpy as np

from striate.engine import functional as F
from striate.engine.backend import Array, check_generator
from striate.engine.functional.dropout import check_probability
from striate.engine.layers.base import Layer


class Dropout(Layer):
    """Sets values to zero at random while training, see `functional.dropout`.

    Args:
        p: probability of zero.
        generator: draws the masks.

    Attributes:
        mask: None, or a mask to use instead of drawing one, True for what stays: so that two engines, or two
            forward passes, can be compared.
        last_mask: the mask of the last forward pass in training.
    """

    def __init__(self, p: float = 0.5, *, generator: np.random.Generator) -> None:
        super().__init__()
        check_probability("p", p)
        check_generator("generator", generator)
        self.p = p
        self.generator = generator
        self.mask: Array | None = None
        self.last_mask: Array | None = None

    def hold_mask(self) -> None:
        """Use the last mask from now on."""
        self.mask = self.last_mask

    def forward(self, x: Array) -> Array:
        """Return an array shaped as x."""
        y, mask = F.dropout(
            x, self.p, self.training, generator=self.generator, mask=self.mask, return_saved=True
        )
        self.last_mask = mask
        self._keep(mask)
        return y

    def backward(self, grad_output: Array) -> Array | None:
        """Return an array shaped as grad_output."""
        (mask,) = self._take()
        return F.dropout_backward(grad_output, mask, self.p)
