"""The page of robustness: a chart a distortion, with a picture at each of its levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from striate.evaluation import wording as numbers
from striate.evaluation.gallery import data_uri
from striate.evaluation.report import svg
from striate.evaluation.report.page import environment, template
from striate.evaluation.report.svg import Scale
from striate.evaluation.study import wording
from striate.evaluation.study.robustness import listed, remarks, sentences
from striate.offline_page import policy, script_json
from striate.version import __version__

COLOURS = 6
"""Models beyond share the colours of the first ones; their names at the curves' ends tell them apart."""
_WIDTH, _HEIGHT = 440, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 104, 10, 42


def render(
    result: Mapping[str, Any],
    pictures: Mapping[str, Sequence[bytes]],
    data: str,
    messages: Sequence[str] = (),
) -> str:
    """Return the page as HTML text.

    Args:
        result: of `robustness.describe`.
        pictures: distortion -> a PNG file for each of its levels.
        data: name of the images.
        messages: what else must be known.
    """
    style = "\n".join(template(name) for name in ("report.css", "comparison.css", "robustness.css"))
    script = "\n".join(template(name) for name in ("report.js", "robustness.js"))
    found = environment()
    found.filters.update(points=wording.points, reach=wording.interval, p=wording.probability)
    return found.get_template("robustness.html.j2").render(
        result=result,
        data=data,
        headline=_headline(result),
        findings=sentences(result),
        messages=[*remarks(result), *messages],
        sections=[_section(course, pictures.get(course["name"], ())) for course in result["distortions"]],
        style=style,
        script=script,
        policy=policy(style, script),
        page_data=script_json({}),
        version=__version__,
    )


def _headline(result: Mapping[str, Any]) -> str:
    """Say what one model stands least, which of two stands more, or which of several loses least of what."""
    names, courses = result["models"], result["distortions"]
    if len(names) == 2:
        return sentences(result)[0]
    if len(names) == 1:
        worst = max(courses, key=lambda course: float(course["curves"][0]["loss"]["value"]))
        lost = wording.points(worst["curves"][0]["loss"]["value"], sign=False)
        return (
            f"Of {len(courses)} distortions, '{names[0]}' stands {worst['name']} least: {lost} points lost."
        )
    least: dict[str, list[str]] = {}
    for course in courses:
        best = min(course["curves"], key=lambda curve: float(curve["loss"]["value"]))
        least.setdefault(best["model"], []).append(course["name"])
    parts = [f"'{name}' under {listed(found)}" for name, found in least.items()]
    return f"Least is lost by {'; by '.join(parts)}."


def _section(course: Mapping[str, Any], pictures: Sequence[bytes]) -> dict[str, Any]:
    levels = [point["level"] for point in course["curves"][0]["points"]]
    return {
        "course": course,
        "chart": _chart(course, levels),
        "pictures": [
            {"level": f"{level:g}", "picture": data_uri(content)}
            for level, content in zip(levels, pictures, strict=True)
        ]
        if pictures
        else [],
    }


def _chart(course: Mapping[str, Any], levels: Sequence[float]) -> str:
    """Draw accuracy against the levels, evenly apart, the unchanged one marked."""
    x = Scale(0, len(levels) - 1, _LEFT + 8, _WIDTH - _RIGHT)
    y = Scale(0.0, 1.0, _HEIGHT - _BOTTOM, _TOP)
    parts = [*_axes(course, levels, x, y)]
    ends = []
    for number, curve in enumerate(course["curves"]):
        look = f"m{number % COLOURS}"
        places = [(x(at), y(point["value"])) for at, point in enumerate(curve["points"])]
        for at, point in enumerate(curve["points"]):
            parts.append(svg.line(x(at), y(point["low"]), x(at), y(point["high"]), f"reach {look}"))
        parts.append(svg.polyline(places, f"line {look}"))
        parts += [svg.element("circle", cx=px, cy=py, r=2.6, class_=f"dot {look}") for px, py in places]
        ends.append((places[-1][1], look, curve["model"]))
    below = y.start + 11
    for place, look, name in sorted(ends, reverse=True):
        below = min(place, below - 15)
        parts.append(svg.text(numbers.shorten(name, 13), x.end + 8, below + 4, f"name {look}"))
    return svg.drawing(_WIDTH, _HEIGHT, parts, _in_words(course), "chart")


def _axes(course: Mapping[str, Any], levels: Sequence[float], x: Scale, y: Scale) -> list[str]:
    parts = []
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(svg.line(_LEFT, y(value), x.end, y(value), "rule"))
        parts.append(svg.text(f"{100 * value:.0f} %", _LEFT - 7, y(value) + 4, "tick", "end"))
    neutral = x(levels.index(course["neutral"]))
    parts.append(svg.line(neutral, y.start, neutral, y.end, "ideal"))
    for at, level in enumerate(levels):
        parts.append(svg.text(f"{level:g}", x(at), y.start + 18, "tick", "middle"))
    parts.append(svg.text(course["unit"], (_LEFT + x.end) / 2, y.start + 36, "label", "middle"))
    return parts


def _in_words(course: Mapping[str, Any]) -> str:
    told = [
        f"{curve['model']}: "
        + ", ".join(f"{point['level']:g} {numbers.percent(point['value'])}" for point in curve["points"])
        for curve in course["curves"]
    ]
    return f"Accuracy under {course['name']}. {'; '.join(told)}."
