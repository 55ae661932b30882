"""Networks computed by torch. Imports torch: loaded by `load` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from striate.backbones.models import Description, assemble
from striate.errors import UserError, unknown_name

DEVICES = ("auto", "cpu", "cuda", "mps")


class TorchRuntime:
    """A torch network in evaluation mode on a device.

    Args:
        description: the network: a spec, or a backbone of a library.
        input_shape: (C, H, W).
        num_classes: at least 2.
        weights: all of the network's weights and buffers by name; copied.
        device: one of `DEVICES`; "auto" takes CUDA, else Apple's MPS, else the CPU.
    """

    def __init__(
        self,
        description: Description,
        input_shape: Sequence[int],
        num_classes: int,
        weights: Mapping[str, np.ndarray],
        device: str = "auto",
    ) -> None:
        self.device = choose_device(device)
        network = assemble(description, tuple(input_shape), num_classes, weights)
        self.network = network.eval().requires_grad_(False).to(self.device).to(memory_format=self._layout)

    @property
    def name(self) -> str:
        """Library and device."""
        return f"torch on {self.device.type}"

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        """Return float32 (B, K) or (B, 1) for float32 (B, C, H, W) `inputs`."""
        with torch.inference_mode():
            images = torch.from_numpy(inputs).to(self.device).contiguous(memory_format=self._layout)
            outputs: torch.Tensor = self.network(images)
            return outputs.float().cpu().numpy()

    @property
    def _layout(self) -> torch.memory_format:
        """On the CPU, float32 convolutions are faster with the channels last (1.1 to 2 times, by network)."""
        return torch.channels_last if self.device.type == "cpu" else torch.contiguous_format


def choose_device(name: str) -> torch.device:
    """Return the device that `name`, one of `DEVICES`, stands for.

    Raises:
        UserError: the name is unknown, or this machine has no such device.
    """
    if name not in DEVICES:
        raise UserError(unknown_name("device", name, DEVICES))
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        raise UserError(f"device {name!r} is not available here. Use --device auto.")
    return torch.device(name)
