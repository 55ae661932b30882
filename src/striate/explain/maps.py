"""Class maps: where in an image a network finds a class, by several methods. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from striate.errors import StriateError, UserError, nearest, unknown_name
from striate.explain import attribution, cams
from striate.explain.layers import find_layer_call
from striate.explain.subject import Subject, held


@dataclass(frozen=True)
class Maps:
    """Class maps of N images by one method.

    Attributes:
        values: float32 (N, h, w), signed and as they come, of the layer's size or of the input's.
        classes: int64 (N,), which class's score each explains.
        probabilities: float32 (N, K).
        scores: float32 (N, K), the logits.
        method: one of `METHODS`.
        layer: name of the layer that was looked at; `""`: the input.
    """

    values: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray
    scores: np.ndarray
    method: str
    layer: str


@dataclass(frozen=True)
class Method:
    """A way to make maps.

    Attributes:
        name: for people.
        of_layer: whether it looks at a layer; else at the input.
        magnitude: whether a value counts by its size alone, whatever its sign.
        says: what a value of the map is.
    """

    name: str
    of_layer: bool
    magnitude: bool
    says: str


METHODS = {
    "grad-cam": Method("Grad-CAM", True, False, "maps of the layer, weighed by the score's mean gradient"),
    "cam": Method("CAM", True, False, "maps of the layer, weighed by the last layer's weights"),
    "grad-cam++": Method(
        "Grad-CAM++", True, False, "maps of the layer, weighed by the score's rising gradients"
    ),
    "layer-cam": Method("LayerCAM", True, False, "each value of the layer times its rising gradient"),
    "score-cam": Method(
        "Score-CAM", True, False, "maps of the layer, weighed by the score of what they show"
    ),
    "occlusion": Method("Occlusion", False, False, "how far the score falls where the image is hidden"),
    "input-gradients": Method("Input gradients", False, True, "how the score changes as a pixel brightens"),
    "integrated-gradients": Method("Integrated gradients", False, False, "what a pixel adds to the score"),
}
"""Every method, by the name that options give it."""


def class_maps(
    subject: Subject,
    pixels: np.ndarray,
    classes: Sequence[int] | np.ndarray | None = None,
    method: str = "grad-cam",
    layer: str | int | None = None,
) -> Maps:
    """Return the maps of some images.

    Args:
        subject: the network; its mode, gradients and hooks are as before afterwards, also after an error.
        pixels: uint8 (N, C, H, W), N at least 1, as `striate.data.read_images` gives them.
        classes: (N,), the class to explain in each image; None: the predicted one.
        method: one of `METHODS`.
        layer: name or number of the layer to look at; None: the last convolution, or of a transformer the
            last tokens. A layer with several calls shows the last, or the one that `relu #1` names.

    Raises:
        UserError: unknown method, layer or class; a method that does not fit the network or the layer.
        StriateError: a map holds NaN.
    """
    how = method_of(method)
    _check_pixels(pixels, classes, subject.preprocess.input_shape)
    check_classes(classes, subject.class_names)
    inputs = subject.tensor(pixels)
    chosen = None if classes is None else torch.as_tensor(np.asarray(classes), device=inputs.device)
    name = layer_for(subject, method, layer)
    with held(subject.network):
        values, raw = (_by_layer if how.of_layer else _by_input)(subject, inputs, chosen, name, method)
        scores = subject.scores(raw)
        probabilities = subject.probabilities(raw)
    if not (torch.isfinite(values).all() and torch.isfinite(raw).all()):
        raise StriateError(
            f"the map of {subject.name!r} holds NaN or infinity: its weights do not fit its input."
        )
    found = scores.argmax(dim=1) if chosen is None else chosen
    return Maps(
        values.float().cpu().numpy(),
        found.cpu().numpy(),
        probabilities.float().cpu().numpy(),
        scores.float().cpu().numpy(),
        method,
        name,
    )


def method_of(name: str) -> Method:
    """Return the method called `name`.

    Raises:
        UserError: there is none.
    """
    if name not in METHODS:
        raise UserError(unknown_name("method", name, METHODS))
    return METHODS[name]


def layer_for(subject: Subject, method: str, layer: str | int | None) -> str:
    """Return the name of the layer that `method` looks at; `""` for the input."""
    if not method_of(method).of_layer:
        if layer is not None:
            raise UserError(f"{method} looks at the input; leave the layer out, or choose grad-cam.")
        return ""
    return subject.default_layer if layer is None else str(find_layer_call(subject.network, layer))


def check_classes(classes: Sequence[int] | np.ndarray | None, names: Sequence[str]) -> None:
    """Refuse numbers that are not those of classes."""
    for number in () if classes is None else np.asarray(classes).tolist():
        if not 0 <= number < len(names):
            raise UserError(f"class {number} is out of range: there are {len(names)}, numbered from 0.")


def class_number(wanted: str | int, names: Sequence[str]) -> int:
    """Return the number of a class, given by its name or its number.

    Raises:
        UserError: there is no such class.
    """
    if wanted in names:
        return names.index(str(wanted))
    try:
        number = int(wanted)
    except ValueError:
        raise UserError(_no_such_class(str(wanted), names)) from None
    check_classes([number], names)
    return number


def importance(values: np.ndarray, method: str) -> np.ndarray:
    """Return how much each value speaks for the class: its size alone where `method` gives no signs."""
    return np.abs(values) if method_of(method).magnitude else values


def _check_pixels(pixels: np.ndarray, classes: object, shape: tuple[int, int, int]) -> None:
    if pixels.dtype != np.uint8 or not len(pixels) or pixels.shape[1:] != shape:
        raise ValueError(f"pixels is {pixels.dtype} {pixels.shape}; expected uint8 (N, *{shape}), N > 0")
    if classes is not None and len(np.asarray(classes)) != len(pixels):
        raise ValueError(f"{len(np.asarray(classes))} classes for {len(pixels)} images; expected one each")


def _by_layer(
    subject: Subject, inputs: Tensor, classes: Tensor | None, layer: str, method: str
) -> tuple[Tensor, Tensor]:
    return cams.activation_maps(subject, inputs, classes, layer, method=method)


def _by_input(
    subject: Subject, inputs: Tensor, classes: Tensor | None, layer: str, method: str
) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        raw = subject.network(inputs)
    chosen = subject.scores(raw).argmax(dim=1) if classes is None else classes
    values = _ATTRIBUTIONS[method](subject, inputs, chosen)
    return (values.sum(dim=1) if values.ndim == 4 else values), raw


_ATTRIBUTIONS: dict[str, Callable[[Subject, Tensor, Tensor], Tensor]] = {
    "input-gradients": attribution.input_gradients,
    "integrated-gradients": partial(attribution.integrated_gradients, baseline=None),
    "occlusion": attribution.occlusion,
}


def _no_such_class(wanted: str, names: Sequence[str]) -> str:
    guess = nearest(wanted, names)
    question = f": did you mean {guess!r}?" if guess else "."
    shown = ", ".join(names[:30]) + (", ..." if len(names) > 30 else "")
    return f"no class {wanted!r}{question} There are {len(names)}: {shown}."
