"""What a strategy decides: a rule for each tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Options:
    """What strategies can be told; each says which it heeds.

    Attributes:
        freeze: `partial`: a share of the tensors ("0.75"), a module by name ("layer3", "features.10"), or a
            module's position among the outermost ("6").
        first_lr: `full`: learning rate of the first layers as a share of the head's, above 0 and up to 1.
        head_epochs: `full`: epochs at the beginning in which the head alone learns.
        unfreeze_epochs: `full`: epochs after these over which the other parts begin to learn.
    """

    freeze: str = "0.75"
    first_lr: float = 1.0
    head_epochs: int = 0
    unfreeze_epochs: int = 0


class Rule(NamedTuple):
    """How a tensor learns.

    Attributes:
        start: first epoch in which it does, counted from 0; None: it is frozen throughout.
        factor: its share of the learning rate.
    """

    start: int | None
    factor: float = 1.0


FROZEN = Rule(None)
LEARNS = Rule(0)


@dataclass(frozen=True)
class Plan:
    """The rule for each tensor of a network, by name."""

    rules: Mapping[str, Rule]

    def learns(self, name: str, epoch: int) -> bool:
        """Whether the tensor called `name` learns in `epoch`, counted from 0."""
        start = self.rules[name].start
        return start is not None and epoch >= start

    def ever_learns(self, name: str) -> bool:
        """Whether the tensor called `name` learns at any time."""
        return self.rules[name].start is not None

    def factor(self, name: str) -> float:
        """Return the share of the learning rate at which the tensor called `name` learns."""
        return self.rules[name].factor
