"""An explanation as plain values, for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.explain.explanation import Explanation
    from striate.explain.trust import Measures

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
