"""What keeps the page closed in itself: the content-security policy, and data inside a script element."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any


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


def script_json(value: Any) -> str:
    """Return `value` as JSON that may stand inside a script element: no `<`, `>` or `&` is left in it.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _source(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
