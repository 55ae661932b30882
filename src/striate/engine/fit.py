"""Training: epochs of steps, each forward, loss, backward, update.

::

    from striate import engine

    samples = engine.Samples(images, labels, batch_size=64)
    network = build("gray-cnn", (1, 28, 28), 10, "numpy")
    history = engine.fit(network, samples, epochs=5, optimizer=engine.Adam(network.parameters(), 1e-3))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from striate.engine.backend import Array, check_number, check_whole, from_numpy, is_numpy, namespace
from striate.engine.losses import Loss, predicted_classes
from striate.engine.network import Network, watching
from striate.engine.optim import Optimizer
from striate.engine.parameter import Parameter

OnStep = Callable[[int, "Totals"], None]


class Batch(Protocol):
    """Some images: `inputs` (B, C, H, W), `targets` labels (B,) or shares (B, K), and their `labels` (B,)."""

    @property
    def inputs(self) -> np.ndarray: ...  # noqa: D102
    @property
    def targets(self) -> np.ndarray: ...  # noqa: D102
    @property
    def labels(self) -> np.ndarray: ...  # noqa: D102


class Batches(Protocol):
    """What `fit` trains on."""

    def __len__(self) -> int: ...
    def epoch(self, number: int) -> Iterator[Any]:
        """Yield the batches (each a `Batch`) of an epoch, counted from 0."""
        ...


class NotFiniteError(ArithmeticError):
    """The loss or a weight became infinite or undefined; the message names where that begins."""


@dataclass
class Totals:
    """Loss and hits summed over the images of an epoch so far."""

    loss: float = 0.0
    hits: int = 0
    images: int = 0

    def add(self, loss: float, raw: Array, targets: Array, output: str) -> None:
        """Add a batch: its mean loss, what the network put out, and labels (B,) or shares (B, K)."""
        xp, images = namespace(raw, targets), targets.shape[0]
        labels = xp.argmax(targets, axis=1) if targets.ndim == 2 else targets
        self.loss += loss * images
        self.hits += int(xp.sum(xp.astype(predicted_classes(raw, output) == labels, xp.int64)))
        self.images += images

    def means(self) -> tuple[float, float]:
        """Return mean loss and accuracy."""
        return self.loss / max(1, self.images), self.hits / max(1, self.images)


class History(NamedTuple):
    """What came of a training.

    Attributes:
        epochs: a row an epoch: `epoch` (from 1), `lr`, `train_loss`, `train_accuracy`, `val_loss`,
            `val_accuracy` (None without validation) and `best`, whether it was the best so far.
        best_epoch: the epoch whose weights the network now has: that of the lowest validation loss, or the
            last one without validation.
    """

    epochs: list[dict[str, Any]]
    best_epoch: int


def fit(
    network: Network,
    train: Batches,
    val: Batches | None = None,
    *,
    epochs: int,
    optimizer: Optimizer,
    loss: Loss | None = None,
    rate: Callable[[int], float] | None = None,
    seed: int = 0,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> History:
    """Train `network` in place and leave it with the weights of its best epoch, in evaluation mode.

    Args:
        network: of the engine.
        train: training batches.
        val: validation batches, which choose the best epoch.
        epochs: passes over the training batches.
        optimizer: over the network's parameters.
        loss: by default the one that fits `network.output`.
        rate: learning rate of each optimizer step, counted from 0; by default the optimizer's own.
        seed: of dropout, together with the epoch.
        on_epoch: called with each row of the history.

    Raises:
        NotFiniteError: a loss is infinite or undefined, or after an epoch a weight; names where that begins.
        ValueError: no epochs, or an optimizer over the parameters of another network.
        TypeError: no network, loss or optimizer of the engine, no batches, or a rate that is no function.
    """
    _check_fit(network, optimizer, loss, rate, train=train, val=val)
    check_whole("epochs", epochs)
    check_whole("seed", seed, 0)
    loss = loss or Loss(network.output)
    steady = optimizer.lr
    rows: list[dict[str, Any]] = []
    best, kept = 0, network.state_dict()
    for number in range(epochs):
        network.seed(seed, number)
        rates = _rates(rate, number * len(train), steady)
        measured = train_epoch(network, train, number, loss, optimizer, rates).means()
        checked = evaluate(network, val, loss).means() if val is not None else (None, None)
        _check_weights(network, number, optimizer.lr)
        better = not rows or checked[0] is None or checked[0] < rows[best - 1]["val_loss"]
        names = ("epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "best")
        rows.append(dict(zip(names, (number + 1, optimizer.lr, *measured, *checked, better), strict=True)))
        if better:
            best, kept = number + 1, network.state_dict()
        if on_epoch is not None:
            on_epoch(rows[-1])
    network.load_state_dict(kept)
    network.eval()
    return History(rows, best)


def train_epoch(
    network: Network,
    batches: Batches,
    number: int,
    loss: Loss,
    optimizer: Optimizer,
    rate: Callable[[int], float],
    clip_grad: float | None = None,
    on_step: OnStep | None = None,
) -> Totals:
    """Make one optimizer step for each batch of epoch `number`, counted from 0, at rate(0), rate(1), ..."""
    network.train()
    totals, like = Totals(), _any_value(optimizer.parameters)
    for step, batch in enumerate(batches.epoch(number)):
        x, targets = _bring(batch.inputs, like), _bring(batch.targets, like)
        optimizer.lr = rate(step)
        with np.errstate(over="ignore", invalid="ignore"):  # what it leads to is looked for, and explained
            raw = network.forward(x)
            value = float(loss.forward(raw, targets))
            if not math.isfinite(value):
                network.forget()
                raise NotFiniteError(
                    f"the training loss is not finite in epoch {number + 1}, step {step + 1} (learning rate "
                    f"{optimizer.lr:.3g}); {_explain_loss(network, loss, x, targets)}"
                )
            totals.add(value, raw, targets, network.output)
            optimizer.zero_grad()
            with network.without_input_grad():  # nobody asks for the gradient of the images
                network.backward(loss.backward(raw, targets))
            if clip_grad is not None:
                clip_gradients(optimizer.parameters, clip_grad)
            optimizer.step()
        if on_step is not None:
            on_step(step, totals)
    return totals


def evaluate(network: Network, batches: Batches, loss: Loss, on_step: OnStep | None = None) -> Totals:
    """Return plain loss and hits over all batches, in evaluation mode.

    Raises:
        NotFiniteError: the loss is infinite or undefined; names the layer where that begins.
    """
    totals, like, plain = Totals(), _any_value(network.parameters()), loss.plain()
    for step, batch in enumerate(batches.epoch(0)):
        x, labels = _bring(batch.inputs, like), _bring(batch.labels, like)
        with np.errstate(over="ignore", invalid="ignore"):
            raw = network.predict(x)
            value = float(plain.forward(raw, labels))
            if not math.isfinite(value):
                network.eval()
                place = first_not_finite(network, x)
                raise NotFiniteError(f"the validation loss is not finite; the first such value is in {place}")
        totals.add(value, raw, labels, network.output)
        if on_step is not None:
            on_step(step, totals)
    return totals


def clip_gradients(parameters: Mapping[str, Parameter], largest: float) -> None:
    """Scale all gradients so that their common norm is at most `largest`.

    Source: Pascanu et al. 2013, algorithm 1.
    """
    different = {id(parameter): parameter for parameter in parameters.values()}  # several names, one gradient
    grads = [parameter.grad for parameter in different.values() if parameter.grad is not None]
    norm = math.sqrt(sum(float(namespace(grad).sum(grad * grad)) for grad in grads))
    if norm > largest:
        for grad in grads:
            grad *= largest / (norm + 1e-6)


def first_not_finite(network: Network, x: Array) -> str:
    """Return where the first infinite or undefined value is when `network` sees x: `the output of conv2`."""
    if not _finite(x):
        return "the images"
    for path, layer in network.walk():
        for name, parameter in layer.own_parameters().items():
            if not _finite(parameter.value):
                return f"{path}.{name}"
    with watching(network) as seen:
        network.forward(x)
    network.forget()
    broken = [path for path, output in seen.outputs.items() if not _finite(output)]
    return f"the output of {broken[0]}" if broken else "the loss itself"


def _check_fit(
    network: Network,
    optimizer: Optimizer,
    loss: Loss | None,
    rate: Callable[[int], float] | None,
    **batches: Batches | None,
) -> None:
    if not isinstance(network, Network):
        raise TypeError(f"network: expected a Network of the engine, got {type(network).__name__}")
    for name, given in batches.items():
        if not hasattr(given, "epoch") and not (name == "val" and given is None):
            raise TypeError(f"{name}: expected Samples(images, labels), got {type(given).__name__}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: expected SGD, Adam or AdamW, got {type(optimizer).__name__}")
    if loss is not None and not isinstance(loss, Loss):
        raise TypeError(f"loss: expected a Loss, got {type(loss).__name__}")
    if rate is not None and not callable(rate):
        raise TypeError(f"rate: expected a function of the step's number, got {type(rate).__name__}")
    own = {id(parameter) for parameter in network.parameters().values()}
    for name, parameter in optimizer.parameters.items():
        if id(parameter) not in own:
            raise ValueError(f"optimizer: expected parameters of this network, got another's {name}")


def _explain_loss(network: Network, loss: Loss, x: Array, targets: Array) -> str:
    """Say why the loss of a batch is not finite."""
    place = first_not_finite(network, x)
    if place == "the loss itself" and loss.weighs_nothing(targets):
        return (
            "all images of this batch are of classes with weight 0, so that their weighted mean is 0 / 0; "
            "use larger batches, leave these classes out, or give them a weight above 0"
        )
    return f"the first such value is in {place}"


def _check_weights(network: Network, number: int, lr: float) -> None:
    values = {name: parameter.value for name, parameter in network.parameters().items()}
    for name, array in {**values, **network.buffers()}.items():
        if not _finite(array):
            raise NotFiniteError(
                f"{name} is not finite after epoch {number + 1} (learning rate {lr:.3g}); "
                "a lower learning rate may help"
            )


def _rates(rate: Callable[[int], float] | None, first: int, steady: float) -> Callable[[int], float]:
    """Return the rate of each step of an epoch whose first step is number `first` of the training."""
    return lambda step: steady if rate is None else check_number("rate's result", rate(first + step), 0)


def _finite(array: Array) -> bool:
    xp = namespace(array)
    return bool(xp.all(xp.isfinite(array)))


def _any_value(parameters: Mapping[str, Parameter]) -> Array:
    return next((parameter.value for parameter in parameters.values()), np.zeros((), np.float32))


def _bring(values: np.ndarray, like: Array) -> Array:
    """Return `values` where the network computes: its library, device and, if floating, dtype."""
    if not is_numpy(like):
        return from_numpy(values, like)
    return values.astype(like.dtype, copy=False) if values.dtype.kind == "f" else values
