"""Optimizers, and their state as named arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from striate.backbones import Plan
from striate.config import TrainConfig
from striate.training.freezing import by_rate, learners
from striate.training.muon import Muon

_FUSED_DEVICES = ("cpu", "cuda")


def build_optimizer(
    network: torch.nn.Module, config: TrainConfig, lr: float, plan: Plan | None = None
) -> torch.optim.Optimizer:
    """Return the optimizer of `config` over the parameters of `network` that learn at any time.

    Weight decay acts on every parameter with `adam`, as torch and most published settings have it; with `sgd`
    and `adamw` it leaves out biases and the scales and shifts of normalisation -- all parameters with one
    dimension -- as is usual in the field (Goyal et al. 2017, sec. 5.3). torch's fused kernels are used on CPU
    and CUDA. Each group has a `factor`, its share of the learning rate, which `set_lr` heeds: that of the
    plan, times `bias_lr / lr` for biases where the settings give them a rate of their own; `own_rate` tells
    whether they do. `muon` is described in `training/muon.py`; it decays what is not a filter, biases and
    normalisation too, as airbench does (Jordan 2024): filters keep a fixed norm, which no decay would change.

    Args:
        network: on its device.
        config: the settings.
        lr: learning rate.
        plan: which parameters learn, and at which share of the rate; None: those that require gradients.
    """
    parameters = _with_rates(network, learners(network, plan), config, lr)
    if config.optimizer == "muon":
        return _muon(parameters, config, lr)
    fused = all(parameter.device.type in _FUSED_DEVICES for parameter, _ in parameters) or None
    groups = [
        {**group, "factor": factor, "own_rate": own, "lr": factor * lr}
        for (factor, own), members in by_rate(parameters).items()
        for group in _groups(members, config)
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=config.momentum, nesterov=config.nesterov, fused=fused)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=lr, fused=fused)


def _with_rates(
    network: torch.nn.Module,
    parameters: list[tuple[torch.nn.Parameter, float]],
    config: TrainConfig,
    lr: float,
) -> list[tuple[torch.nn.Parameter, tuple[float, bool]]]:
    """Return the parameters with their share of the rate, and whether their kind has a rate of its own."""
    biases = {id(parameter) for name, parameter in network.named_parameters() if name.endswith("bias")}

    def own_rate(parameter: torch.nn.Parameter) -> float | None:
        if id(parameter) in biases and config.bias_lr is not None:
            return config.bias_lr
        others = config.optimizer == "muon" and not _is_filter(parameter)
        return config.muon_sgd_lr if others else None

    owns = [own_rate(parameter) for parameter, _ in parameters]
    return [
        (parameter, (factor, False) if own is None else (factor * (own / lr), True))
        for (parameter, factor), own in zip(parameters, owns, strict=True)
    ]


def _is_filter(parameter: torch.nn.Parameter) -> bool:
    return parameter.ndim == 4


def _muon(
    parameters: list[tuple[torch.nn.Parameter, tuple[float, bool]]], config: TrainConfig, lr: float
) -> Muon:
    groups = []
    for (factor, own), members in by_rate(parameters).items():
        for filters in (True, False):
            chosen = [parameter for parameter in members if _is_filter(parameter) == filters]
            decay = 0.0 if filters else config.weight_decay
            rate = {"factor": factor, "own_rate": own, "lr": factor * lr}
            group = {"filters": filters, "weight_decay": decay, **rate}
            groups += [{"params": chosen, **group}] if chosen else []
    return Muon(groups, lr, config.momentum)


def _groups(parameters: list[torch.nn.Parameter], config: TrainConfig) -> list[dict[str, object]]:
    """Split `parameters` into those that decay and those that do not."""
    if config.optimizer == "adam" or not config.weight_decay:
        return [{"params": parameters, "weight_decay": config.weight_decay}]
    groups: list[dict[str, object]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every parameter group: its `factor`, 1 without one, times `lr`."""
    for group in optimizer.param_groups:
        group["lr"] = group.get("factor", 1.0) * lr


def keep_own_rates(optimizer: torch.optim.Optimizer, lr: float, kept_at: float) -> None:
    """Let groups with a rate of their own stay at it while the learning rate goes from `kept_at` to `lr`.

    A schedule lowers all rates together; a search for the learning rate leaves alone those that are given.
    """
    for group in optimizer.param_groups:
        if group["own_rate"]:
            group["factor"] *= kept_at / lr


def state_arrays(optimizer: torch.optim.Optimizer, network: torch.nn.Module) -> dict[str, np.ndarray]:
    """Return the optimizer's state as arrays named `<parameter>:<quantity>`, copied to the CPU."""
    arrays = {}
    for name, parameter in network.named_parameters():
        for quantity, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor):
                arrays[f"{name}:{quantity}"] = to_array(value)
    return arrays


def restore_state(
    optimizer: torch.optim.Optimizer, network: torch.nn.Module, arrays: Mapping[str, np.ndarray]
) -> None:
    """Put the state that `state_arrays` returned back, in the layout and on the device of each parameter."""
    parameters = dict(network.named_parameters())
    for key, array in arrays.items():
        name, quantity = key.rsplit(":", 1)
        parameter = parameters[name]
        value = torch.from_numpy(array.copy())
        if quantity == "step":
            value = value.to(parameter.device) if optimizer.defaults["fused"] else value
        else:
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        optimizer.state[parameter][quantity] = value


def weights_of(network: torch.nn.Module) -> dict[str, np.ndarray]:
    """Return the state dict as C-contiguous copies on the CPU."""
    return {name: to_array(value) for name, value in network.state_dict().items()}


def to_array(tensor: torch.Tensor) -> np.ndarray:
    """Return a C-contiguous copy on the CPU."""
    return tensor.detach().to("cpu", copy=True).contiguous().numpy()
