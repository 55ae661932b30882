"""Class activation maps by torchcam: CAM, Grad-CAM, Grad-CAM++, LayerCAM, Score-CAM. Imports torch.

A map weighs the maps A_k of one layer by what they do for a class's score, and adds them up. Here it stays
signed (what speaks against the class is negative) and as large as it comes.

What torchcam 0.5.0 leaves to its caller, and what is done about it here:

- Its hooks stay until they are removed; `Tap` removes all.
- It takes gradients of a layer's output, which a frozen network does not have, and computes gradients of
  everything before the layer where the network is not frozen. `Tap` makes the layer's output a leaf: only
  what comes after it is differentiated.
- It takes tokens only where a function makes maps of them, and the last call of a layer; `Tap` does both.
- It keeps that output itself, which an in-place activation after it would overwrite; a copy is handed on.
- Its Grad-CAM++ divides a copy of the coefficients and so loses the division; `GradCAMpp` below has it.
- It leaves NaN out of its sums; maps with NaN are refused by the caller.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchcam import methods as torchcam

from striate.errors import UserError
from striate.explain.layers import find_layer_call
from striate.explain.subject import Subject
from striate.explain.tap import Tap

CAM_TOLERANCE = 1e-3
"""Average and bias must give the score to this share of the largest score: float32 sums of some thousand."""


class GradCAMpp(torchcam.GradCAMpp):
    """Grad-CAM++ (Chattopadhay et al. 2018, eq. 19) for the score exp(S), whose derivatives are powers of S'.

    alpha = g^2 / (2 g^2 + g^3 sum A) = 1 / (2 + g sum A), 0 where g or that divisor is 0; the weight of a map
    is the sum of alpha relu(g) over its positions. The factor exp(S) is left out.
    """

    def _get_weights(self, class_idx: Any, scores: Tensor, eps: float = 0.0, **kwargs: Any) -> list[Tensor]:
        self._backprop(scores, class_idx, **kwargs)
        return [_plus_plus(grad, maps) for grad, maps in zip(self.hook_g, self.hook_a, strict=True)]


class CAM(torchcam.CAM):
    """CAM (Zhou et al. 2016, eq. 2), also of a network with one output: its weights, from -w and w."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fc_weights = _of_classes(self._fc_weights)


class _Scores(nn.Module):
    """The network with a score for each class, as Score-CAM asks it for hidden images."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.network = subject.network
        self.scores = subject.scores
        self.train(subject.network.training)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scores, (N, K), of inputs (N, C, H, W)."""
        return self.scores(self.network(inputs))


EXTRACTORS: dict[str, Any] = {
    "cam": CAM,
    "grad-cam": torchcam.GradCAM,
    "grad-cam++": GradCAMpp,
    "layer-cam": torchcam.LayerCAM,
    "score-cam": torchcam.ScoreCAM,
}
"""torchcam's class of each method, or what is made of it here."""


def activation_maps(
    subject: Subject, inputs: Tensor, classes: Tensor | None, layer: str, *, method: str
) -> tuple[Tensor, Tensor]:
    """Return the maps of a layer, (N, h, w), and the network's output for the images.

    Args:
        subject: the network, held still.
        inputs: (N, C, H, W), as the network takes them.
        classes: int64 (N,), whose score is explained; None: of each image the one with the highest.
        layer: its name.
        method: one of `EXTRACTORS`.

    Raises:
        UserError: the layer puts out no maps, or plays no part in the score; or, for `cam`, the network does
            not end in an average of the maps and one linear layer.
    """
    tap = Tap(subject.network, find_layer_call(subject.network, layer), inputs.shape[1:])
    with torch.enable_grad(), tap.around(partial(_extractor, subject, tap.call.name, method)) as extractor:
        with tap.following():
            raw = subject.network(inputs)
        scores = subject.scores(raw)
        chosen = scores.argmax(dim=1) if classes is None else classes
        maps = _maps(extractor, tap, len(inputs))
        if method == "cam":
            _check_average(subject, maps, scores, chosen)
        values = _combine(extractor, chosen, scores, layer)
    return values.detach(), raw.detach()


def head_of(network: nn.Module) -> str:
    """Return the name of the only linear layer.

    Raises:
        UserError: there is none, or there are several.
    """
    linear: list[str] = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if len(linear) != 1:
        raise UserError(_NO_CAM.format(f"it has {len(linear)} linear layers"))
    return linear[0]


_NO_CAM = (
    "CAM needs a network that averages each map and ends in one linear layer; {}. "
    "Choose grad-cam, which gives the same map where CAM exists."
)


def _extractor(subject: Subject, layer: str, method: str) -> Any:
    options: dict[str, Any] = {"fc_layer": head_of(subject.network)} if method == "cam" else {}
    if method == "score-cam":
        options["batch_size"] = 32
    extractor = EXTRACTORS[method](subject.network, layer, **options)
    extractor.model = _Scores(subject) if method == "score-cam" else subject.network
    extractor._relu = False  # signed
    return extractor


def _maps(extractor: Any, tap: Tap, count: int) -> Tensor:
    """Return the layer's maps, (N, C, h, w), of `count` images."""
    tap.call.check(tap.calls)
    maps = extractor.hook_a[0]
    if maps is None or maps.ndim != 4 or len(maps) != count:
        came = "nothing" if tap.shape is None else f"{tap.shape} for an image"
        if maps is not None and len(maps) != count:
            came = f"values for {len(maps)} windows, not for {count} images"
        raise UserError(
            f"layer {str(tap.call)!r} puts out {came}; a class map needs maps (channels, height, width), or "
            "tokens of a square grid. Choose a convolution, or a layer soon after one; of a transformer, a "
            "normalisation."
        )
    found: Tensor = maps
    return found


def _combine(extractor: Any, classes: Tensor, scores: Tensor, layer: str) -> Tensor:
    try:
        (values,) = extractor(classes.tolist(), scores, normalized=False)
    except RuntimeError as error:
        if "not connected" not in str(error):
            raise
        raise UserError(
            f"layer {layer!r} plays no part in the score of the class. Choose another."
        ) from error
    found: Tensor = values
    return found


def _check_average(subject: Subject, maps: Tensor, scores: Tensor, classes: Tensor) -> None:
    """Refuse CAM where the score is not the average of the weighed maps and the bias."""
    head: Any = subject.network.get_submodule(head_of(subject.network))
    weight = _of_classes(head.weight)
    fits = weight.shape == (scores.shape[1], maps.shape[1])
    if fits:
        bias = None if head.bias is None else _of_classes(head.bias)
        expected = nn.functional.linear(maps.mean(dim=(2, 3)), weight, bias)
        rows = torch.arange(len(classes), device=classes.device)
        apart = (expected[rows, classes] - scores[rows, classes]).abs().max()
        fits = bool(apart <= CAM_TOLERANCE * scores.abs().max())
    if not fits:
        raise UserError(_NO_CAM.format("between this layer and the score something else happens"))


def _of_classes(weight: Tensor) -> Tensor:
    """Return the head's weight or bias with a row for each class: of one output z the scores are -z and z."""
    return torch.cat([-weight, weight]) if len(weight) == 1 else weight


def _plus_plus(grad: Tensor, maps: Tensor) -> Tensor:
    """Return the weight of each map, (N, K), of Grad-CAM++."""
    below = 2 + grad * maps.sum(dim=(2, 3), keepdim=True)
    alpha = torch.where((grad != 0) & (below != 0), 1 / below, 0.0)
    return (alpha * torch.relu(grad)).sum(dim=(2, 3))
