"""A number taken apart, patch, kernel, products, sum, bias, as text, HTML and plain values."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

PRECISION = 1e-5
"""Of the sum of all products' sizes: float32 rounds each to some 1e-7, and some hundred of them add up."""
SHOWN_CHANNELS = 4
"""So many channels are written out in the text, those that weigh most; HTML and plain values hold all."""


class Stage(NamedTuple):
    """What a later layer makes of the number.

    Attributes:
        layer: its name.
        kind: torch's name of it, `BatchNorm2d`.
        formula: with the numbers.
        value: ours.
        network_value: the network's.
    """

    layer: str
    kind: str
    formula: str
    value: float
    network_value: float


@dataclass(frozen=True)
class OneNumber:
    """One number of a network with all that it is made of. In a notebook it shows itself.

    Attributes:
        kind: "value", an output of a layer; "gradient", that of a class's score for an input of a layer.
        layer: its name.
        place: channel, row, column.
        patch: float32 (C, kH, kW), what lies under the kernel; of a gradient, those of the outputs.
        kernel: float32 (C, kH, kW), the weights.
        bias: 0 where there is none, and of a gradient.
        stages: normalisation and activation that follow.
        network_value: the same number as the network computes it.
        field: top, left, bottom, right (the last pixels) of the input that it depends on, over the edges too;
            None: all of it, or a gradient.
        label: of a gradient, the class.
    """

    kind: str
    layer: str
    place: tuple[int, int, int]
    patch: np.ndarray
    kernel: np.ndarray
    bias: float
    stages: tuple[Stage, ...]
    network_value: float
    field: tuple[int, int, int, int] | None
    label: str

    @cached_property
    def products(self) -> np.ndarray:
        """float64 (C, kH, kW): patch times kernel."""
        products: np.ndarray = self.patch.astype(np.float64) * self.kernel
        return products

    @property
    def total(self) -> float:
        """The sum of all products."""
        return float(self.products.sum())

    @property
    def value(self) -> float:
        """Sum and bias."""
        return self.total + self.bias

    @property
    def agrees(self) -> bool:
        """Whether the network has the same number, to float32's precision of the products summed."""
        scale = float(np.abs(self.products).sum()) + abs(self.bias)
        return abs(self.value - self.network_value) <= PRECISION * scale

    def facts(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "kind": self.kind,
            "layer": self.layer,
            "place": list(self.place),
            "class": self.label or None,
            "patch": self.patch.tolist(),
            "kernel": self.kernel.tolist(),
            "products": self.products.tolist(),
            "sum": self.total,
            "bias": self.bias,
            "value": self.value,
            "network_value": self.network_value,
            "stages": [stage._asdict() for stage in self.stages],
            "field": None if self.field is None else list(self.field),
        }

    def __str__(self) -> str:
        sums = self.products.sum(axis=(1, 2))
        order = np.argsort(-np.abs(sums), kind="stable")[:SHOWN_CHANNELS]
        shape = " x ".join(map(str, self.kernel.shape))
        lines = [self._title(), f"{self._what()} | weights | products, {shape}:"]
        for channel in sorted(order.tolist()):
            lines += [f"  channel {channel}: sum {sums[channel]:.6g}", *self._rows(channel)]
        hidden = len(sums) - len(order)
        if hidden:
            rest = float(sums.sum() - sums[order].sum())
            lines.append(f"  {hidden} further channels: sum {rest:.6g}")
        return "\n".join([*lines, *self._ending()])

    def _repr_html_(self) -> str:
        cells = []
        for channel, total in enumerate(self.products.sum(axis=(1, 2))):
            parts = (self.patch[channel], self.kernel[channel], self.products[channel])
            row = "".join(f"<td>{_table(part)}</td>" for part in parts)
            cells.append(f"<tr><th scope='row'>{channel}</th>{row}<td>{total:.6g}</td></tr>")
        head = "".join(f"<th>{text}</th>" for text in ("channel", self._what(), "weights", "products", "sum"))
        notes = "".join(f"<p>{html.escape(line)}</p>" for line in self._ending())
        return (
            f"<p><b>{html.escape(self._title())}</b></p>{notes}"
            f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(cells)}</tbody></table>"
        )

    def _title(self) -> str:
        channel, row, column = self.place
        where = f"channel {channel}, y {row}, x {column}"
        if self.kind == "value":
            return f"{self.layer}, {where}: {self.value:.7g}"
        subject = f"gradient of the score of {self.label!r} for the input of {self.layer}"
        return f"{subject}, {where}: {self.value:.7g}"

    def _what(self) -> str:
        return "input" if self.kind == "value" else "gradients of the outputs"

    def _rows(self, channel: int) -> list[str]:
        parts = (self.patch[channel], self.kernel[channel], self.products[channel])
        return ["    " + "   |   ".join(map(_columns, row)) for row in zip(*parts, strict=True)]

    def _ending(self) -> list[str]:
        lines = [f"sum of {self.products.size} products {self.total:.7g}"]
        if self.kind == "value":
            lines[0] += f", bias {self.bias:.7g}: {self.value:.7g}"
        lines.append(f"the network has {self.network_value:.7g}: {'equal' if self.agrees else 'NOT EQUAL'}")
        lines += [
            f"{stage.layer} ({stage.kind}): {stage.formula} = {stage.value:.7g}; "
            f"the network has {stage.network_value:.7g}"
            for stage in self.stages
        ]
        if self.kind == "value":
            lines.append(_seen(self.field))
        return lines


def _seen(field: tuple[int, int, int, int] | None) -> str:
    if field is None:
        return "it depends on the whole input."
    top, left, bottom, right = field
    return f"it depends on the input's rows {top} to {bottom}, columns {left} to {right} (outside: padding)."


def _columns(values: np.ndarray) -> str:
    return " ".join(f"{value:10.4g}" for value in values)


def _table(values: np.ndarray) -> str:
    rows = "".join("<tr>" + "".join(f"<td>{value:.4g}</td>" for value in row) + "</tr>" for row in values)
    return f"<table>{rows}</table>"
