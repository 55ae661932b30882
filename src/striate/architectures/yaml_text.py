"""Reading YAML that is not trusted, and writing it with one layer a line."""

from __future__ import annotations

from typing import Any

import yaml

from striate.errors import SpecError

MAX_CHARACTERS = 200_000
MAX_NESTING = 64


class _Loader(yaml.SafeLoader):
    """SafeLoader without what makes small files large (aliases) or ambiguous (a key given twice)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.nesting = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise SpecError(f"line {line}: a network's YAML takes no aliases (*{event.anchor}).")
        if getattr(event, "tag", None) is not None:
            raise SpecError(f"line {line}: a network's YAML takes no tags ({event.tag}).")
        if self.nesting >= MAX_NESTING:
            raise SpecError(f"a network's YAML is nested more than {MAX_NESTING} deep.")
        self.nesting += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.nesting -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise SpecError(f"{min(twice)!r} is given twice in one place of a network's YAML.")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


class _Dumper(yaml.SafeDumper):
    """SafeDumper that indents lists under their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


class _Line(dict[str, Any]):
    """A mapping that is written on one line."""


_Dumper.add_representer(
    _Line, lambda dumper, line: dumper.represent_mapping("tag:yaml.org,2002:map", line, flow_style=True)
)


def load(text: str) -> Any:
    """Return the plain values of YAML `text`.

    Raises:
        SpecError: it is no YAML, or too large or deep, or has aliases, tags or doubled keys.
    """
    if len(text) > MAX_CHARACTERS:
        raise SpecError(f"a network's YAML has {len(text)} characters; at most {MAX_CHARACTERS} are read.")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise SpecError(f"not valid YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:  # scalars that look like a number or a date and are none
        if isinstance(error, SpecError):
            raise
        raise SpecError(f"not valid YAML: {error}") from None


def dump(content: dict[str, Any]) -> str:
    """Return plain values as YAML: the arguments of each layer on its line, blocks opened up."""
    return yaml.dump(
        _arrange(content),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=1_000,
        default_flow_style=False,
    )


def _arrange(value: Any) -> Any:
    """Return `value` with mappings that hold no further layers on one line."""
    if isinstance(value, dict):
        opened = {"layers", "shortcut", "branches"} & set(value)
        arranged = {key: _arrange(one) for key, one in value.items()}
        holds_block = any(isinstance(one, dict) and not isinstance(one, _Line) for one in arranged.values())
        is_layer = len(value) == 1 and isinstance(next(iter(value.values())), dict)
        return arranged if opened or holds_block or is_layer else _Line(arranged)
    if isinstance(value, list):
        return [_arrange(one) for one in value]
    return value
