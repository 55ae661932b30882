"""What each operation of torch does to receptive fields. Imports torch.

A rule takes what is known of the operation's first tensor and its arguments by name, and returns what is
known of its result. Operations without a rule that act element by element are recognised by torch's own tag;
any other is not followed, and its results are said to see the whole image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

from torch import Tensor

from striate.explain.fields import layout as axes
from striate.explain.fields.adaptive import GLOBAL, pooled
from striate.explain.fields.field import Field, Span
from striate.explain.fields.layout import Layout, Part

ATTENTION = "attention"
FULLY_CONNECTED = "a fully connected layer"
STATISTICS = "normalisation by statistics of the map"
MAPS = ["", "", "rows", "columns"]


@dataclass(frozen=True)
class Tracked:
    """What is known of a tensor that depends on the image.

    Attributes:
        field: what its values see.
        layout: where places lie among its axes.
    """

    field: Field
    layout: Layout

    def whole(self, reason: str, shape: Sequence[int], *, keep: bool = False) -> Tracked:
        """Return a tensor of `shape` whose values see everything; with `keep` it lies as this one does."""
        field = self.field.seeing_all(reason, keep=keep)
        return Tracked(field, self.layout if keep else axes.plain(shape))


Arguments = dict[str, Any]
Rule = Callable[[Tracked, Arguments, Tensor], Tracked | None]
"""Takes the first tensor, the arguments by name and the result; None: this form is not followed."""


def convolution(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """A window over rows and columns, or the other way round; any other axis is not followed."""
    if not _is_map(x.layout):
        return None
    kernel = given["weight"].shape[2:]
    if given.get("transposed"):
        return _spread(x, given["stride"], result, kernel, given["padding"], given["dilation"])
    field = x.field.window(kernel, given["stride"], given["padding"], given["dilation"])
    return Tracked(field, axes.of_images(result.shape))


def pool(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """A window whose stride is its size unless given."""
    images = _as_map(x.layout)
    if images is None:
        return None
    stride = given.get("stride") or given["kernel_size"]
    field = x.field.window(given["kernel_size"], stride, given.get("padding", 0), given.get("dilation", 1))
    return Tracked(field, _like(x.layout, result))


def adaptive_pool(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Windows as large as the input wants them."""
    images = _as_map(x.layout)
    if images is None:
        return None
    field = pooled(x.field, axes.lengths(images), tuple(result.shape[-2:]))
    return Tracked(field, _like(x.layout, result))


