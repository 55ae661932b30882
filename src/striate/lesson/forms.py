"""What the pages are made of: the files of `static/`, the table of words, and what fills in the forms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from striate.offline_page import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def static(name: str) -> str:
    """Return the text of a file in `static/`."""
    return (resources.files("striate.lesson") / "static" / name).read_text(encoding="utf-8")


def read_texts() -> dict[str, str]:
    """Return the table of all words, by key."""
    texts: dict[str, str] = json.loads(static("texts.json"))
    return texts


def environment(texts: Mapping[str, str]) -> Environment:
    """Return what renders the forms: everything escaped, and a name that is missing is an error."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup, escape

    def say(key: str, **values: Any) -> Markup:
        return Markup(escape(texts[key])).format(**values)

    def word(key: str) -> Markup:
        """A word in the colour of what it means."""
        role = "picture" if key == "pixel" else key
        return Markup('<b class="as-{}">{}</b>').format(role, texts[f"word.{key}"])

    environment = Environment(
        loader=FunctionLoader(static),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=printable,
    )
    environment.globals.update(say=say, word=word)
    return environment
