"""A head with one hidden layer on frozen features; how long it learns and decays is cross-validated.

Adam with decoupled weight decay (Loshchilov and Hutter 2019) on the leading principal axes of the features.
The heads of all folds learn at once, as slices of the same products, from the same first weights and in the
same order; the epoch and the decay with the lowest loss on held-out samples are those of the head of all
samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from striate.features.axes import LinearHead, PrincipalAxes
from striate.features.folds import make_folds
from striate.features.heads import check_samples
from striate.features.logistic import cross_entropy
from striate.features.threads import one_thread

DECAYS = (1.0, 0.3, 0.1)
"""Shares of the weights by which a unit of the learning rate shrinks them."""
EPOCHS = 60
PATIENCE = 8
"""Epochs that may pass without a lower held-out loss."""
BATCH_SIZE = 128
LR = 3e-3
BETAS, EPSILON = (0.9, 0.999), 1e-8
SHARE, LEAST = 0.95, 256
"""Of the features' mean square, and of axes: along so many the layer learns."""
SMALL = 10**9
"""Multiplications of an epoch below which one thread does them."""


@dataclass(frozen=True)
class HiddenHead:
    """Features (N, F) to logits (N, K) by way of H units with ReLU.

    Attributes:
        hidden: features to the units.
        last: units to logits.
    """

    hidden: LinearHead
    last: LinearHead

    @property
    def layers(self) -> tuple[LinearHead, ...]:
        """Its layers, the first one first."""
        return (self.hidden, self.last)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return float32 (N, K) for float32 (N, F)."""
        return self.last.logits(np.maximum(self.hidden.logits(features), 0))


@dataclass(frozen=True)
class Course:
    """What the heads of all folds did on the samples that they had not seen.

    Attributes:
        decay: of the weights.
        losses: float64 (E,), mean cross-entropy after each epoch; likewise `accuracies`.
    """

    decay: float
    losses: np.ndarray
    accuracies: np.ndarray

    @property
    def best(self) -> int:
        """Position of the lowest loss; the epochs are one more."""
        return int(self.losses.argmin())


@dataclass(frozen=True)
class TrainedHiddenHead:
    """A head with a hidden layer and how it came to be.

    Attributes:
        head: features to logits.
        courses: one for each decay.
        folds: how many there were.
    """

    head: HiddenHead
    courses: tuple[Course, ...]
    folds: int

    @property
    def loss(self) -> float:
        """The lowest mean cross-entropy on held-out samples."""
        return min(float(course.losses.min()) for course in self.courses)

    @property
    def best(self) -> Course:
        """The course with the lowest loss."""
        return min(self.courses, key=lambda course: float(course.losses.min()))

    def describe(self) -> dict[str, float | int]:
        """Return what was chosen, and what it reached on held-out samples."""
        chosen = self.best
        return {
            "decay": chosen.decay,
            "head_epochs_run": chosen.best + 1,
            "folds": self.folds,
            "held_out_accuracy": float(chosen.accuracies[chosen.best]),
            "held_out_loss": float(chosen.losses[chosen.best]),
        }


def train_hidden_head(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    hidden: int,
    *,
    dropout: float = 0.0,
    levels: Sequence[int] = (),
    groups: Sequence[str] | None = None,
    seed: int = 0,
    axes: PrincipalAxes | None = None,
) -> TrainedHiddenHead:
    """Return a head with a hidden layer, chosen on these samples alone.

    Args:
        features: float32 (N, F), finite.
        labels: int64 (N,), 0 to num_classes - 1.
        num_classes: K.
        hidden: units H.
        dropout: share of the units that is set to zero in training.
        levels: as for `train_head`; likewise `groups`.
        groups: see above.
        seed: of folds, first weights, order and dropout.
        axes: as for `train_head`.

    Raises:
        ValueError: the arrays do not fit one another, or a feature is not finite.
    """
    check_samples(features, labels, levels)
    folds = make_folds(labels, groups, seed)
    axes = (axes or PrincipalAxes(features, levels)).leading(SHARE, LEAST)
    size = float(np.sqrt(axes.power.mean())) or 1.0
    task = _Task(axes.coordinates / np.float32(size), labels, num_classes, hidden, dropout, seed)
    with one_thread(len(labels) * hidden * axes.coordinates.shape[1] < SMALL):
        courses = tuple(_course(task, folds, decay) for decay in DECAYS)
        chosen = min(courses, key=lambda course: float(course.losses.min()))
        everyone = np.ones((1, len(labels)), np.float32)
        heads = next(
            heads for epoch, heads in enumerate(_learn(task, everyone, chosen.decay)) if epoch == chosen.best
        )
    first, bias, last, intercept = (values[0] for values in heads)
    below = axes.head(np.ascontiguousarray(first.T) / np.float32(size), bias[0])
    above = LinearHead(np.ascontiguousarray(last.T), intercept[0].copy())
    return TrainedHiddenHead(HiddenHead(below, above), courses, int(folds.max()) + 1)


@dataclass(frozen=True)
class _Task:
    """What the heads learn: N samples with R coordinates, K classes, H units; dropout and seed."""

    inputs: np.ndarray
    labels: np.ndarray
    num_classes: int
    hidden: int
    dropout: float
    seed: int


Weights = list[np.ndarray]
"""Of P heads: (P, R, H), (P, 1, H), (P, H, K), (P, 1, K)."""


def _course(task: _Task, folds: np.ndarray, decay: float) -> Course:
    """Return what heads that never see a fold do on it, epoch by epoch."""
    count = int(folds.max()) + 1
    used = (folds != np.arange(count)[:, None]).astype(np.float32)
    outside = [np.flatnonzero(folds == fold) for fold in range(count)]
    labels = np.concatenate([task.labels[rows] for rows in outside])
    losses: list[float] = []
    accuracies = []
    for heads in _learn(task, used, decay):
        parts = [_logits(heads, task.inputs[rows], fold) for fold, rows in enumerate(outside)]
        logits = np.concatenate(parts)
        losses.append(cross_entropy(logits, labels))
        accuracies.append(float((logits.argmax(axis=1) == labels).mean()))
        if len(losses) - 1 - int(np.argmin(losses)) >= PATIENCE:
            break
    return Course(decay, np.asarray(losses), np.asarray(accuracies))


def _learn(task: _Task, used: np.ndarray, decay: float) -> Iterator[Weights]:
    """Yield the weights of P heads after each epoch, up to `EPOCHS`; they change in place.

    Args:
        task: the samples.
        used: float32 (P, N), 1 for samples that a head sees, else 0.
        decay: of the weights.
    """
    generator = np.random.Generator(np.random.PCG64(task.seed))
    heads = _first_weights(task, len(used), generator)
    means, squares = ([np.zeros_like(values) for values in heads] for _ in range(2))
    step = 0
    for _ in range(EPOCHS):
        order = generator.permutation(len(task.labels))
        for start in range(0, len(order), BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE]
            step += 1
            for place, gradient in enumerate(_gradients(task, heads, rows, used[:, rows], generator)):
                _adam(heads[place], gradient, means[place], squares[place], step)
                if place in (0, 2):  # intercepts do not decay
                    heads[place] *= np.float32(1 - LR * decay)
        yield heads


def _first_weights(task: _Task, count: int, generator: np.random.Generator) -> Weights:
    """Return He's weights (2015), the same for each head."""
    sizes = (task.inputs.shape[1], task.hidden, task.num_classes)
    heads: Weights = []
    for inputs, outputs in itertools.pairwise(sizes):
        weight = generator.normal(0, np.sqrt(2 / inputs), (inputs, outputs)).astype(np.float32)
        heads += [np.repeat(weight[None], count, axis=0), np.zeros((count, 1, outputs), np.float32)]
    return heads


