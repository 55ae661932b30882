"""What a trust card says in one line, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.explain.trust.measures import Measures

EVIDENCE = 0.05
ODDS = 10.0
"""The picture must raise the probability of the class by `EVIDENCE` and its odds so many times, or there is
nothing to explain."""
UNCHANGED = 0.7
"""A map this much like those of a network with random weights does not depend on them."""
HIDDEN = 0.5
ALONE = 0.4
"""The border decides if no more of the score than `HIDDEN` is left without it, and it alone gives `ALONE`."""
BORDER_TIMES = 1.7
"""This many times its share of the area, the border holds most of a map."""
GAIN, CLEAR_GAIN = 0.1, 0.3
"""A gain over random maps below the first is none; from the second on, no random map in twelve had it."""
GOOD, WEAK, BAD = "good", "weak", "bad"


@dataclass(frozen=True)
class Verdict:
    """Whether a map may be trusted.

    Attributes:
        level: `GOOD`, `WEAK` or `BAD`.
        text: one line.
        reasons: every check that failed, in words; empty for a good card.
    """

    level: str
    text: str
    reasons: tuple[str, ...]


def judge(measures: Measures) -> Verdict:
    """Return the verdict on a map."""
    failed = [(level, text) for level, check in CHECKS if (text := check(measures))]
    bad = [text for level, text in failed if level == BAD]
    reasons = tuple(text for _, text in failed)
    if bad:
        return Verdict(BAD, f"Do not trust this map: {bad[0]}.", reasons)
    if reasons:
        return Verdict(WEAK, f"Take this map with care: {reasons[0]}.", reasons)
    return Verdict(GOOD, f"This map can be trusted: {_praise(measures)}.", reasons)


def _praise(measures: Measures) -> str:
    return (
        "it changes with the weights, and hiding what it marks matters more than hiding random regions "
        f"(by {measures.curves.gain:.2f} of the score)"
    )


def _no_evidence(measures: Measures) -> str:
    if measures.evidence >= EVIDENCE and measures.odds >= ODDS:
        return ""
    return (
        "the answer hardly depends on what is on the picture "
        f"(probability {measures.probability:.0%}; {measures.without:.0%} where only its colours are left)"
    )


def _border_decides(measures: Measures) -> str:
    if measures.border_hidden > HIDDEN or measures.border_alone < ALONE:
        return ""
    return (
        f"the network decides by the border (it alone gives {_percent(measures.border_alone)} of the score; "
        f"without it {_percent(measures.border_hidden)} are left)"
    )


def _percent(share: float) -> str:
    return f"{min(max(share, 0), 1):.0%}"


def _unchanged_by(part: str, similarity: Callable[[Measures], float]) -> Callable[[Measures], str]:
    def check(measures: Measures) -> str:
        alike = similarity(measures)
        if alike < UNCHANGED:
            return ""
        return f"it stays the same when {part} gets random weights (similarity {alike:.2f})"

    return check


def _no_gain(measures: Measures) -> str:
    if measures.curves.gain >= GAIN:
        return ""
    return "hiding what it marks matters no more than hiding random regions"


def _not_clear(measures: Measures) -> str:
    curves = measures.curves
    if curves.gain < GAIN or (curves.gain >= CLEAR_GAIN and curves.spread > curves.random_spreads.max()):
        return ""
    if curves.gain >= CLEAR_GAIN:
        return "hiding what one of the random maps marks matters as much"
    return (
        "hiding what it marks matters little more than hiding random regions "
        f"(by {curves.gain:.2f} of the score)"
    )


def _on_border(measures: Measures) -> str:
    if measures.border_share < BORDER_TIMES * measures.border_area:
        return ""
    return (
        f"{measures.border_share:.0%} of it lies on the border, "
        f"which is {measures.border_area:.0%} of the image"
    )


CHECKS: tuple[tuple[str, Callable[[Measures], str]], ...] = (
    (BAD, _no_evidence),
    (BAD, _border_decides),
    (BAD, _unchanged_by("the head", lambda measures: measures.head_similarity)),
    (BAD, _unchanged_by("the deepest block", lambda measures: measures.block_similarity)),
    (BAD, _no_gain),
    (WEAK, _not_clear),
    (WEAK, _on_border),
)
"""What a map is asked, the weightiest first; each returns what is wrong, or nothing."""
