"""Putting a description in its place: which shapes go in and come out of every layer, for given images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod

from striate.architectures.blocks import Block
from striate.architectures.layers import Layer, Shape
from striate.architectures.spec import Spec
from striate.errors import SpecError

MAX_VALUES = 2**30
"""Upper limit of the values that one image may become in a layer, and of a network's parameters."""


@dataclass(frozen=True)
class Step:
    """A layer in its place.

    Attributes:
        path: its name with those of the blocks around it, `residual1.conv1`.
        layer: with numbers only; `num_classes` has been replaced.
        input_shape: of one image, (C, H, W) or (features,).
        output_shape: likewise.
        parts: of a block, the steps inside by part; "" holds those named without a prefix of their own.
    """

    path: str
    layer: Layer
    input_shape: Shape
    output_shape: Shape
    parts: dict[str, tuple[Step, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name among its neighbours."""
        return self.path.rpartition(".")[2]

    @property
    def parameter_shapes(self) -> dict[str, Shape]:
        """Shapes of its own learned tensors, without those of layers inside."""
        return self.layer.parameter_shapes(self.input_shape)

    @property
    def buffer_shapes(self) -> dict[str, Shape]:
        """Shapes of its own tensors that are not learned."""
        return self.layer.buffer_shapes(self.input_shape)

    @property
    def multiply_adds(self) -> int:
        """Its own multiply-adds for one image, without those of layers inside."""
        return self.layer.multiply_adds(self.input_shape)


def infer_shapes(spec: Spec, input_shape: Sequence[int], num_classes: int) -> tuple[Step, ...]:
    """Return every layer of `spec` in its place.

    Args:
        spec: the description.
        input_shape: (C, H, W) of the images.
        num_classes: how many classes they have.

    Raises:
        SpecError: the network cannot work on such images; names the layer and the shapes.
    """
    _check_input(spec, input_shape, num_classes)
    try:
        steps = _place_layers(spec.layers, "", tuple(input_shape), num_classes)
    except SpecError as error:
        raise SpecError(f"net {spec.name!r} on images {tuple(input_shape)}: {error}.") from None
    _check_output(spec, steps[-1].output_shape, num_classes)
    if sum(prod(shape) for step in walk(steps) for shape in step.parameter_shapes.values()) > MAX_VALUES:
        raise SpecError(f"net {spec.name!r} has more than {MAX_VALUES} parameters; make its layers smaller.")
    return steps


def fitting_scale(spec: Spec, input_shape: Sequence[int], num_classes: int, most: int) -> int | None:
    """Return how many times larger images have to be at least for `spec` to work on them, 1 to `most`.

    Args:
        spec: the description.
        input_shape: (C, H, W) of the images.
        num_classes: how many classes they have.
        most: the largest scale that is tried; None is returned where that is too small as well.
    """
    channels, *sides = input_shape
    for scale in range(1, most + 1):
        with suppress(SpecError):
            infer_shapes(spec, (channels, *(scale * side for side in sides)), num_classes)
            return scale
    return None


def walk(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield every step, a block before the steps inside it."""
    for step in steps:
        yield step
        for part in step.parts.values():
            yield from walk(part)


def _place_layers(layers: Sequence[Layer], prefix: str, shape: Shape, num_classes: int) -> tuple[Step, ...]:
    steps = []
    for layer in layers:
        step = _place(layer.resolve(num_classes), f"{prefix}{layer.name}", shape, num_classes)
        steps.append(step)
        shape = step.output_shape
    return tuple(steps)


def _place(layer: Layer, path: str, shape: Shape, num_classes: int) -> Step:
    parts = {}
    if isinstance(layer, Block):
        for part, layers in layer.parts().items():
            prefix = f"{path}.{part}." if part else f"{path}."
            parts[part] = _place_layers(layers, prefix, shape, num_classes)
    try:
        if isinstance(layer, Block):
            ends = {part: steps[-1].output_shape if steps else shape for part, steps in parts.items()}
            output_shape = layer.join_shapes(shape, ends)
        else:
            output_shape = layer.output_shape(shape)
        if prod(output_shape) > MAX_VALUES:
            raise SpecError(f"it would put out {output_shape}, more than {MAX_VALUES} values for an image")
    except SpecError as error:
        raise SpecError(f"layer {path} ({layer.kind}), input {shape}: {error}") from None
    return Step(path, layer, shape, output_shape, parts)


def _check_input(spec: Spec, input_shape: Sequence[int], num_classes: int) -> None:
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise SpecError(
            f"the input shape is {tuple(input_shape)}; expected (channels, height, width), each at least 1."
        )
    if prod(input_shape) > MAX_VALUES:
        raise SpecError(
            f"the input shape is {tuple(input_shape)}; expected at most {MAX_VALUES} values for an image."
        )
    if num_classes < 2:
        raise SpecError(f"num_classes is {num_classes}; expected at least 2.")
    if spec.output in ("logit", "probability") and num_classes != 2:
        raise SpecError(
            f"net {spec.name!r} puts out one {spec.output}, which tells 2 classes apart; "
            f"there are {num_classes}. Take two of them (--classes a,b) or a net with one output per class."
        )


def _check_output(spec: Spec, shape: Shape, num_classes: int) -> None:
    single = spec.output in ("logit", "probability")
    expected = (1,) if single else (num_classes,)
    if shape == expected:
        return
    reason = f"output {spec.output} for {num_classes} classes"
    hint = "say output: logit, or give the last layer an output for each class"
    if shape != (1,):
        hint = "the last layer needs 1 output" if single else "give the last layer out_features: num_classes"
    if len(shape) != 1:
        hint = "put a flatten at the end"
    raise SpecError(f"net {spec.name!r} puts out {shape}; {reason} needs {expected}: {hint}.")
