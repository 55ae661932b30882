"""A network in numbers: layers, output shapes, parameters, multiply-adds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from striate.errors import UserError

if TYPE_CHECKING:
    from striate.architectures import Summary


def summary(
    model: str | os.PathLike[str],
    *,
    input: str | Sequence[int] = (3, 32, 32),
    num_classes: int = 10,
    model_options: Mapping[str, Any] | None = None,
) -> Summary:
    """Return the summary of a network; `print` shows it as a table.

    Args:
        model: name of a network, or path of a net.yaml.
        input: (C, H, W), or the same as text, "3,32,32".
        num_classes: K.
        model_options: options of the network.

    Raises:
        SpecError: no such network or option, or one that cannot work on this input.
    """
    from striate.architectures import load_spec, summarize

    spec = load_spec(os.fspath(model), dict(model_options or {}))
    return summarize(spec, _input_shape(input), num_classes)


def _input_shape(value: str | Sequence[int]) -> tuple[int, int, int]:
    parts = value.replace("x", ",").split(",") if isinstance(value, str) else value
    try:
        channels, height, width = (int(part) for part in parts)
    except ValueError:
        raise UserError(f"input is {value!r}: expected channels,height,width, as in 3,32,32.") from None
    if min(channels, height, width) < 1:
        raise UserError(f"input is {value!r}: expected numbers of at least 1.")
    return channels, height, width
