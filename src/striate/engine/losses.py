"""The loss that a network is trained with, chosen by what the network puts out.

Cross-entropy, negative log-likelihood and binary cross-entropy are one loss in three parametrisations:
log-probabilities are logits already, and one logit z stands for the two logits (0, z). So smoothing, class
weights and mixed targets mean the same in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from striate.engine import functional as F
from striate.engine.backend import (
    Array,
    check_float,
    check_ndim,
    check_number,
    check_shape,
    full,
    namespace,
    zeros,
)

LossName = Literal["cross-entropy", "nll", "bce", "squared-error"]

FITTING: dict[str, tuple[LossName, ...]] = {
    "logits": ("cross-entropy",),
    "log_probabilities": ("nll",),
    "logit": ("bce",),
    "probability": ("squared-error", "bce"),
}
"""The losses that fit what a network puts out; the first is the default."""

_EPSILON = {"float32": 1.1920929e-07, "float64": 2.220446049250313e-16}
"""Probabilities are kept this far from 0 and 1 before their logarithm is taken."""


@dataclass(frozen=True)
class Loss:
    """A mean loss over a batch.

    Attributes:
        output: what the network puts out, one of `FITTING`.
        name: one of `FITTING[output]`; None for the first.
        label_smoothing: share of each target spread evenly over all classes (Szegedy et al. 2016, sec. 7).
        class_weights: (K,) or None; dtype and library of the outputs. For labels the mean is weighted by the
            label's class; for mixed targets each class's term is multiplied by its weight, as in torch.
    """

    output: str = "logits"
    name: LossName | None = None
    label_smoothing: float = 0.0
    class_weights: Array | None = None

    def __post_init__(self) -> None:
        if self.output not in FITTING:
            raise ValueError(f"output: expected one of {', '.join(FITTING)}, got {self.output!r}")
        known = FITTING[self.output]
        if self.name is not None and self.name not in known:
            raise ValueError(f"name: expected {' or '.join(known)} for {self.output}, got {self.name!r}")
        check_number("label_smoothing", self.label_smoothing, 0, 1)
        if self.class_weights is not None:
            check_float(class_weights=self.class_weights)
            check_ndim("class_weights", self.class_weights, (1,), "(K,)")

    def plain(self) -> Loss:
        """Return the same loss without smoothing and class weights, to measure by."""
        return Loss(self.output, self.name)

    def forward(self, raw: Array, targets: Array) -> Array:
        """Return the mean loss, ().

        Args:
            raw: what the network put out, (B, K) or (B, 1).
            targets: labels (B,), whole numbers; or shares of classes (B, K) in the dtype of `raw`.

        Raises:
            ValueError: a shape does not fit, or a label is out of range.
            TypeError: no floating outputs.
        """
        _check_raw(raw, self.output)
        if self._squared:
            return F.mse_loss(raw[:, 0], *self._shares(raw, targets))
        return F.cross_entropy(as_logits(raw, self.output), targets, **self._settings())

    def backward(self, raw: Array, targets: Array) -> Array:
        """Return the gradient of the mean loss for `raw`, in its shape."""
        _check_raw(raw, self.output)
        one = full((), 1.0, raw)
        if self._squared:
            share, reduction, weight = self._shares(raw, targets)
            return F.mse_loss_backward(one, raw[:, 0], share, reduction, weight)[:, None]
        logits = as_logits(raw, self.output)
        slope = F.cross_entropy_backward(one, logits, targets, **self._settings())
        return as_logits_backward(slope, raw, self.output)

    def weighs_nothing(self, targets: Array) -> bool:
        """Tell whether all of these labels are of classes with weight 0, so that the mean is 0 / 0.

        Args:
            targets: labels (B,), or shares of classes (B, K), whose mean has no such divisor but for squares.
        """
        if self.class_weights is None or not targets.shape[0]:
            return False
        xp = namespace(self.class_weights, targets)
        if targets.ndim == 2:
            return self._squared and not xp.any((self.class_weights * targets) != 0)
        return not xp.any(xp.take(self.class_weights, targets) != 0)

    @property
    def _squared(self) -> bool:
        return (self.name or FITTING[self.output][0]) == "squared-error"

    def _settings(self) -> dict[str, Any]:
        return {"weight": self.class_weights, "label_smoothing": self.label_smoothing}

    def _shares(self, raw: Array, targets: Array) -> tuple[Array, str, Array | None]:
        """The smoothed share of the second class, the reduction, and each sample's weight."""
        share = _second_share(raw, targets)
        smoothed = share * (1 - self.label_smoothing) + self.label_smoothing / 2
        if self.class_weights is None:
            return smoothed, "mean", None
        check_shape("class_weights", self.class_weights, (2,))
        return smoothed, "mean", self.class_weights[0] * (1 - share) + self.class_weights[1] * share


def _check_raw(raw: Array, output: str) -> None:
    check_float(raw=raw)
    check_ndim("raw", raw, (2,), "(B, K)")
    if output in ("logit", "probability"):
        check_shape("raw", raw, (raw.shape[0], 1))


def _second_share(raw: Array, targets: Array) -> Array:
    """Return the share of the second of two classes, (B,), in the dtype of raw."""
    check_ndim("targets", targets, (1, 2), "labels (B,) or shares (B, 2)")
    check_shape("targets", targets, (raw.shape[0], 2)[: targets.ndim])
    if targets.ndim == 2:
        return targets[:, 1]
    xp = namespace(targets)
    if not xp.isdtype(targets.dtype, "integral") or xp.any((targets < 0) | (targets > 1)):
        raise ValueError(f"targets: expected labels 0 and 1, got {targets}")
    return xp.astype(targets, raw.dtype)


def as_logits(raw: Array, output: str) -> Array:
    """Return (B, K) logits whose softmax are the class probabilities.

    Args:
        raw: (B, K), or (B, 1) for one logit z, which becomes (0, z), or one probability p of the second
            class, which becomes (log(1 - p), log p).
        output: one of `FITTING`.
    """
    if output not in ("logit", "probability"):
        return raw
    xp = namespace(raw)
    if output == "logit":
        return xp.concat([zeros(raw.shape, raw), raw], axis=1)
    inside = _inside(raw)
    return xp.concat([xp.log(1 - inside), xp.log(inside)], axis=1)


def as_logits_backward(grad_output: Array, raw: Array, output: str) -> Array:
    """Return the gradient for `raw`: of a probability p, g1 / p - g0 / (1 - p), and 0 where p was clipped."""
    if output not in ("logit", "probability"):
        return grad_output
    if output == "logit":
        return grad_output[:, 1:]
    xp = namespace(raw)
    inside = _inside(raw)
    slope = grad_output[:, 1:] / inside - grad_output[:, :1] / (1 - inside)
    return xp.where(inside == raw, slope, xp.zeros_like(slope))


def predicted_classes(raw: Array, output: str) -> Array:
    """Return whole numbers (B,): the most probable class; of two, the second only if it is more probable."""
    xp = namespace(raw)
    if output in ("logit", "probability"):
        return xp.astype(raw[:, 0] > (0.0 if output == "logit" else 0.5), xp.int64)
    return xp.argmax(raw, axis=1)


def _inside(raw: Array) -> Array:
    epsilon = _EPSILON[str(raw.dtype).rpartition(".")[2]]
    return namespace(raw).clip(raw, epsilon, 1 - epsilon)
