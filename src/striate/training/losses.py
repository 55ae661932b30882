"""Losses by what the network puts out, for labels and for mixed targets.

Cross-entropy, negative log-likelihood and binary cross-entropy are one loss in three parametrisations: with
raw outputs turned into logits -- log-probabilities are logits already, one logit `z` stands for `(0, z)` --
all three are `torch.nn.functional.cross_entropy`; smoothing, class weights and soft targets mean the same in
each.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from striate.engine.losses import LossName
from striate.schemas import Output


class Loss:
    """A mean loss over a batch.

    Args:
        output: what the network puts out.
        name: one of `FITTING[output]`.
        label_smoothing: share of each target spread evenly over all classes (Szegedy et al. 2016, sec. 7).
        class_weights: float32 (K,) or None. For labels, the mean is weighted by the label's class; for mixed
            targets, each class's term is multiplied by its weight, as in torch.
    """

    def __init__(
        self,
        output: Output,
        name: LossName,
        *,
        label_smoothing: float = 0.0,
        class_weights: torch.Tensor | None = None,
    ) -> None:
        self.output = output
        self.name = name
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights

    def plain(self) -> Loss:
        """Return the same loss without smoothing and class weights, to measure by."""
        return Loss(self.output, self.name)

    def __call__(self, raw: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss, float32 ().

        Args:
            raw: what the network put out, float32 (B, K) or (B, 1).
            targets: int64 (B,) labels, or float32 (B, K) class shares.
        """
        if self.name == "squared-error":
            return self._squared_error(raw, targets)
        logits = as_logits(raw, self.output)
        return F.cross_entropy(
            logits, targets, weight=self.class_weights, label_smoothing=self.label_smoothing
        )

    def each(self, raw: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of each image without smoothing and class weights, float32 (B,).

        Args:
            raw: what the network put out, float32 (B, K) or (B, 1).
            labels: int64 (B,).
        """
        if self.name == "squared-error":
            return (raw[:, 0] - labels.to(raw.dtype)).square()
        return F.cross_entropy(as_logits(raw, self.output), labels, reduction="none")

    def _squared_error(self, raw: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the (weighted) mean of (p - t)^2 with t the share of the second class."""
        shares = targets[:, 1] if targets.is_floating_point() else targets.to(raw.dtype)
        smoothed = shares * (1 - self.label_smoothing) + self.label_smoothing / 2
        squares = (raw[:, 0] - smoothed).square()
        if self.class_weights is None:
            return squares.mean()
        weights = self.class_weights[0] * (1 - shares) + self.class_weights[1] * shares
        return (weights * squares).sum() / weights.sum()


def as_logits(raw: torch.Tensor, output: Output) -> torch.Tensor:
    """Return (B, K) logits for raw outputs (B, K) or (B, 1): softmax of them gives the probabilities."""
    if output == "logit":
        return torch.cat([torch.zeros_like(raw), raw], dim=1)
    if output == "probability":
        tiny = torch.finfo(raw.dtype).eps
        probability = raw.clamp(tiny, 1 - tiny)
        return torch.cat([(1 - probability).log(), probability.log()], dim=1)
    return raw


def predicted_classes(raw: torch.Tensor, output: Output) -> torch.Tensor:
    """Return int64 (B,): the most probable class; class 1 of two only if it is more probable than class 0."""
    if output == "logit":
        return (raw[:, 0] > 0).long()
    if output == "probability":
        return (raw[:, 0] > 0.5).long()
    return raw.argmax(dim=1)


def hard_labels(targets: torch.Tensor) -> torch.Tensor:
    """Return int64 (B,): `targets` if they are labels, else the class with the largest share of each."""
    return targets.argmax(dim=1) if targets.is_floating_point() else targets
