"""What one value of a layer sees of the image: the arithmetic of receptive fields.

Along one axis, output i of a layer depends on the input pixels from start + i * stride to start + i * stride
+ size - 1, and on no others (Araujo, Norris and Sim, Computing Receptive Fields of Convolutional Neural
Networks, Distill 2019). A window over such outputs has a field again, and where paths meet, the field reaches
from the first start to the last end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import Any


@dataclass(frozen=True)
class Span:
    """The receptive field along one axis, in pixels of the image; pixel 0 is the first, padding is negative.

    Attributes:
        size: pixels from the first to the last that one output sees.
        stride: how far the fields of neighbouring outputs lie apart; below 1 after upsampling.
        start: first pixel that output 0 sees.
    """

    size: Fraction = Fraction(1)
    stride: Fraction = Fraction(1)
    start: Fraction = Fraction(0)

    @property
    def padding(self) -> Fraction:
        """How far the field of output 0 reaches over the edge; negative where it begins within the image."""
        return -self.start

    @property
    def centre(self) -> Fraction:
        """Middle of the field of output 0."""
        return self.start + (self.size - 1) / 2

    def window(self, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Span:
        """Return what the outputs of a window over these outputs see; `padding` is that before the first."""
        return Span(
            self.size + dilation * (kernel_size - 1) * self.stride,
            self.stride * stride,
            self.start - padding * self.stride,
        )

    def spread(self, factor: int | Fraction, kernel_size: int = 1, padding: int = 0) -> Span:
        """Return what the outputs of an upsampling see, at most.

        Output o of a transposed convolution is made of the inputs from (o + padding - kernel_size + 1) /
        factor to (o + padding) / factor; repeating values is a kernel of the size of the factor.
        """
        reach = Fraction(kernel_size - 1) / factor * self.stride
        return Span(
            self.size + reach,
            self.stride / factor,
            self.start + padding * self.stride / factor - reach,
        )

    def interval(self, index: int) -> tuple[int, int]:
        """Return the first and the last pixel that output `index` sees; they may lie in the padding."""
        first = self.start + index * self.stride
        return ceil(first), floor(first + self.size - 1)

    def joined(self, other: Span) -> Span | None:
        """Return what an output sees that is made of an output of each; None if they move apart."""
        if self.stride != other.stride:
            return None
        start = min(self.start, other.start)
        end = max(self.start + self.size, other.start + other.size)
        return Span(end - start, self.stride, start)


Spans = tuple[Span, Span]
"""Down and across."""
IMAGE: Spans = (Span(), Span())
"""A pixel of the image sees itself."""


@dataclass(frozen=True)
class Field:
    """What the outputs of a layer see of the image.

    Attributes:
        spans: down and across; None where an output has no place of its own.
        whole: why each output sees the whole image, in words; "" where it does not. Where both are given, it
            does so by one way (a gate, a normalisation by statistics of the map), and `spans` tells what the
            other ways give.
        flat: values of several places stand in one row, so that what mixes them sees all of their fields.
    """

    spans: Spans | None = IMAGE
    whole: str = ""
    flat: bool = False

    def window(self, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Field:
        """Return the field after a window; each argument is a number, or one for each axis."""
        if self.spans is None:
            return self
        given = [_both(value) for value in (kernel_size, stride, padding, dilation)]
        rows, columns = (
            span.window(*(value[axis] for value in given)) for axis, span in enumerate(self.spans)
        )
        return replace(self, spans=(rows, columns))

    def seeing_all(self, reason: str, *, keep: bool = False) -> Field:
        """Return the field of outputs that see all of the maps; the first reason given stays.

        Args:
            reason: in words.
            keep: keep the spans, which go on without what sees everything.
        """
        return Field(self.spans if keep else None, self.whole or reason)

    def joined(self, other: Field) -> Field:
        """Return the field of outputs made of outputs of both."""
        whole, flat = self.whole or other.whole, self.flat or other.flat
        if self.spans is None or other.spans is None:
            return Field(self.spans or other.spans, whole, flat)
        rows, columns = (one.joined(two) for one, two in zip(self.spans, other.spans, strict=True))
        if rows is None or columns is None:
            return Field(None, whole or "paths of different strides meet")
        return Field((rows, columns), whole, flat)


def _both(value: Any) -> tuple[int, int]:
    """Return one number for each axis; torch gives lists of one or two."""
    if isinstance(value, int):
        return value, value
    return value[0], value[-1]
