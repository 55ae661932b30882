"""From which levels of a network the features before its head come."""

from __future__ import annotations

from collections.abc import Sequence

from striate.architectures import infer_shapes, walk
from striate.architectures.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d
from striate.backbones.description import BackboneSpec
from striate.backbones.models import Description


def feature_levels(description: Description, input_shape: Sequence[int], num_classes: int) -> tuple[int, ...]:
    """Return how many features come from each level, in their order; empty where all come from one.

    Features of a level are the means of its maps, or their maxima: each kind has a scale of its own.
    """
    if isinstance(description, BackboneSpec):
        return ()
    steps = walk(infer_shapes(description, input_shape, num_classes))
    pools = (AdaptiveAvgPool2d, AdaptiveMaxPool2d)
    pooled = [step.output_shape for step in steps if isinstance(step.layer, pools)]
    levels = tuple(shape[0] for shape in pooled if shape[1:] == (1, 1))
    return levels if len(levels) > 1 else ()
