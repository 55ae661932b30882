"""Small SVG drawings as text: scales, ticks and elements whose looks the page's style sheet decides.

Only classes are written, no colours, so that one drawing serves light, dark and print.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from striate.evaluation.wording import shorten


@dataclass(frozen=True)
class Scale:
    """Maps `low` to `start` and `high` to `end` (units of the drawing), linearly.

    A span of zero is widened, so that a single value lies in the middle.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where `value` lies."""
        low, high = (self.low, self.high) if self.high > self.low else (self.low - 0.5, self.low + 0.5)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return at most `most` round numbers (1, 2, 2.5 or 5 times a power of ten apart) in [low, high]."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power * factor for factor in (1, 2, 2.5, 5, 10, 20)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            return [round(index * step, 12) for index in range(first, last + 1)]
    return [low, high]


def whole_ticks(low: int, high: int, most: int = 6) -> list[int]:
    """Return at most `most` round whole numbers in [low, high]."""
    return sorted({int(value) for value in ticks(low, high, most) if value == int(value)} or {low})


def element(name: str, content: str | None = None, **attributes: object) -> str:
    """Return an element; `class_` is written as `class`, an underscore as a hyphen, and None left out.

    Args:
        name: of the element.
        content: SVG text that stands inside as it is; without it the element is empty.
        attributes: numbers are rounded to two decimals, texts escaped.
    """
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{words}/>" if content is None else f"<{name}{words}>{content}</{name}>"


def text(words: str, x: float, y: float, class_: str | None = None, anchor: str | None = None) -> str:
    """Return a line of text at (x, y), escaped and without control characters."""
    content = html.escape(shorten(words, 200))
    return element("text", content, x=x, y=y, class_=class_, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """Return a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def polyline(points: Iterable[tuple[float, float]], class_: str) -> str:
    """Return a line through `points`; one that is not finite leaves a gap."""
    pieces, pen = [], "M"
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            pen = "M"
            continue
        pieces.append(f"{pen}{_number(x)} {_number(y)}")
        pen = "L"
    return element("path", d="".join(pieces), class_=class_)


def polygon(points: Iterable[tuple[float, float]], class_: str) -> str:
    """Return the area within `points`."""
    corners = "L".join(f"{_number(x)} {_number(y)}" for x, y in points)
    return element("path", d=f"M{corners}Z", class_=class_)


def drawing(
    width: float, height: float, content: Sequence[str], description: str, class_: str | None = None
) -> str:
    """Return a whole drawing that a screen reader reads as one image with `description`."""
    return element(
        "svg",
        "".join(content),
        viewBox=f"0 0 {_number(width)} {_number(height)}",
        class_=class_,
        role="img",
        aria_label=description,
    )


def _attribute(value: object) -> str:
    if isinstance(value, float):
        return _number(value)
    return html.escape(str(value))


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"
