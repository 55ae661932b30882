"""The receptive fields of a network as a table, with what is worth a remark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape

from striate.errors import UserError, nearest
from striate.explain.fields.field import Field

LEGEND = (
    "field: pixels of the image, down and across, that one value depends on; stride: pixels between the\n"
    "fields of neighbours; padding: pixels by which the first field lies over the edge; centre: its middle."
)
_COLUMNS = ("layer", "kind", "output shape", "field", "stride", "padding", "centre")


@dataclass(frozen=True)
class LayerField:
    """What the outputs of one layer see.

    Attributes:
        name: with those of the blocks around it, `residual1.conv1`.
        kind: `conv2d` in a spec, `Conv2d` in a torch module.
        output_shape: of one image, (C, H, W), (tokens, features) or (features,).
        field: what its outputs see.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    field: Field

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) in pixels that one output sees, over the edges too; None: only the whole image.

        Where every output sees the whole image by one way, it is what the other ways give, as `field` says.
        """
        if self.field.spans is None:
            return None
        rows, columns = self.field.spans
        return _pixels(rows.size), _pixels(columns.size)

    def box(self, row: int, column: int) -> tuple[int, int, int, int] | None:
        """Return top, left, bottom, right (the last pixels) of the field of one output, as `size` has it."""
        if self.field.spans is None:
            return None
        (top, bottom), (left, right) = (
            span.interval(index) for span, index in zip(self.field.spans, (row, column), strict=True)
        )
        return top, left, bottom, right


@dataclass(frozen=True)
class ReceptiveFields:
    """The receptive field of every layer of a network; it shows itself in a notebook, and `print` as text.

    Attributes:
        name: of the network.
        input_shape: (C, H, W) of the images.
        layers: in the order in which they finish.
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[LayerField, ...]

    def __getitem__(self, name: str) -> LayerField:
        """Return the layer called `name`.

        Raises:
            UserError: there is none; the text lists all, the nearest first.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in self.layers]
        guess = nearest(name, names)
        question = f"did you mean {guess!r}? " if guess else ""
        raise UserError(f"no layer {name!r}: {question}Known: {', '.join(names)}.")

    @property
    def steps(self) -> tuple[LayerField, ...]:
        """The layers whose field differs from that of the layer before: the others keep what they get."""
        seen = [(one.spans, one.whole) for one in (Field(), *(layer.field for layer in self.layers))]
        return tuple(
            layer for layer, one, two in zip(self.layers, seen, seen[1:], strict=False) if one != two
        )

    @property
    def deepest(self) -> LayerField | None:
        """The last layer whose outputs have a place of their own, or None."""
        return next((layer for layer in reversed(self.layers) if _has_places(layer)), None)

    def remarks(self, object_size: str | Sequence[int] | None = None) -> list[str]:
        """Return what the sizes mean for images of this size.

        Args:
            object_size: (height, width) in pixels of what is to be recognised, as it lies in the input; or
                the same as text, "40,60".

        Raises:
            UserError: the object has no such size.
        """
        size = None if object_size is None else _parse_size(object_size)
        deepest = self.deepest
        if deepest is None or deepest.size is None:
            return ["No layer sees less than the whole image: the network has no local maps."]
        found = [_by_one_way(deepest), _against_image(deepest, self.input_shape[1:])]
        if size is not None:
            found.append(_against_object(deepest, size))
        return [text for text in found if text]

    def table(self, *, every_layer: bool = False, object_size: str | Sequence[int] | None = None) -> str:
        """Return the fields as aligned text, with remarks.

        Args:
            every_layer: show those too that leave the field as it is.
            object_size: as in `remarks`.
        """
        rows = self._cells(every_layer)
        widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
        lines = [_line(row, widths) for row in rows]
        rule = "-" * max(map(len, lines))
        title = f"{self.name}: receptive fields on images of {_shape_text(self.input_shape)}"
        return "\n".join([title, lines[0], rule, *lines[1:], rule, *self._notes(every_layer, object_size)])

    def _notes(self, every_layer: bool, object_size: str | Sequence[int] | None = None) -> list[str]:
        hidden = 0 if every_layer else len(self.layers) - len(self.steps)
        left_out = [f"{hidden} layers that leave the field as it is are not shown."] if hidden else []
        return [LEGEND, *left_out, *self.remarks(object_size)]

    def _cells(self, every_layer: bool) -> list[tuple[str, ...]]:
        shown = self.layers if every_layer else self.steps
        return [_COLUMNS, *(_row(layer) for layer in shown)]

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        head, *rows = self._cells(every_layer=False)
        body = "".join(f"<tr>{_html_cells('td', row)}</tr>" for row in rows)
        notes = "".join(f"<p>{escape(text)}</p>" for text in self._notes(every_layer=False))
        title = f"{self.name}: receptive fields on images of {_shape_text(self.input_shape)}"
        return (
            f"<table><caption>{escape(title)}</caption><thead><tr>{_html_cells('th', head)}</tr></thead>"
            f"<tbody>{body}</tbody></table>{notes}"
        )


def _parse_size(value: str | Sequence[int]) -> tuple[int, int]:
    parts = value.replace("x", ",").split(",") if isinstance(value, str) else value
    try:
        height, width = (int(part) for part in parts)
    except ValueError:
        raise UserError(f"the size of the object is {value!r}: expected height,width, as in 40,60.") from None
    if min(height, width) < 1:
        raise UserError(f"the size of the object is {value!r}: expected numbers of at least 1.")
    return height, width


def _has_places(layer: LayerField) -> bool:
    return layer.size is not None and not layer.field.flat


def _by_one_way(layer: LayerField) -> str:
    if not layer.field.whole:
        return ""
    return (
        f"By way of {layer.field.whole}, each value of {layer.name} sees the whole image; "
        "the sizes are without it."
    )


def _against_image(layer: LayerField, size: Sequence[int]) -> str:
    """Return what it means if the field of the last map is larger than the image."""
    assert layer.size is not None
    if layer.size[0] <= size[0] and layer.size[1] <= size[1]:
        return ""
    return (
        f"The field of {layer.name} ({_sides(layer.size)}) is larger than the image ({_sides(size)}): "
        "its values see the padding too, and can tell where in the image they are. "
        "How much of it counts is told by the effective field."
    )


def _against_object(layer: LayerField, size: Sequence[int]) -> str:
    assert layer.size is not None
    if layer.size[0] >= size[0] and layer.size[1] >= size[1]:
        return ""
    return (
        f"The field of {layer.name} ({_sides(layer.size)}) is smaller than the object ({_sides(size)}): "
        "no value of a map sees all of it. More layers, pooling, strides or dilation widen the field."
    )


def _row(layer: LayerField) -> tuple[str, ...]:
    given = (layer.name, layer.kind, _shape_text(layer.output_shape))
    if layer.field.spans is None:
        return (*given, f"whole image ({layer.field.whole})", "", "", "")
    rows, columns = layer.field.spans
    size = _both(_pixels(rows.size), _pixels(columns.size))
    if layer.field.whole:
        size = f"whole image ({layer.field.whole}); without it {size}"
    values = ("stride", "padding", "centre")
    return (*given, size, *(_both(getattr(rows, value), getattr(columns, value)) for value in values))


def _pixels(size: Fraction) -> int:
    """Return a size in whole pixels; a part of one counts as one."""
    return -(-size.numerator // size.denominator)


def _both(down: Fraction | int, across: Fraction | int) -> str:
    return f"{float(down):g}" if down == across else f"{float(down):g} x {float(across):g}"


def _sides(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"


def _shape_text(shape: Sequence[int]) -> str:
    return " x ".join(str(length) for length in shape)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip()


def _html_cells(tag: str, cells: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells)
