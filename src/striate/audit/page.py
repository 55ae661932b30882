"""The audit's page: what was found, with pictures, and a mark for each image that one saves as a table."""

from __future__ import annotations

import base64
import functools
import io
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from PIL import Image

from striate.audit.duplicates import Group, Pair
from striate.audit.findings import Findings
from striate.audit.reading import Images
from striate.data import decode
from striate.data.parallel import each
from striate.errors import DataError
from striate.offline_page import policy, printable, script_json
from striate.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

SHOWN_GROUPS = 300
"""So many groups of duplicates stand on the page; the tables hold all."""
SHOWN_OF_GROUP = 24
SHOWN_DOUBTS = 120
SHOWN_OUTLIERS = 60
SHOWN_NEAR = 60
_SIDE = 128
"""Longest side of a picture on the page, in pixels."""
_TINY = 40
"""A picture no larger than this is kept pixel by pixel."""
_QUALITY = 80


@dataclass(frozen=True)
class Card:
    """One image on the page.

    Attributes:
        path: of the image; `file`: its last part.
        split: as the data gives it; empty where it gives none.
        label: its class.
        notes: what was found, in a few words each.
        picture: data URI; empty where it cannot be read any more.
        relabel: the class that is suggested; empty: none.
        coarse: whether the picture has so few pixels that they are shown as such.
    """

    path: str
    file: str
    split: str
    label: str
    notes: tuple[str, ...]
    picture: str
    relabel: str = ""
    coarse: bool = False


def render(findings: Findings) -> str:
    """Return the page as HTML text."""
    style, script = _file("audit.css"), _file("audit.js")
    groups = [(group, _cards_of(findings, group)) for group in findings.groups[:SHOWN_GROUPS]]
    classes = sorted(set(findings.images.labels))
    return (
        _environment()
        .get_template("audit.html.j2")
        .render(
            findings=findings,
            images=findings.images,
            facts=findings.facts(),
            sentences=findings.sentences(),
            groups=groups,
            hidden_groups=len(findings.groups) - len(groups),
            doubts=_doubts(findings),
            outliers=_outliers(findings),
            near=_near(findings),
            classes=classes,
            style=style,
            script=script,
            policy=policy(style, script),
            page_data=script_json(_page_data(findings, classes)),
            version=__version__,
            of_group=SHOWN_OF_GROUP,
        )
    )


def _page_data(findings: Findings, classes: list[str]) -> dict[str, Any]:
    """Return what the page's script reads; the suggestions name images that are not shown, too."""
    dropped = [findings.images.paths[number] for number in findings.suggestions()]
    return {"classes": classes, "file": f"{findings.images.name}-marks.csv", "drop": dropped}


def _cards_of(findings: Findings, group: Group) -> list[Card]:
    found = {pair.first: pair for pair in group.pairs}
    numbers = list(group.members[:SHOWN_OF_GROUP])
    pictures = _pictures(findings.images, numbers)
    cards = []
    for number in numbers:
        pair = found.get(number)
        notes: tuple[str, ...] = (
            () if pair is None else (pair.kind, f"{min(pair.similarity, 0.9999):.1%} alike")
        )
        if pair is not None and pair.similarity == 1:
            notes = (pair.kind,)
        cards.append(_card(findings.images, number, pictures[number], notes))
    return cards


def _notes(pair: Pair) -> tuple[str, ...]:
    """Return what was done to a copy, and how alike it is; a copy to the pixel needs no number."""
    return (pair.kind,) if pair.similarity == 1 else (pair.kind, f"{min(pair.similarity, 0.999):.1%} alike")


def _doubts(findings: Findings) -> list[Card]:
    doubts = (findings.doubts or ())[:SHOWN_DOUBTS]
    pictures = _pictures(findings.images, [doubt.number for doubt in doubts])
    return [
        _card(
            findings.images,
            doubt.number,
            pictures[doubt.number],
            (f"looks like {doubt.suggested}", f"its own class has {doubt.score:.1%}"),
            relabel=doubt.suggested,
        )
        for doubt in doubts
    ]


def _outliers(findings: Findings) -> list[Card]:
    outliers = (findings.outliers or ())[:SHOWN_OUTLIERS]
    pictures = _pictures(findings.images, [outlier.number for outlier in outliers])
    return [
        _card(
            findings.images, outlier.number, pictures[outlier.number], (f"{outlier.distance:.1f} deviations",)
        )
        for outlier in outliers
    ]


def _near(findings: Findings) -> list[list[Card]]:
    pairs = findings.near[:SHOWN_NEAR]
    pictures = _pictures(findings.images, sorted({number for pair in pairs for number in pair}))
    return [[_card(findings.images, number, pictures[number], ()) for number in pair] for pair in pairs]


def _card(images: Images, number: int, picture: bytes | None, notes: tuple[str, ...], **more: Any) -> Card:
    path = images.paths[number]
    kind = "png" if picture is not None and picture.startswith(b"\x89PNG") else "jpeg"
    shown = "" if picture is None else f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
    return Card(
        path=path,
        file=PurePath(path).name or path,
        split=images.splits[number],
        label=images.labels[number],
        notes=notes,
        picture=shown,
        coarse=kind == "png",
        **more,
    )


def _pictures(images: Images, numbers: list[int]) -> dict[int, bytes | None]:
    """Return JPEG, or PNG of tiny images, by number; None for an image that cannot be read any more."""
    with decode.quiet():
        drawn = list(each(functools.partial(_picture, images), numbers, "drawing pictures", None))
    return dict(zip(numbers, drawn, strict=True))


def _picture(images: Images, number: int) -> bytes | None:
    try:
        image = images.open(number, _SIDE)
    except DataError:
        return None
    buffer = io.BytesIO()
    if max(image.size) <= _TINY:
        image.save(buffer, "PNG")
    else:
        image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("striate.audit"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=printable,
    )
    environment.filters.update(count="{:,}".format, percent="{:.1%}".format)
    return environment


def _file(name: str) -> str:
    folder = resources.files("striate.audit") / "templates"
    return (folder / name).read_text(encoding="utf-8").strip()