def upsample(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Values between neighbours: at most those that repeating and a window of two on either side give."""
    if not _is_map(x.layout) or x.field.spans is None:
        return None
    factors = [Fraction(n, m) for n, m in zip(result.shape[2:], axes.lengths(x.layout)[2:], strict=True)]
    smooth = "nearest" not in given["operation"]
    spans = [span.window(3, padding=1) if smooth else span for span in x.field.spans]
    rows, columns = (_repeated(span, factor) for span, factor in zip(spans, factors, strict=True))
    return Tracked(Field((rows, columns), x.field.whole), axes.of_images(result.shape))


def reduction(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """A mean or maximum along axes: over places it sees all of them."""
    reduced = _dimensions(given.get("dim"), len(x.layout))
    if any(axes.has_places(x.layout[axis]) for axis in reduced):
        return x.whole(GLOBAL, result.shape)
    kept = [(Part("", 1),) if axis in reduced else part for axis, part in enumerate(x.layout)]
    if not given.get("keepdim"):
        kept = [part for axis, part in enumerate(kept) if axis not in reduced]
    return Tracked(x.field, tuple(kept))


def along_channels(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Softmax and sums along an axis: along places, every place has a part in every other."""
    axis = x.layout[given["dim"]]
    return x.whole(ATTENTION, result.shape) if axes.has_places(axis) else Tracked(x.field, x.layout)


def batch_norm(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """With running statistics, each value by itself; without them, by the statistics of the maps."""
    by_itself = given.get("training") is False or "training" not in given
    return Tracked(x.field, x.layout) if by_itself else x.whole(STATISTICS, result.shape, keep=True)


def group_norm(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Statistics of a group of maps, so of all places."""
    return x.whole(STATISTICS, result.shape, keep=True)


def layer_norm(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Statistics along the last axes: of channels only, or of places too."""
    normalised = x.layout[len(x.layout) - len(given["normalized_shape"]) :]
    if any(map(axes.has_places, normalised)):
        return x.whole(STATISTICS, result.shape, keep=True)
    return Tracked(x.field, x.layout)


def product(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """A matrix times learned weights: over channels each place stays by itself."""
    first = given.get("self") if "mat1" not in given and "mat2" in given else given.get("mat1")
    if first is None:
        return None
    contracted = x.layout[-1] if given["tracked"](first) else x.layout[-2]
    if axes.has_places(contracted):
        return x.whole(FULLY_CONNECTED, result.shape)
    features = (Part("", result.shape[-1]),)
    if given["tracked"](first):
        return Tracked(x.field, (*x.layout[:-1], features))
    return Tracked(x.field, (*x.layout[:-2], (Part("", result.shape[-2]),), x.layout[-1]))


def attention(x: Tracked, given: Arguments, result: Tensor) -> Tracked | None:
    """Every token looks at every other."""
    return x.whole(ATTENTION, result.shape)


def _is_map(layout: Layout) -> bool:
    roles = [axes.role_of(axis) for axis in layout]
    return len(roles) == 4 and all(got in ("", role) for got, role in zip(roles, MAPS, strict=True))


def _as_map(layout: Layout) -> Layout | None:
    """Return the last two axes where they are rows and columns."""
    roles = [axes.role_of(axis) for axis in layout]
    fits = len(roles) >= 2 and roles[-2] in ("", "rows") and roles[-1] in ("", "columns")
    return layout[-2:] if fits and not any(map(axes.has_places, layout[:-2])) else None


def _like(layout: Layout, result: Tensor) -> Layout:
    return (*layout[:-2], (Part("rows", result.shape[-2]),), (Part("columns", result.shape[-1]),))


def _repeated(span: Span, factor: Fraction) -> Span:
    """Return the span of repeated values; of fewer values than before, the span of those that are left."""
    if factor <= 1:
        return Span(span.size + span.stride * (factor != 1), span.stride / factor, span.start)
    return span.spread(factor, -(-factor.numerator // factor.denominator))


def _spread(
    x: Tracked, stride: Any, result: Tensor, kernel: Any, padding: Any, dilation: Any
) -> Tracked | None:
    if x.field.spans is None:
        return Tracked(x.field, axes.of_images(result.shape))
    rows, columns = (
        span.spread(stride[axis], dilation[axis] * (kernel[axis] - 1) + 1, padding[axis])
        for axis, span in enumerate(x.field.spans)
    )
    return Tracked(Field((rows, columns), x.field.whole), axes.of_images(result.shape))


def _dimensions(given: Any, ndim: int) -> set[int]:
    """Return the axes that a reduction names; none named are all."""
    if given is None or given == []:
        return set(range(ndim))
    return {axis % ndim for axis in ([given] if isinstance(given, int) else given)}


def element_wise(operands: Sequence[Tracked], result: Tensor) -> Tracked:
    """Return what is known of a result made place by place."""
    found = axes.broadcast([one.layout for one in operands], result.shape)
    field = reduce(Field.joined, (one.field for one in operands))
    if found is None:
        return Tracked(field.seeing_all("maps of different places meet"), axes.plain(result.shape))
    spread = [one for one in operands if one.field.spans and axes.places(one.layout) != axes.places(found)]
    if spread:
        return Tracked(field.seeing_all("one value is spread over the map"), axes.plain(result.shape))
    return Tracked(field, found)


RULES: dict[str, Rule] = {
    "convolution": convolution,
    "max_pool2d_with_indices": pool,
    "avg_pool2d": pool,
    "_adaptive_avg_pool2d": adaptive_pool,
    "adaptive_max_pool2d": adaptive_pool,
    "upsample_nearest2d": upsample,
    "upsample_bilinear2d": upsample,
    **dict.fromkeys(
        ("mean", "sum", "amax", "amin", "var", "std", "var_mean", "linalg_vector_norm"), reduction
    ),
    **dict.fromkeys(("_softmax", "_log_softmax", "cumsum"), along_channels),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm"), batch_norm),
    "_native_batch_norm_legit_no_training": batch_norm,
    "native_group_norm": group_norm,
    "native_layer_norm": layer_norm,
    **dict.fromkeys(("mm", "addmm", "bmm"), product),
    **dict.fromkeys(
        ("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention"), attention
    ),
    **dict.fromkeys(
        ("_scaled_dot_product_efficient_attention", "_scaled_dot_product_fused_attention_overrideable"),
        attention,
    ),
}
"""The rule of each operation by its name, without `aten::`."""
