"""Settings from outside: checked, refused in a line that names the nearest known, kept as YAML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from striate import files
from striate.errors import UserError, unknown_name

Model = TypeVar("Model", bound=BaseModel)


def make(kind: type[Model], settings: dict[str, Any]) -> Model:
    """Return validated settings of the given `kind`.

    Raises:
        UserError: an unknown setting or value, with the nearest known one.
    """
    unknown = [name for name in settings if name not in kind.model_fields]
    if unknown:
        raise UserError(unknown_name("setting", unknown[0], kind.model_fields))
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        raise UserError(_explain(kind, error)) from None


def check_alone(kind: type[BaseModel], settings: dict[str, Any]) -> None:
    """Make sure that each of `settings`, all of the given `kind`, can be, whatever the others are.

    Raises:
        UserError: names the first that cannot.
    """
    try:
        kind.model_validate(settings)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            if found["loc"] and found["loc"][0] in settings:
                raise UserError(_explain_one(kind, found)) from None


def read(path: Path) -> dict[str, Any]:
    """Read the settings written by `write` (a YAML mapping); they are validated by `make`."""
    from striate import yaml_files

    try:
        content = yaml_files.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read settings from {path}: {error}") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no settings: expected lines such as 'model: mynet'.")
    return content


def write(path: Path, config: BaseModel) -> None:
    """Write `config` as YAML, one setting a line, in the order of the class."""
    import yaml

    content = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    files.write_text(path, content)


def _explain(kind: type[BaseModel], error: ValidationError) -> str:
    """Turn pydantic's findings into one line."""
    return _explain_one(kind, error.errors(include_url=False)[0])


def _explain_one(kind: type[BaseModel], found: Mapping[str, Any]) -> str:
    """Return a finding of pydantic's as a line: setting, what came, what was expected."""
    name = str(found["loc"][0]).replace("_", "-") if found["loc"] else ""
    if found["type"] == "missing":
        return f"{name} is missing: expected {kind.model_fields[str(found['loc'][0])].description}."
    if found["type"] == "literal_error":
        known = found["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return unknown_name(name, found["input"], known)
    if found["type"] == "value_error":
        return f"{name}: {found['ctx']['error']}".removeprefix(": ")
    expected = found["msg"].removeprefix("Input should be ").split(", unable")[0]
    expected = f"a number {expected}" if expected.startswith(("greater", "less")) else expected
    return f"{name} is {found['input']!r}: expected {expected}."
