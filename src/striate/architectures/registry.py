"""Finding a network: a name of the zoo with options, or a YAML file of one's own."""

from __future__ import annotations

import inspect
import math
import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from striate.architectures.arguments import LARGEST
from striate.architectures.spec import Spec
from striate.architectures.yaml_text import MAX_CHARACTERS
from striate.architectures.zoo import NETS
from striate.errors import SpecError, unknown_name

NO_OPTIONS: Mapping[str, object] = MappingProxyType({})
TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")


def names() -> list[str]:
    """Return the names of the zoo, in the order of its list."""
    return list(NETS)


def describe(name: str) -> str:
    """Return one line on a net of the zoo."""
    return (inspect.getdoc(_net(name).layers) or "").partition("\n")[0]


def option_names(name: str) -> dict[str, Any]:
    """Return the options of a net of the zoo with their defaults."""
    parameters = inspect.signature(_net(name).layers).parameters
    return {option: parameter.default for option, parameter in parameters.items()}


def load_spec(name_or_path: str | Path, options: Mapping[str, object] = NO_OPTIONS) -> Spec:
    """Return the spec of a net of the zoo, or the one written in a YAML file.

    Args:
        name_or_path: a name of the zoo, or a path that ends in .yaml or .yml or is a file.
        options: of a zoo net; texts are converted to the type of the option's default.

    Raises:
        SpecError: no such net, file or option, or one that cannot be.
    """
    text = str(name_or_path)
    path = Path(text)
    if text not in NETS and (path.suffix.lower() in (".yaml", ".yml") or os.path.isfile(text)):
        if options:
            raise SpecError(
                f"{text} is a file and takes no options, got {', '.join(options)}; change the file."
            )
        return read_spec(path)
    net = _net(text)
    return Spec(net.name, tuple(net.layers(**_convert_options(text, options))), net.output)


def read_spec(path: Path) -> Spec:
    """Return the spec in a YAML file; the file's name serves where it gives none.

    Raises:
        SpecError: the file cannot be read or describes no network.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_CHARACTERS + 1)
    except UnicodeDecodeError as error:
        raise SpecError(f"cannot read {path}: it is no UTF-8 text.") from error
    except (OSError, ValueError) as error:  # ValueError: no path at all, such as one with a null character
        raise SpecError(f"cannot read {str(path)!r}: {error}.") from error
    try:
        return Spec.from_yaml(text, name=path.stem[:100])
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def _net(name: str) -> Any:
    if name not in NETS:
        raise SpecError(f"{unknown_name('model', name, NETS)} Or give the path of a .yaml file.")
    return NETS[name]


def _convert_options(name: str, options: Mapping[str, object]) -> dict[str, Any]:
    defaults = option_names(name)
    hints = get_type_hints(_net(name).layers)
    converted = {}
    for option, value in options.items():
        if option not in defaults:
            known = (
                unknown_name(f"option of {name}", option, defaults) if defaults else f"{name} has no options."
            )
            raise SpecError(known)
        converted[option] = _convert(f"option {option} of {name}", value, hints[option])
    return converted


def _convert(what: str, value: object, kind: Any) -> Any:
    """Return `value` as the type `kind` (bool, int, float or a Literal of texts)."""
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise SpecError(unknown_name(f"value for {what}:", value, get_args(kind)))
        return value
    if kind is bool:
        return _to_bool(what, value)
    expected = "a whole number" if kind is int else "a number"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SpecError(f"{what} is {reprlib.repr(value)}; expected {expected}.")
    try:
        number = kind(value)
    except (ValueError, OverflowError):
        raise SpecError(f"{what} is {reprlib.repr(value)}; expected {expected}.") from None
    if (
        not math.isfinite(number)
        or not 0 <= number <= LARGEST
        or (isinstance(value, float) and number != value)
    ):
        raise SpecError(f"{what} is {reprlib.repr(value)}; expected {expected} from 0 to {LARGEST}.")
    return number


def _to_bool(what: str, value: object) -> bool:
    text = str(value).lower()
    if text not in TRUE + FALSE:
        raise SpecError(f"{what} is {reprlib.repr(value)}; expected true or false.")
    return text in TRUE
