"""Receptive fields drawn: on a photo, and cell by cell through a few layers. Imports matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from striate import figure_style as style
from striate.errors import UserError
from striate.explain.fields.result import LayerField, ReceptiveFields

if TYPE_CHECKING:
    from striate.explain.fields.effective import EffectiveField

Window = tuple[int, int, int]
"""Kernel size, stride and dilation, the same down and across."""
BOXES = 6
"""So many layers are drawn unless some are named."""
_COLOURS = (style.ORANGE, "#56B4E9", style.GREEN, "#F0E442", style.PURPLE, style.VERMILION)
_LONGEST_NAME = 30


def fields_on_photo(
    fields: ReceptiveFields,
    photo: np.ndarray,
    *,
    layers: Sequence[str] = (),
    effective: EffectiveField | None = None,
    note: str = "",
) -> Figure:
    """Draw what the middle value of some layers sees of a photo, and beside it how much each pixel counts.

    Args:
        fields: of the network.
        photo: uint8 (h, w, 3) or (h, w), of any resolution; stands for the network's whole input.
        layers: names; by default six that widen the field, up to the first larger than the image.
        effective: of one layer, drawn beside.
        note: on the weights that the effective field is of.

    Raises:
        UserError: a layer does not exist or sees no part of the image.
    """
    chosen = [fields[name] for name in layers] or _spread(fields)
    for layer in chosen:
        if layer.size is None or len(layer.output_shape) != 3:
            raise UserError(f"{layer.name} sees the whole image; choose a layer before it.")
    with style.drawing():
        figure = style.new_figure(8.4 if effective else 5.2, 4.4)
        axes = figure.subplots(1, 2 if effective else 1, squeeze=False)[0]
        _show_photo(axes[0], photo, fields)
        for layer, colour in zip(chosen, _cycle(len(chosen)), strict=True):
            _draw_box(axes[0], layer, _middle(layer), colour)
        _frame(axes[0], fields, [_box(layer, _middle(layer)) for layer in chosen])
        axes[0].set_title("Theoretical fields of the middle values")
        axes[0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2)
        if effective is not None:
            _draw_effective(axes[1], effective, photo, fields, note)
        return style.literal(figure)


def windows_drawn(cases: Mapping[str, Sequence[Window]]) -> Figure:
    """Draw, cell by cell, which inputs a few windows one after the other reach; a row a case.

    The darker a cell, the more ways lead from it to the one value of the last layer that is drawn.

    Args:
        cases: title -> windows as (kernel size, stride, dilation), without padding.
    """
    depth = max(len(windows) for windows in cases.values())
    with style.drawing():
        figure = style.new_figure(1.7 * (depth + 1), 2.15 * len(cases))
        rows = figure.subfigures(len(cases), 1, squeeze=False)[:, 0]
        for part, (title, windows) in zip(rows, cases.items(), strict=True):
            planes = _planes(windows)
            reach = np.count_nonzero(planes[0])
            part.suptitle(f"{title}: {reach} x {reach}", x=0.03, ha="left", fontweight="bold", fontsize=9)
            for axes, ways in zip(part.subplots(1, depth + 1), planes, strict=False):
                _draw_cells(axes, ways)
        return style.literal(figure)


COURSE: dict[str, Sequence[Window]] = {
    "3 x 3, then 3 x 3": [(3, 1, 1), (3, 1, 1)],
    "3 x 3 with stride 2, then 3 x 3": [(3, 2, 1), (3, 1, 1)],
    "5 x 5, then 3 x 3": [(5, 1, 1), (3, 1, 1)],
    "pooling 2 x 2, then 3 x 3": [(2, 2, 1), (3, 1, 1)],
    "3 x 3 with dilation 2, then 3 x 3": [(3, 1, 2), (3, 1, 1)],
}
"""Five pairs of layers whose fields are 5, 7, 7, 6 and 7, as courses draw them."""


def _planes(windows: Sequence[Window]) -> list[np.ndarray]:
    """Return along one axis of each plane, the input first, how many ways lead to the middle of the last."""
    planes = [np.array([0, 1, 0])]
    for kernel, stride, dilation in reversed(windows):
        behind = planes[0]
        ways = np.zeros((len(behind) - 1) * stride + dilation * (kernel - 1) + 1, int)
        for tap in range(kernel):
            ways[tap * dilation :: stride][: len(behind)] += behind
        planes.insert(0, ways)
    return planes


def _draw_cells(axes: Axes, ways: np.ndarray) -> None:
    strength = np.outer(ways, ways)
    shown = np.where(strength, 0.35 + 0.5 * strength / strength.max(), 0.06)
    axes.pcolormesh(shown, cmap=style.SEQUENTIAL, vmin=0, vmax=1, edgecolor="white", linewidth=1)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_axis_off()


def _spread(fields: ReceptiveFields) -> list[LayerField]:
    """Return layers that widen the field, spread over the depth of the network, the deepest among them."""
    sizes: dict[tuple[int, int], LayerField] = {}
    for layer in fields.layers:
        if layer.size is not None and layer.size != (1, 1) and len(layer.output_shape) == 3:
            sizes.setdefault(layer.size, layer)
    growing = sorted(sizes.values(), key=lambda layer: layer.size or (0, 0))
    if not growing:
        raise UserError(f"no layer of {fields.name} sees a part of the image; there is no field to draw.")
    within = [layer for layer in growing if (layer.size or (0, 0)) <= tuple(fields.input_shape[1:])]
    growing = growing[: len(within) + 1]
    places = np.unique(np.linspace(0, len(growing) - 1, BOXES).round().astype(int))
    return [growing[place] for place in places]


def _cycle(count: int) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]


def _middle(layer: LayerField) -> tuple[int, int]:
    return layer.output_shape[1] // 2, layer.output_shape[2] // 2


def _box(layer: LayerField, place: tuple[int, int]) -> tuple[int, int, int, int]:
    box = layer.box(*place)
    assert box is not None
    return box


def _show_photo(axes: Axes, photo: np.ndarray, fields: ReceptiveFields, *, grey: bool = False) -> None:
    """Show the photo across the input's pixels, whatever its own resolution."""
    _, height, width = fields.input_shape
    shown = photo if photo.ndim == 3 and not grey else _luma(photo)
    axes.imshow(shown, extent=(-0.5, width - 0.5, height - 0.5, -0.5), cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("#eeeeee")
    for spine in axes.spines.values():
        spine.set_visible(False)


def _luma(photo: np.ndarray) -> np.ndarray:
    return photo if photo.ndim == 2 else photo @ np.array([0.299, 0.587, 0.114])


def _draw_box(
    axes: Axes, layer: LayerField, place: tuple[int, int], colour: str, label: str | None = None
) -> None:
    top, left, bottom, right = _box(layer, place)
    edge = Rectangle((left - 0.5, top - 0.5), right - left + 1, bottom - top + 1, fill=False)
    edge.set(edgecolor=colour, linewidth=2, label=label or _label(layer), clip_on=True)
    edge.set_path_effects([withStroke(linewidth=3.4, foreground="black", alpha=0.55)])
    axes.add_patch(edge)


def _label(layer: LayerField) -> str:
    name = layer.name if len(layer.name) <= _LONGEST_NAME else f"…{layer.name[1 - _LONGEST_NAME :]}"
    return f"{name}: {_sides(layer)}"


def _sides(layer: LayerField) -> str:
    assert layer.size is not None
    return f"{layer.size[0]} x {layer.size[1]}"


def _frame(axes: Axes, fields: ReceptiveFields, boxes: Sequence[tuple[int, int, int, int]]) -> None:
    """Leave room for boxes over the edges, up to a quarter of the image on each side."""
    _, height, width = fields.input_shape
    tops, lefts, bottoms, rights = zip(*boxes, strict=True)
    top, left = max(min(-1, *tops), -height // 4), max(min(-1, *lefts), -width // 4)
    bottom = min(max(height, *bottoms), height + height // 4)
    right = min(max(width, *rights), width + width // 4)
    axes.set_xlim(left - 1, right + 1)
    axes.set_ylim(bottom + 1, top - 1)


def _draw_effective(
    axes: Axes, effective: EffectiveField, photo: np.ndarray, fields: ReceptiveFields, note: str
) -> None:
    """Show how much each pixel counts over the photo in grey, and the theoretical box."""
    _, height, width = fields.input_shape
    _show_photo(axes, photo, fields, grey=True)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    strength = effective.influence
    axes.imshow(strength, extent=extent, cmap="inferno", alpha=np.sqrt(strength), vmin=0, vmax=1)
    layer = effective.layer
    axes.set_title(f"Effective field of {layer.name}" + (f"\n({note})" if note else ""))
    if layer.field.spans is not None:
        _draw_box(axes, layer, effective.place, style.ORANGE, f"theoretical: {_sides(layer)}")
        _frame(axes, fields, [_box(layer, effective.place)])
    _draw_bell(axes, effective)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02))


def _draw_bell(axes: Axes, effective: EffectiveField) -> None:
    """Frame the effective field, and say how large it is."""
    (height, width), (row, column) = effective.size, effective.centre
    frame = Rectangle((column - width / 2, row - height / 2), width, height, fill=False)
    frame.set(edgecolor="white", linewidth=1.6, linestyle=(0, (4, 2)))
    frame.set_path_effects([withStroke(linewidth=2.6, foreground="black", alpha=0.7)])
    axes.add_patch(frame)
    label = f"effective: {height:.0f} x {width:.0f}"
    axes.plot([], [], color=style.QUIET, linewidth=1.6, linestyle=(0, (4, 2)), label=label)
