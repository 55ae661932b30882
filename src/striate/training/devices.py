"""Where and in which number format and layout to compute."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.config import TrainConfig
from striate.errors import UserError

if TYPE_CHECKING:
    import torch

GAINFUL_MULTIPLY_ADDS = 1_000_000
"""Multiply-adds of one image from which bfloat16 and channels-last pay on a CPU; see `benchmarks/`."""

NOTHING_TO_TRAIN = "the network has no parameters, so there is nothing to train: add a layer that has some."

_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class Engine:
    """How a training computes.

    Attributes:
        device: "cpu", "cuda" or "mps".
        precision: "32", or "bf16": bfloat16 autocast around the forward pass, float32 weights and loss.
        memory_format: layout of weights and activations.
        reason: why, in a sentence.
    """

    device: Literal["cpu", "cuda", "mps"]
    precision: Literal["32", "bf16"]
    memory_format: Literal["contiguous", "channels-last"]
    reason: str

    def __str__(self) -> str:
        number = "bfloat16 autocast" if self.precision == "bf16" else "float32"
        return f"{self.device}, {number}, {self.memory_format} ({self.reason})"


def choose_engine(config: TrainConfig, network: torch.nn.Module, input_shape: tuple[int, int, int]) -> Engine:
    """Return the engine for training `network`: what `config` says, and where it says "auto", by these rules.

    - device: CUDA if there is one, else Apple's MPS, else the CPU.
    - precision: bf16 on a CUDA device with bfloat16, and on a CPU that multiplies bfloat16 in hardware
      (AVX512-BF16 or AMX) if an image takes at least a million multiply-adds; else float32.
    - memory format: channels-last on CUDA, and on a CPU if an image takes at least a million multiply-adds,
      provided the network has more than one convolution; else contiguous.

    The choice depends on the hardware and the network alone, so a repeated run makes the same one.

    Args:
        config: `device`, `precision` and `memory_format` count.
        network: on any device; not changed.
        input_shape: (C, H, W).

    Raises:
        UserError: the device asked for is not there, or there is nothing to train.
    """
    if next(network.parameters(), None) is None:
        raise UserError(NOTHING_TO_TRAIN)
    device = _choose_device(config.device)
    work = multiply_adds(network, input_shape)
    large = work >= GAINFUL_MULTIPLY_ADDS
    bf16 = _gains_by_bf16(device, large)
    channels_last = (device == "cuda" or (device == "cpu" and large)) and _convolutions(network) > 1
    precision: Literal["32", "bf16"] = "bf16" if bf16 else "32"
    memory_format: Literal["contiguous", "channels-last"] = "channels-last" if channels_last else "contiguous"
    return Engine(
        device,
        precision if config.precision == "auto" else config.precision,
        memory_format if config.memory_format == "auto" else config.memory_format,
        _reason(config, device, work),
    )


def multiply_adds(network: torch.nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Return the multiply-adds of convolutions and linear layers for one image, by running one."""
    import torch

    counts: list[int] = []

    def count(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        counts.append(output.numel() * module.weight[0].numel())  # type: ignore[index]  # torch types every attribute of a module as Tensor | Module

    layers = (torch.nn.Conv2d, torch.nn.Linear)
    hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, layers)]
    parameter = next(network.parameters())
    modes = {module: module.training for module in network.modules()}
    image = torch.zeros(1, *input_shape, device=parameter.device)
    network.eval()
    try:
        with torch.no_grad():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
    return sum(counts)


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware; known on Linux on x86-64 only."""
    info = Path("/proc/cpuinfo")
    if platform.machine().lower() not in ("x86_64", "amd64") or not info.is_file():
        return False
    for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("flags"):
            return bool(_BF16_FLAGS & set(line.split()))
    return False


def _choose_device(wanted: str) -> Literal["cpu", "cuda", "mps"]:
    import torch

    found: dict[Literal["cuda", "mps", "cpu"], bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    for device, available in found.items():
        if available and wanted in ("auto", device):
            return device
    usable = " or ".join(device for device, available in found.items() if available)
    raise UserError(f"--device {wanted} is not available here; use {usable}, or auto.")


def _gains_by_bf16(device: str, large: bool) -> bool:
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and large and cpu_has_bf16()


def _convolutions(network: torch.nn.Module) -> int:
    import torch

    return sum(isinstance(module, torch.nn.Conv2d) for module in network.modules())


def _reason(config: TrainConfig, device: str, work: int) -> str:
    if "auto" not in (config.precision, config.memory_format):
        return "as set"
    if device != "cpu":
        return "chosen for the device"
    bf16 = "has" if cpu_has_bf16() else "lacks"
    return f"{work / 1e6:.3g} M multiply-adds an image; the processor {bf16} bfloat16 arithmetic"
