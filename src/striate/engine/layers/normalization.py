"""Batch normalisation, with the running statistics as torch keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.engine import functional as F
from striate.engine.backend import Array, check_ndim, check_number, check_whole
from striate.engine.layers.base import Layer, gather, present
from striate.engine.parameter import Parameter


class _BatchNorm(Layer):
    """Normalises each channel over the batch, then scales and shifts it, see `functional.batch_norm`.

    In training with the batch's own mean and variance, which also move the running ones; in evaluation with
    the running ones.

    Args:
        num_features: channels, C.
        eps: keeps a constant channel from a division by zero.
        momentum: the batch's share in the running statistics, from 0 to 1; None for the mean of all batches.
        affine: whether scale and shift are learned.
    """

    dimensions: tuple[int, ...]

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True
    ) -> None:
        super().__init__()
        check_whole("num_features", num_features)
        self.eps = check_number("eps", eps, 0)
        self.momentum = None if momentum is None else check_number("momentum", momentum, 0, 1)
        self.weight = Parameter(np.ones(num_features, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(num_features, np.float32)) if affine else None
        self.running_mean: Array = np.zeros(num_features, np.float32)
        self.running_var: Array = np.ones(num_features, np.float32)
        self.num_batches_tracked: Array = np.zeros((), np.int64)

    def own_parameters(self) -> dict[str, Parameter]:
        """Return the scale `weight` and the shift `bias`, both (C,)."""
        return present(weight=self.weight, bias=self.bias)

    def own_buffers(self) -> dict[str, Array]:
        """Return the running statistics (C,) and how many batches moved them."""
        names = ("running_mean", "running_var", "num_batches_tracked")
        return {name: getattr(self, name) for name in names}

    def forward(self, x: Array) -> Array:
        """Return an array shaped as x."""
        check_ndim("x", x, self.dimensions, f"{' or '.join(map(str, self.dimensions))} dimensions")
        weight, bias = self._scale_and_shift()
        running = {"running_mean": self.running_mean, "running_var": self.running_var}
        y, statistics = F.batch_norm(
            x, **running, weight=weight, bias=bias, training=self.training, eps=self.eps, return_saved=True
        )
        self._keep(x, statistics)
        if self.training:
            self._follow(statistics)
        return y

    def backward(self, grad_output: Array) -> Array | None:
        """Return an array shaped as grad_output."""
        x, statistics = self._take()
        weight, _ = self._scale_and_shift()
        needs = ("x", "weight", "bias") if self.needs_input_grad else ("weight", "bias")
        grads = F.batch_norm_backward(grad_output, x, weight, saved=statistics, needs=needs)
        return gather(grads, self.weight, self.bias)

    def _follow(self, statistics: Any) -> None:
        """Move the running statistics towards those of the batch."""
        self.num_batches_tracked = np.asarray(self.num_batches_tracked + 1)
        if not statistics.values:  # an empty batch
            return
        self.running_mean, self.running_var = F.update_running(
            statistics,
            self.running_mean,
            self.running_var,
            self.momentum,
            num_batches_tracked=int(self.num_batches_tracked),
        )

    def _scale_and_shift(self) -> tuple[Array | None, Array | None]:
        if self.weight is None or self.bias is None:
            return None, None
        return self.weight.value, self.bias.value


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of features (N, C) or sequences (N, C, L)."""

    dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, C, H, W)."""

    dimensions = (4,)
