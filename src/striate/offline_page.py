"""What every page that Striate writes has in common: it is one file, closed in itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

_UNSAFE = re.compile("[<>&\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""What could end a script element or a line of JavaScript, or is not allowed in HTML."""


@dataclass(frozen=True)
class Fragment:
    """A part of a page that another room made, closed in itself.

    Attributes:
        title: of the part, for a list of contents.
        anchor: id of its heading.
        html: its markup, with everything in it escaped.
        style: its rules; they may use the colours of the page.
        script: what runs it; it leaves no name behind in the page.
    """

    title: str
    anchor: str
    html: str
    style: str
    script: str


def policy(style: str, script: str) -> str:
    """Return the content-security policy of a page with just these inline contents.

    Nothing is fetched, framed, submitted or run but `script`; images come from `data:` alone.
    Source: Content Security Policy Level 3, section 8.4 (hashes of inline elements).
    """
    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src {_source(style)}",
            f"script-src {_source(script)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def script_json(data: Any) -> str:
    """Return `data` as JSON that may stand in a `<script type="application/json">` of a page in UTF-8.

    `<`, `>`, `&`, line separators and what HTML cannot hold are written as escapes, so that no name can end
    the element; `JSON.parse` gives every text back as it was.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def printable(value: Any) -> Any:
    """Leave out of a text what HTML cannot hold: control characters and halves of surrogate pairs."""
    if type(value) is not str or value.isprintable():
        return value
    kept = "".join(letter for letter in value if letter in "\n\t" or not _unprintable(letter))
    return kept.encode("utf-8", "replace").decode("utf-8")


def _unprintable(letter: str) -> bool:
    code = ord(letter)
    return code < 32 or 127 <= code < 160 or (code & 0xFFFE) == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def _source(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
