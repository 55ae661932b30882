"""Adaptive pooling: windows that are as large as the input wants them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from striate.explain.fields.field import Field, Span

GLOBAL = "global pooling"


def pooled(field: Field, size: Sequence[int], output_size: Sequence[int]) -> Field:
    """Return the field after adaptive pooling from `size` to `output_size`, both (height, width).

    Output i is made of the inputs from floor(i * n / m) to ceil((i + 1) * n / m) - 1 for n inputs and m
    outputs. Where m does not divide n, windows differ; the span is then one that holds them all.
    """
    if tuple(output_size) == (1, 1) and tuple(size) != (1, 1):
        return field.seeing_all(GLOBAL)
    if field.spans is None:
        return field
    rows, columns = (_pooled(span, n, m) for span, n, m in zip(field.spans, size, output_size, strict=True))
    return Field((rows, columns), field.whole)


def _pooled(span: Span, n: int, m: int) -> Span:
    step = Fraction(n, m)
    if step.denominator == 1:
        return span.window(int(step), int(step))
    reach = max(-(-(i + 1) * n // m) - 1 - i * step for i in range(m))
    first = min(i * n // m - i * step for i in range(m))
    return Span(
        span.size + (reach - first) * span.stride, span.stride * step, span.start + first * span.stride
    )
