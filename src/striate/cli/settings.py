"""Command-line options made from the definitions of the settings, so that each is described once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.markup import escape

from striate.cli.text import has_frames
from striate.config import DataConfig, TransferConfig
from striate.errors import UserError

_REPEATABLE = "model_options"
_PANELS: dict[str, type[BaseModel]] = {"Data": DataConfig, "Network and what learns": TransferConfig}
"""Headings of the help, and the settings under each."""
_NUMBERS = {int: "INTEGER", float: "NUMBER"}


def with_settings(
    kind: type[BaseModel], without: Collection[str] = ("data",)
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each setting of `kind` but those `without`, such as its arguments.

    The command's parameter `settings` receives those that were given, as text: they are validated in one
    place, with the rest of the settings.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters.values()
        fields = {name: field for name, field in kind.model_fields.items() if name not in without}

        @functools.wraps(command)
        def wrapper(**values: Any) -> None:
            settings = {name: values.pop(name) for name in fields}
            command(**values, settings=_given(settings))

        parameters = [parameter for parameter in own if parameter.name != "settings"]
        parameters += [_parameter(name, field) for name, field in fields.items()]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return wrapper

    return decorate


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    option = f"--{name.replace('_', '-')}"
    panel = next((title for title, kind in _PANELS.items() if name in kind.model_fields), "Training")
    text = f"{field.description} {_shown_default(field)}".strip()
    kind: Any
    if name == _REPEATABLE:
        kind, declared = list[str] | None, typer.Option("--model-option", metavar="KEY=VALUE", help=text)
    elif field.annotation is bool:
        kind, declared = bool | None, typer.Option(f"{option}/--no{option[1:]}", help=text)
    else:
        kind, declared = str | None, typer.Option(option, metavar=_metavar(field), help=text)
    declared.rich_help_panel = panel
    declared.show_default = False
    annotation = Annotated[kind, declared]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _shown_default(field: FieldInfo) -> str:
    shown = field.default not in (None, False, {}) or field.default == 0.0
    text = f"[{field.default}]" if shown and field.annotation is not bool else ""
    return escape(text) if has_frames() else text


def _metavar(field: FieldInfo) -> str:
    """Return what stands behind an option in the help: its choices, or the kind of value."""
    kinds = get_args(field.annotation) if get_origin(field.annotation) is not Literal else ()
    if not kinds:
        choices = get_args(field.annotation)
        return "|".join(map(str, choices)) if choices else _NUMBERS.get(field.annotation, "TEXT")  # type: ignore[arg-type]
    return next((_NUMBERS[kind] for kind in kinds if kind in _NUMBERS), "TEXT")


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were given, lists and pairs taken apart."""
    given = {name: value for name, value in values.items() if value is not None and value != []}
    if _REPEATABLE in given:
        given[_REPEATABLE] = pairs(given[_REPEATABLE])
    return given


def pairs(texts: Iterable[str]) -> dict[str, str]:
    """Return what `--model-option KEY=VALUE`, repeated, says."""
    return dict(_pair(text) for text in texts)


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UserError(f"--model-option {text!r}: expected KEY=VALUE, as in --model-option hidden=20.")
    return key.strip(), value.strip()
