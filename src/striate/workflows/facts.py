"""What `run.json` says of the network; the report reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.architectures import Summary


def of_network(numbers: Summary) -> dict[str, Any]:
    """Return name, output, input shape, parameters and multiply-adds as plain values."""
    return {
        "name": numbers.name,
        "output": numbers.output,
        "input_shape": list(numbers.input_shape),
        "parameters": numbers.parameters,
        "multiply_adds": numbers.multiply_adds,
    }
