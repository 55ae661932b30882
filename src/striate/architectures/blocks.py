"""Blocks: layers made of layers."""

# ruff: noqa: D102 -- the methods of the kinds are documented once, in `Block`

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from striate.architectures.layers import Layer, Shape
from striate.errors import SpecError

Layers = tuple[Layer, ...]


def check_layers(value: Any) -> Layers:
    """Take a sequence of layers that is not empty."""
    checked = check_branch(value)
    if not checked:
        raise ValueError("at least one layer")
    return checked


def check_shortcut(value: Any) -> Layers | None:
    """Take a sequence of layers, or None."""
    return None if value is None else check_layers(value)


def check_branch(value: Any) -> Layers:
    """Take a sequence of layers, which may be empty."""
    if not isinstance(value, Sequence) or not all(isinstance(layer, Layer) for layer in value):
        raise ValueError("a list of layers")
    return tuple(value)


def check_branches(value: Any) -> tuple[Layers, ...]:
    """Take at least two branches."""
    if not isinstance(value, Sequence) or len(value) < 2:
        raise ValueError("a list of at least two branches, each a list of layers")
    return tuple(check_branch(branch) for branch in value)


@dataclass(frozen=True)
class Block(Layer):
    """A layer made of layers."""

    @abstractmethod
    def parts(self) -> dict[str, Layers]:
        """Return the rows of layers inside by name; those under "" have no prefix of their own."""

    @abstractmethod
    def map_parts(self, function: Callable[[Layers], Layers]) -> Self:
        """Return the block with `function` applied to each row of layers inside."""

    @abstractmethod
    def join_shapes(self, shape: Shape, parts: dict[str, Shape]) -> Shape:
        """Return what the block puts out for its input `shape` and the shapes that its parts put out."""


@dataclass(frozen=True)
class Sequential(Block):
    """Layers one after the other, under a common name."""

    kind: ClassVar[str] = "sequential"
    stem: ClassVar[str] = "block"
    layers: Annotated[Sequence[Layer], check_layers]

    def parts(self) -> dict[str, Layers]:
        return {"": tuple(self.layers)}

    def map_parts(self, function: Callable[[Layers], Layers]) -> Self:
        return dataclasses.replace(self, layers=function(tuple(self.layers)))

    def join_shapes(self, shape: Shape, parts: dict[str, Shape]) -> Shape:
        return parts[""]


@dataclass(frozen=True)
class Residual(Block):
    """layers(x) + shortcut(x); without a shortcut, layers(x) + x (He et al. 2016)."""

    kind: ClassVar[str] = "residual"
    stem: ClassVar[str] = "residual"
    layers: Annotated[Sequence[Layer], check_layers]
    shortcut: Annotated[Sequence[Layer] | None, check_shortcut] = None

    def parts(self) -> dict[str, Layers]:
        main = {"": tuple(self.layers)}
        return main if self.shortcut is None else {**main, "shortcut": tuple(self.shortcut)}

    def map_parts(self, function: Callable[[Layers], Layers]) -> Self:
        shortcut = None if self.shortcut is None else function(tuple(self.shortcut))
        return dataclasses.replace(self, layers=function(tuple(self.layers)), shortcut=shortcut)

    def join_shapes(self, shape: Shape, parts: dict[str, Shape]) -> Shape:
        around = parts.get("shortcut", shape)
        if parts[""] != around:
            way = "the shortcut gives" if "shortcut" in parts else "the input, added to them, is"
            raise SpecError(
                f"its layers give {parts['']}, but {way} {around}; both must be equal "
                "(a shortcut of one 1 x 1 conv2d with the same stride makes them so)"
            )
        return around


@dataclass(frozen=True)
class Parallel(Block):
    """Branches that all see the same input, concatenated over channels (Szegedy et al. 2015)."""

    kind: ClassVar[str] = "parallel"
    stem: ClassVar[str] = "parallel"
    branches: Annotated[Sequence[Sequence[Layer]], check_branches]

    def parts(self) -> dict[str, Layers]:
        return {f"branch{number}": tuple(branch) for number, branch in enumerate(self.branches, start=1)}

    def map_parts(self, function: Callable[[Layers], Layers]) -> Self:
        return dataclasses.replace(self, branches=tuple(function(tuple(branch)) for branch in self.branches))

    def join_shapes(self, shape: Shape, parts: dict[str, Shape]) -> Shape:
        shapes = list(parts.values())
        if len({one[1:] for one in shapes}) > 1 or len({len(one) for one in shapes}) > 1:
            found = ", ".join(f"{name} {one}" for name, one in parts.items())
            raise SpecError(f"its branches give {found}; all but the channels must be equal")
        return (sum(one[0] for one in shapes), *shapes[0][1:])
