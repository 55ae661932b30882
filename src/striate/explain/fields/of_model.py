"""The receptive fields of whatever describes a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.architectures import Spec, load_spec
from striate.explain.fields.of_spec import fields_of_spec
from striate.explain.fields.result import ReceptiveFields

if TYPE_CHECKING:
    from torch import nn


def receptive_fields(
    model: Spec | str | nn.Module, input_shape: Sequence[int] = (3, 224, 224), num_classes: int = 10
) -> ReceptiveFields:
    """Return what one value of each layer sees of the image, over all paths.

    Args:
        model: a spec, a name of the zoo or the path of a net.yaml, whose shapes are enough; or any torch
            network (of timm, torchvision, one's own), through which one blank image goes.
        input_shape: (C, H, W) of the images.
        num_classes: of a spec.

    Raises:
        UserError: there is no such network, or it cannot work on such images.
    """
    if isinstance(model, Spec | str):
        spec = load_spec(model) if isinstance(model, str) else model
        return fields_of_spec(spec, input_shape, num_classes)
    from striate.explain.fields.tracing import fields_of_module

    return fields_of_module(model, input_shape)
