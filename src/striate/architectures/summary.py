"""What a network is made of, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from striate.architectures.blocks import Block
from striate.architectures.layers import Shape
from striate.architectures.shapes import Step, infer_shapes, walk
from striate.architectures.spec import Spec

CONVENTION = (
    "Multiply-adds are for one image: in convolutions and linear layers, one for each weight and each bias "
    "at each output position."
)


@dataclass(frozen=True)
class Row:
    """A layer of a summary; a block is followed by the layers inside it, and counts what is not theirs.

    Attributes:
        name: with those of the blocks around it, `residual1.conv1`.
        kind: `conv2d`, `relu`, ...
        output_shape: of one image, (C, H, W) or (features,).
        parameters: numbers learned by this layer.
        multiply_adds: see `CONVENTION`.
        is_block: it is made of the rows that follow, whose names begin with its own.
    """

    name: str
    kind: str
    output_shape: Shape
    parameters: int
    multiply_adds: int
    is_block: bool = False


@dataclass(frozen=True)
class Summary:
    """All layers of a network on images of one size."""

    name: str
    output: str
    input_shape: Shape
    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """Numbers that are learned."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one image; see `CONVENTION`."""
        return sum(row.multiply_adds for row in self.rows)

    def table(self) -> str:
        """Return the summary as aligned text."""
        cells = [("layer", "kind", "output shape", "parameters", "multiply-adds")]
        cells.append(("(images)", "", _shape_text(self.input_shape), "", ""))
        cells.extend(_cells(row) for row in self.rows)
        cells.append(("total", "", self.output, f"{self.parameters:,}", f"{self.multiply_adds:,}"))
        widths = [max(len(row[column]) for row in cells) for column in range(5)]
        lines = [_line(row, widths) for row in cells]
        rule = "-" * len(lines[0])
        return "\n".join([self.name, lines[0], rule, *lines[1:-1], rule, lines[-1], CONVENTION])

    def __str__(self) -> str:
        return self.table()


def summarize(spec: Spec, input_shape: Sequence[int], num_classes: int) -> Summary:
    """Return the layers of `spec` with shapes, parameters and multiply-adds, on images (C, H, W).

    Raises:
        SpecError: the network cannot work on such images.
    """
    steps = infer_shapes(spec, input_shape, num_classes)
    return Summary(spec.name, spec.output, tuple(input_shape), tuple(_row(step) for step in walk(steps)))


def _row(step: Step) -> Row:
    return Row(
        name=step.path,
        kind=step.layer.kind,
        output_shape=step.output_shape,
        parameters=sum(prod(shape) for shape in step.parameter_shapes.values()),
        multiply_adds=step.multiply_adds,
        is_block=isinstance(step.layer, Block),
    )


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    indent = "  " * row.name.count(".")
    parameters = f"{row.parameters:,}" if row.parameters else ""
    multiply_adds = f"{row.multiply_adds:,}" if row.multiply_adds else ""
    return (f"{indent}{row.name}", row.kind, _shape_text(row.output_shape), parameters, multiply_adds)


def _shape_text(shape: Shape) -> str:
    return " x ".join(str(length) for length in shape)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = [cell.ljust(width) for cell, width in zip(cells[:3], widths[:3], strict=True)]
    right = [cell.rjust(width) for cell, width in zip(cells[3:], widths[3:], strict=True)]
    return "  ".join([*left, *right])
