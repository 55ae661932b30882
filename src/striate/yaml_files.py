"""YAML that is not trusted: nothing is built from tags, and no key may be given twice."""

from __future__ import annotations

from typing import Any

import yaml

MAX_CHARACTERS = 1_000_000
"""Of a file with settings, which takes some hundred; a longer one is not parsed, which could take minutes."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, of which it would take the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value!r} is given twice", key.start_mark
                    )
                seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def parse(text: str) -> Any:
    """Return what the YAML in `text` holds.

    Raises:
        ValueError: it is not valid, or longer than `MAX_CHARACTERS`; the message is one line.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"it has {len(text)} characters; at most {MAX_CHARACTERS} are read")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
