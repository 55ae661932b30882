"""A network in numbers: layers, output shapes, parameters, multiply-adds; and what of it learns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from striate import config
from striate.config import TransferConfig
from striate.errors import UserError

if TYPE_CHECKING:
    from striate.architectures import Summary
    from striate.backbones import Model, ParameterTable

DEFAULT_INPUT = (3, 32, 32)
"""Of networks that have no input of their own."""


def summary(
    model: str | os.PathLike[str],
    *,
    input: str | Sequence[int] | None = None,
    num_classes: int = 10,
    model_options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Summary | ParameterTable:
    """Return the summary of a network, or with a `strategy` what of it learns; `print` shows a table.

    Args:
        model: name of a network, or path of a net.yaml.
        input: (C, H, W), or the same as text, "3,32,32"; None: what a pretrained network was trained on, for
            others 3,32,32.
        num_classes: K.
        model_options: options of the network.
        settings: those of `striate.config.TransferConfig`: `strategy="partial"`, `freeze="0.75"`, the head's.

    Raises:
        SpecError: no such network or option, or one that cannot work on this input.
        UserError: a setting that does not fit.
    """
    from striate.backbones import STRATEGIES, find, head_of, options_of, tabulate

    given = {"model": os.fspath(model), "model_options": dict(model_options or {}), **settings}
    chosen = config.make(TransferConfig, given)
    shape = None if input is None else parse_input_shape(input)
    found = find(
        chosen.model,
        chosen.model_options,
        head=head_of(chosen),
        size=None if shape is None else shape[1:],
    )
    shape = shape or _own_input(found)
    if chosen.strategy not in STRATEGIES:
        return found.summarize(shape, num_classes)
    return tabulate(found.layout(shape, num_classes), chosen.strategy, options_of(chosen))


def _own_input(model: Model) -> tuple[int, int, int]:
    own = model.preprocessing
    return DEFAULT_INPUT if own is None else (3, *own.size)


def parse_input_shape(value: str | Sequence[int]) -> tuple[int, int, int]:
    """Return (C, H, W) for numbers or text; a `UserError` says what was expected."""
    parts = value.replace("x", ",").split(",") if isinstance(value, str) else value
    try:
        channels, height, width = (int(part) for part in parts)
    except ValueError:
        raise UserError(f"input is {value!r}: expected channels,height,width, as in 3,32,32.") from None
    if min(channels, height, width) < 1:
        raise UserError(f"input is {value!r}: expected numbers of at least 1.")
    return channels, height, width
