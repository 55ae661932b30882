"""Which parameters learn under a strategy, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from striate.backbones.layout import Layout
from striate.backbones.strategies import Options, make_plan
from striate.backbones.strategies.plan import Rule


class ParameterRow(NamedTuple):
    """A tensor and how it learns.

    Attributes:
        name: as in the network's state dict.
        shape: as in torch.
        parameters: numbers in it.
        rule: when it learns, and at which share of the learning rate.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    rule: Rule

    @property
    def trainable(self) -> bool:
        """Whether it learns at any time."""
        return self.rule.start is not None


@dataclass(frozen=True)
class ParameterTable:
    """All tensors of a network under a strategy.

    Attributes:
        network: its name.
        strategy: its name.
        rows: in the order of the network.
    """

    network: str
    strategy: str
    rows: tuple[ParameterRow, ...]

    @property
    def parameters(self) -> int:
        """Numbers in all tensors."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """Numbers in tensors that learn at any time."""
        return sum(row.parameters for row in self.rows if row.trainable)

    @property
    def frozen(self) -> int:
        """Numbers in tensors that stay as they are."""
        return self.parameters - self.trainable

    @property
    def frozen_tensors(self) -> int:
        """Tensors that stay as they are."""
        return sum(not row.trainable for row in self.rows)

    def table(self) -> str:
        """Return the table as aligned text, with totals."""
        cells = [("parameter", "shape", "numbers", "")]
        cells += [
            (row.name, " x ".join(map(str, row.shape)) or "-", f"{row.parameters:,}", _state(row.rule))
            for row in self.rows
        ]
        widths = [max(len(row[column]) for row in cells) for column in range(4)]
        lines = [
            f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {numbers:>{widths[2]}}  {state}".rstrip()
            for name, shape, numbers, state in cells
        ]
        rule = "-" * (sum(widths) + 6)
        title = f"{self.network}, strategy {self.strategy}"
        return "\n".join([title, lines[0], rule, *lines[1:], rule, *self._totals()])

    def _totals(self) -> list[str]:
        share = self.trainable / self.parameters
        return [
            f"trainable {self.trainable:,} of {self.parameters:,} parameters ({share:.2%})",
            f"frozen    {self.frozen:,} parameters, {self.frozen_tensors} of {len(self.rows)} tensors",
        ]

    def __str__(self) -> str:
        return self.table()


def tabulate(layout: Layout, strategy: str, options: Options | None = None) -> ParameterTable:
    """Return what learns in the network of a layout under a strategy.

    Raises:
        UserError: no such strategy, or an option that does not fit the network.
    """
    plan = make_plan(strategy, layout, options)
    rows = tuple(
        ParameterRow(tensor.name, tensor.shape, tensor.count, plan.rules[tensor.name])
        for tensor in layout.tensors
    )
    return ParameterTable(layout.name, strategy, rows)


def _state(rule: Rule) -> str:
    if rule.start is None:
        return "frozen"
    rate = f", rate x {rule.factor:.3g}" if rule.factor != 1 else ""
    since = f" from epoch {rule.start + 1}" if rule.start else ""
    return f"learns{since}{rate}"
