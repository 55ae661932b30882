"""Explanations and visualised features as plain values, for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.explain.explanation import Explanation
    from striate.explain.trust import Measures
    from striate.explain.visualisation import Visualised

DIGITS = 4


def facts_of(explanation: Explanation) -> dict[str, Any]:
    """Return everything of an explanation but the pixels: texts, numbers, lists, mappings."""
    card = None
    if explanation.measures is not None and explanation.verdict is not None:
        verdict = explanation.verdict
        card = {"verdict": verdict.level, "text": verdict.text, "reasons": list(verdict.reasons)}
        card |= _measured(explanation.measures)
    return {
        "image": explanation.image,
        "class": explanation.label,
        "true": explanation.true or None,
        "probability": round(explanation.probability, DIGITS),
        "top": [[name, round(share, DIGITS)] for name, share in explanation.top],
        "method": explanation.method,
        "layer": explanation.layer or "input",
        "map_shape": list(explanation.values.shape),
        "warnings": list(explanation.warnings),
        "trust": card,
    }


def _measured(measures: Measures) -> dict[str, Any]:
    names = (
        "probability",
        "without",
        "border_hidden",
        "border_alone",
        "border_share",
        "border_area",
        "head_similarity",
        "block_similarity",
    )
    curves = measures.curves
    return {
        **{name: round(float(getattr(measures, name)), DIGITS) for name in names},
        "gain": round(curves.gain, DIGITS),
        "random_deviation": round(curves.deviation, DIGITS),
        "deletion": curves.deletion.round(DIGITS).tolist(),
        "insertion": curves.insertion.round(DIGITS).tolist(),
    }


def facts_of_visualised(made: Visualised) -> dict[str, Any]:
    """Return everything of visualised features but the pixels."""
    rows = zip(made.channels, made.names, made.before, made.after, made.kept, made.shares, strict=True)
    return {
        "model": made.model,
        "layer": made.layer or "classes",
        "place": None if made.place is None else list(made.place),
        "size": list(made.images.shape[2:]),
        "ascent": asdict(made.how),
        "images": [
            {
                "number": number,
                "name": name,
                "noise": _rounded(before),
                "image": _rounded(after),
                "moved": _rounded(kept),
                "share": _rounded(share),
            }
            for number, name, before, after, kept, share in rows
        ],
    }


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
