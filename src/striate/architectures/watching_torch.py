"""Looking into a torch network as `striate.engine.watching` looks into a glass-box one. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.engine.backend import to_numpy
from striate.engine.layers import Dropout
from striate.engine.network import Network, Seen


class MaskedDropout(nn.Module):
    """Dropout that draws nothing: it takes the mask that another engine has drawn.

    Attributes:
        p: probability of zero.
        mask: True for what stays; the shape of the input.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return x in evaluation; in training, x * mask / (1 - p)."""
        if not self.training or not self.p:
            return x
        if self.mask is None:
            raise RuntimeError("MaskedDropout: expected a mask before the first forward pass in training")
        kept = x * self.mask.to(x.dtype)  # with p = 1 nothing is kept, and gradients of 0 go on
        return kept / (1 - self.p) if self.p < 1 else kept


def take_masks_from_outside(network: nn.Module) -> None:
    """Put a `MaskedDropout` in the place of each dropout of `network`."""
    dropouts = [(path, module) for path, module in network.named_modules() if isinstance(module, nn.Dropout)]
    for path, module in dropouts:
        network.set_submodule(path, MaskedDropout(module.p))


def share_masks(source: Network, target: nn.Module) -> None:
    """Hand the masks of the last forward pass of `source` to the dropouts of `target`."""
    for path, layer in source.walk():
        if isinstance(layer, Dropout) and layer.last_mask is not None:
            module: Any = target.get_submodule(path)
            module.mask = torch.from_numpy(np.array(to_numpy(layer.last_mask)))


@contextmanager
def watching(network: nn.Module, given: Mapping[str, np.ndarray]) -> Iterator[Seen]:
    """Note down what all modules compute, forward and backward, as NumPy arrays, until the block ends.

    Each module's own output is noted, and the `given` one handed on in its place, so that every module gets
    the input that the other engine's layer got. A difference then stays in the layer that made it; and a ReLU
    at 0 or a tie in a pooling window is decided alike, where rounding upstream would open one and not the
    other and send a gradient another way. Gradients pass as if nothing had been replaced. What is handed
    on has its channels first in memory: with channels last, torch's batch normalisation sums float32 one
    value after another, and on large images is off by some 1e-4.

    Args:
        network: a torch network.
        given: outputs by path, of the shape of the network's own; cast to their dtype.
    """
    seen = Seen()
    handles = []
    for path, module in network.named_modules():
        if path:
            handles.append(module.register_forward_hook(_noting_output(seen, path, given)))
            handles.append(module.register_full_backward_hook(_noting_gradient(seen, path)))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


class _Replaced(torch.autograd.Function):
    """Another value in the place of a tensor, which keeps its gradient."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, value: Tensor) -> Tensor:
        """Return `value`."""
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Hand the gradient to the tensor."""
        return grad, None


def _noting_output(seen: Seen, path: str, given: Mapping[str, np.ndarray]) -> Any:
    def note(module: nn.Module, inputs: Any, output: Tensor) -> Any:
        seen.outputs[path] = output.detach().numpy()
        value = given.get(path)
        if value is None or value.shape != tuple(output.shape):
            return None
        return _Replaced.apply(output, torch.from_numpy(np.array(value, order="C")).to(output.dtype))

    return note


def _noting_gradient(seen: Seen, path: str) -> Any:
    def note(module: nn.Module, grad_inputs: Any, grad_outputs: Any) -> None:
        if grad_inputs[0] is not None:
            seen.input_grads[path] = grad_inputs[0].detach().numpy()

    return note
