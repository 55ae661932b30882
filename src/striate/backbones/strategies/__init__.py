"""Which parameters of a network learn, when, and at which share of the learning rate. Torch-free.

::

    from striate.backbones import strategies

    plan = strategies.make_plan("partial", layout, strategies.Options(freeze="0.75"))
    plan.learns("layer4.1.conv2.weight", epoch=0)

`STRATEGIES` holds them by name.
"""

from striate.backbones.strategies.plan import Options, Plan, Rule
from striate.backbones.strategies.registry import STRATEGIES, Strategy, make_plan

__all__ = ["STRATEGIES", "Options", "Plan", "Rule", "Strategy", "make_plan"]
