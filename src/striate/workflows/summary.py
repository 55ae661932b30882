"""A network in numbers: layers, output shapes, parameters, multiply-adds; and what of it learns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import config
from striate.config import TransferConfig
from striate.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from striate.architectures import Spec, Summary
    from striate.backbones import BackboneSpec, Model, ParameterTable

Shape = tuple[int, int, int]

DEFAULT_INPUT = (3, 32, 32)
"""Of networks that have no input of their own."""
DEFAULT_CLASSES = 10


def summary(
    model: str | os.PathLike[str] | nn.Module,
    *,
    input: str | Sequence[int] | None = None,
    num_classes: int | None = None,
    model_options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Summary | ParameterTable:
    """Return the summary of a network, or with a `strategy` what of it learns; `print` shows a table.

    Args:
        model: name of a network, path of a net.yaml, folder of a bundle or run, or any torch module, through
            which one blank image goes.
        input: (C, H, W), or the same as text, "3,32,32"; None: what a pretrained network or a bundle was
            trained on, for others 3,32,32. A torch module needs it.
        num_classes: K; by default 10. Bundles and torch modules have their own.
        model_options: options of the network.
        settings: those of `striate.config.TransferConfig`: `strategy="partial"`, `freeze="0.75"`, the head's.

    Raises:
        SpecError: no such network or option, or one that cannot work on this input.
        UserError: a setting that does not fit.
    """
    from striate.backbones import STRATEGIES, find, head_of, options_of, tabulate

    shape = None if input is None else parse_input_shape(input)
    if not isinstance(model, str | os.PathLike):
        return _of_module(
            model, shape, {"num_classes": num_classes, "model_options": model_options, **settings}
        )
    given = {"model": os.fspath(model), "model_options": dict(model_options or {}), **settings}
    chosen = config.make(TransferConfig, given)
    if Path(model).is_dir():
        found, shape, num_classes = _of_folder(Path(model), shape, num_classes, given)
    else:
        size = None if shape is None else shape[1:]
        found = find(chosen.model, chosen.model_options, head=head_of(chosen), size=size)
        num_classes = DEFAULT_CLASSES if num_classes is None else num_classes
    shape = shape or _own_input(found)
    if chosen.strategy not in STRATEGIES:
        return found.summarize(shape, num_classes)
    return tabulate(found.layout(shape, num_classes), chosen.strategy, options_of(chosen))


def of_bundle(folder: Path, given: Shape | None) -> tuple[Spec | BackboneSpec, Shape, int]:
    """Return the description in a bundle, or in that of a run, with its input and its number of classes.

    Raises:
        UserError: there is none, or `given` is another input than its own.
    """
    from striate import bundle
    from striate.backbones.models import description_of

    record = bundle.read_record(folder)
    shape = record.preprocess.input_shape
    if given is not None and given != shape:
        raise UserError(f"{folder} holds a network for images of {shape}, not {given}; leave out --input.")
    return description_of(record.spec, record.backbone), shape, len(record.class_names)


def _of_folder(
    folder: Path, shape: Shape | None, num_classes: int | None, given: Mapping[str, Any]
) -> tuple[Model, Shape, int]:
    """Return the network of a bundle; its layers stand, so settings of others are refused."""
    from striate.backbones import Model

    description, own, count = of_bundle(folder, shape)
    unused = [name for name, value in given.items() if value and name in _OF_LAYERS]
    if unused:
        raise UserError(f"{folder} holds a network with its layers: leave out {', '.join(unused)}.")
    if num_classes not in (None, count):
        raise UserError(f"{folder} holds a network for {count} classes, not {num_classes}; leave them out.")
    return Model(description), own, count


_OF_LAYERS = ("model_options", "head", "head_hidden", "head_dropout", "head_output", "first_layer")


def _of_module(network: Any, shape: Shape | None, given: Mapping[str, Any]) -> Summary:
    """Return the summary of a torch module, which nothing else goes with."""
    from torch import nn

    if not isinstance(network, nn.Module):
        raise TypeError(f"model is {type(network).__name__}; expected a name, a path or a torch module.")
    unused = [name for name, value in given.items() if value is not None]
    if unused:
        raise UserError(f"a torch module is taken as it is: leave out {', '.join(unused)}.")
    if shape is None:
        raise UserError("a torch module says nothing of its images: give input=(3, 224, 224), say.")
    from striate.backbones.building import summarize_module

    return summarize_module(network, shape)


def _own_input(model: Model) -> tuple[int, int, int]:
    own = model.preprocessing
    return DEFAULT_INPUT if own is None else (3, *own.size)


def parse_input_shape(value: str | Sequence[int]) -> tuple[int, int, int]:
    """Return (C, H, W) for numbers or text; a `UserError` says what was expected."""
    parts = value.replace("x", ",").split(",") if isinstance(value, str) else value
    try:
        channels, height, width = (int(part) if isinstance(part, str) else index(part) for part in parts)
    except (TypeError, ValueError):
        raise UserError(f"input is {value!r}: expected channels,height,width, as in 3,32,32.") from None
    if min(channels, height, width) < 1:
        raise UserError(f"input is {value!r}: expected numbers of at least 1.")
    return channels, height, width
