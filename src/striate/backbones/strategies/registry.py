"""The strategies by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from striate.backbones.layout import Layout, ParameterTensor
from striate.backbones.strategies.freezing import below
from striate.backbones.strategies.plan import FROZEN, LEARNS, Options, Plan, Rule
from striate.errors import UserError, unknown_name

Rules = Callable[[Layout, Options], Callable[[ParameterTensor], Rule]]
"""For a network, a rule for each of its tensors."""


@dataclass(frozen=True)
class Strategy:
    """A way to train a network whose weights may have been learned elsewhere.

    Attributes:
        name: for the command line.
        description: what learns, for the help.
        rules: for a network, a rule for each of its tensors.
        heeds: the options that count.
        frozen: some layers stay as they are, which makes sense with pretrained weights alone.
        pretrained: it begins with pretrained weights where nothing else is said.
    """

    name: str
    description: str
    rules: Rules
    heeds: tuple[str, ...] = ()
    frozen: bool = True
    pretrained: bool = True


def _all(layout: Layout, options: Options) -> Callable[[ParameterTensor], Rule]:
    return lambda tensor: LEARNS


def _head(layout: Layout, options: Options) -> Callable[[ParameterTensor], Rule]:
    return lambda tensor: LEARNS if tensor.head else FROZEN


def _norm(layout: Layout, options: Options) -> Callable[[ParameterTensor], Rule]:
    return lambda tensor: LEARNS if tensor.head or tensor.norm else FROZEN


def _partial(layout: Layout, options: Options) -> Callable[[ParameterTensor], Rule]:
    frozen = below(layout, options.freeze)
    return lambda tensor: FROZEN if tensor.name in frozen else LEARNS


def _full(layout: Layout, options: Options) -> Callable[[ParameterTensor], Rule]:
    """Rates fall geometrically from the head to the first part; parts begin to learn from the last on.

    Source: Howard and Ruder 2018 (ULMFiT), sec. 3.2, discriminative rates, and 3.3, gradual unfreezing.
    """
    last = len(layout.parts)

    def rule(tensor: ParameterTensor) -> Rule:
        if tensor.head:
            return LEARNS
        distance = last - layout.part_of(tensor)  # 1 for the part before the head
        waited = options.unfreeze_epochs * (distance - 1) // max(last - 1, 1)
        return Rule(options.head_epochs + waited, options.first_lr ** (distance / last))

    return rule


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy("scratch", "everything, from random weights", _all, frozen=False, pretrained=False),
        Strategy("head", "the new head alone", _head),
        Strategy("features", "the new head alone, on features that are computed once", _head),
        Strategy("partial", "all but the first layers", _partial, ("freeze",)),
        Strategy("norm", "the new head and the normalisation layers", _norm),
        Strategy(
            "full",
            "everything, earlier layers at lower rates",
            _full,
            ("first_lr", "head_epochs", "unfreeze_epochs"),
            frozen=False,
        ),
    )
}
"""All of them."""


def make_plan(name: str, layout: Layout, options: Options | None = None) -> Plan:
    """Return what the strategy called `name` decides for each tensor of a network.

    Raises:
        UserError: there is no such strategy, or `options.freeze` does not fit the network.
    """
    if name not in STRATEGIES:
        raise UserError(unknown_name("strategy", name, STRATEGIES))
    rule = STRATEGIES[name].rules(layout, options or Options())
    return Plan({tensor.name: rule(tensor) for tensor in layout.tensors})