def _gradients(
    task: _Task, heads: Weights, rows: np.ndarray, used: np.ndarray, generator: np.random.Generator
) -> Weights:
    """Return the gradient of the mean cross-entropy of the samples `rows` that each head sees."""
    first, bias, last, intercept = heads
    inputs = task.inputs[rows]  # (B, R)
    units = np.maximum(inputs @ first + bias, 0)  # (P, B, H)
    if task.dropout:
        kept = generator.random(units.shape[1:], np.float32) >= task.dropout
        units *= kept.astype(np.float32) / np.float32(1 - task.dropout)
    logits = units @ last + intercept
    error = np.exp(logits - logits.max(axis=2, keepdims=True))
    error /= error.sum(axis=2, keepdims=True)
    error[:, np.arange(len(rows)), task.labels[rows]] -= 1
    error *= (used / np.maximum(used.sum(axis=1, keepdims=True), 1))[:, :, None]
    below = error @ last.transpose(0, 2, 1)
    below *= units > 0
    if task.dropout:
        below /= np.float32(1 - task.dropout)
    return [
        inputs.T @ below,
        below.sum(axis=1, keepdims=True),
        units.transpose(0, 2, 1) @ error,
        error.sum(axis=1, keepdims=True),
    ]


def _adam(values: np.ndarray, gradient: np.ndarray, mean: np.ndarray, square: np.ndarray, step: int) -> None:
    """Kingma and Ba (2015), algorithm 1, in place."""
    for average, new, beta in ((mean, gradient, BETAS[0]), (square, gradient * gradient, BETAS[1])):
        average *= np.float32(beta)
        average += np.float32(1 - beta) * new
    rate = LR * np.sqrt(1 - BETAS[1] ** step) / (1 - BETAS[0] ** step)
    values -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(EPSILON))


def _logits(heads: Weights, inputs: np.ndarray, place: int) -> np.ndarray:
    """Return float32 (n, K) of one of the heads."""
    first, bias, last, intercept = (values[place] for values in heads)
    logits: np.ndarray = np.maximum(inputs @ first + bias, 0) @ last + intercept
    return logits
