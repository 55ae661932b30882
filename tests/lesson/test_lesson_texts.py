"""All words of the page stand in one table."""

from __future__ import annotations

import json
import re
from importlib import resources

from striate.lesson.graph import KINDS

STATIC = resources.files("striate.lesson") / "static"
TEXTS = json.loads((STATIC / "texts.json").read_text(encoding="utf-8"))


def source() -> str:
    return "\n".join(
        file.read_text(encoding="utf-8") for file in STATIC.iterdir() if file.name != "texts.json"
    )


def test_every_text_that_is_asked_for_is_there():
    asked = set(re.findall(r"say\(\s*[\"']([\w.]+\w)[\"']", source()))
    assert len(asked) > 100
    assert asked <= set(TEXTS)


def test_every_kind_of_layer_is_explained():
    missing = [kind for kind in KINDS if f"net.{kind}" not in TEXTS]
    assert missing == []
