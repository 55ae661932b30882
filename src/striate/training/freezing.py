"""What of a network learns in an epoch: gradients, modes of the layers, and groups with their own rates.

Imports torch.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

from torch import nn

from striate.backbones.strategies import Plan

Rate = TypeVar("Rate", bound=Hashable)


def apply(network: nn.Module, plan: Plan, epoch: int) -> None:
    """Put `network` into training mode as far as it learns in `epoch`, and let gradients go no further.

    A module with parameters of which none learns is in evaluation mode, with all that is inside it: frozen
    batch normalisation uses its running statistics and leaves them as they are, and a frozen layer's
    dropout is off. A module without parameters follows the one around it.

    Args:
        network: a module whose parameters are those of the plan.
        plan: which of them learn.
        epoch: counted from 0.
    """
    learning = set()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(plan.learns(name, epoch))
        if parameter.requires_grad:
            learning.add(parameter)
    network.train()
    for module in network.modules():
        parameters = list(module.parameters())
        if parameters and learning.isdisjoint(parameters):
            module.eval()


def learners(network: nn.Module, plan: Plan | None) -> list[tuple[nn.Parameter, float]]:
    """Return the parameters that learn at any time, each with its share of the learning rate."""
    if plan is None:
        return [(parameter, 1.0) for parameter in network.parameters() if parameter.requires_grad]
    return [
        (parameter, plan.factor(name))
        for name, parameter in network.named_parameters()
        if plan.ever_learns(name)
    ]


def by_rate(parameters: Iterable[tuple[nn.Parameter, Rate]]) -> dict[Rate, list[nn.Parameter]]:
    """Return the parameters by their learning rate, however it is given, in the order of the network."""
    groups: dict[Rate, list[nn.Parameter]] = {}
    for parameter, rate in parameters:
        groups.setdefault(rate, []).append(parameter)
    return groups
