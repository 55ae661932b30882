"""One network on both engines, side by side: the same weights, images and dropout masks. Needs torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from striate.architectures import comparison, watching_torch
from striate.architectures.building import assemble
from striate.architectures.comparison import Measured
from striate.architectures.shapes import infer_shapes, walk
from striate.architectures.spec import Spec
from striate.engine import optim
from striate.engine.losses import Loss
from striate.engine.network import Seen, watching

TorchLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
LOSS = "loss"
NETWORK = "whole network"
"""These stand where the table has a layer."""
OPTIMIZERS: dict[str, tuple[Callable[..., optim.Optimizer], Callable[..., torch.optim.Optimizer]]] = {
    "sgd": (optim.SGD, torch.optim.SGD),
    "adam": (optim.Adam, torch.optim.Adam),
    "adamw": (optim.AdamW, torch.optim.AdamW),
}


class Batch(NamedTuple):
    """Images (B, C, H, W), floating, and labels (B,), int64."""

    inputs: np.ndarray
    labels: np.ndarray


class BothEngines:
    """A network twice, with the same weights.

    Args:
        spec: the network.
        input_shape: (C, H, W).
        num_classes: at least 2.
        weights: all weights and buffers by name.
        torch_loss: the mean loss of raw outputs and labels, as torch computes it; the engine's follows from
            the spec.
        dtype: `float64` or `float32`.

    Attributes:
        ours: the glass-box network.
        theirs: the torch module.
    """

    def __init__(
        self,
        spec: Spec,
        input_shape: Sequence[int],
        num_classes: int,
        weights: Mapping[str, np.ndarray],
        torch_loss: TorchLoss,
        dtype: str = "float64",
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.ours = assemble(spec, input_shape, num_classes, weights, "numpy")
        self.ours.map_arrays(lambda array: array.astype(self.dtype))
        self.theirs = assemble(spec, input_shape, num_classes, weights, "torch")
        self.theirs.to(getattr(torch, dtype))
        watching_torch.take_masks_from_outside(self.theirs)
        self.loss, self.torch_loss = Loss(spec.output), torch_loss
        steps = walk(infer_shapes(spec, input_shape, num_classes))
        self.kinds = {step.path: step.layer.kind for step in steps}

    def compare(self, batch: Batch, mode: str, seed: int = 0) -> list[Measured]:
        """Return how far apart all outputs and gradients of one batch are, in the order of computation.

        Both go in step: torch's modules get the inputs that ours got, see `watching_torch.watching`. In
        training the running statistics that the batch has moved are compared too.

        Args:
            batch: some images.
            mode: `training` or `evaluation`.
            seed: of the dropout masks.
        """
        self._start(mode == "training", seed)
        x = batch.inputs.astype(self.dtype, order="C")
        with watching(self.ours) as mine, watching_torch.watching(self.theirs, mine.outputs) as other:
            raw, raw_tensor = self._forward(x, torch.from_numpy(x.copy()).requires_grad_())
            measured = [*self._outputs(mode, mine, other), *self._buffers(mode)]
            raw_tensor.retain_grad()
            loss = self._backward_torch(raw_tensor, batch.labels)
            grad = self.loss.backward(raw, batch.labels)
            value = np.asarray(self.loss.forward(raw, batch.labels))
            measured.append(Measured(mode, LOSS, LOSS, "value", comparison.difference(value, _array(loss))))
            apart = comparison.difference(grad, _array(raw_tensor.grad))
            measured.append(Measured(mode, LOSS, LOSS, "gradient", apart))
            self.ours.backward(grad)
        return [*measured, *self._gradients(mode, mine, other)]

    def compare_predictions(self, inputs: np.ndarray) -> tuple[Measured, np.ndarray, np.ndarray]:
        """Return how far apart the outputs in evaluation are, and the outputs, ours first.

        Here each engine goes its own way, and its rounding adds up from layer to layer.

        Args:
            inputs: images (N, C, H, W).
        """
        x = inputs.astype(self.dtype, order="C")
        with torch.no_grad():
            ours, theirs = self.ours.predict(x), self.theirs.eval()(torch.from_numpy(x)).numpy()
        apart = comparison.difference(ours, theirs)
        return Measured("evaluation", NETWORK, NETWORK, comparison.OUTPUT, apart), ours, theirs

    def train(
        self,
        batches: Iterable[Batch],
        optimizer: str = "sgd",
        seed: int = 0,
        on_step: Callable[[int], None] | None = None,
        **settings: float,
    ) -> list[tuple[float, float]]:
        """Train both, a step a batch; return the losses before each step, ours and torch's.

        Args:
            batches: some images each.
            optimizer: one of `OPTIMIZERS`, at its defaults but for the `settings`.
            seed: of the dropout masks, new ones each step.
            on_step: called with the number of steps done.
            settings: of the optimizer: `lr`, `momentum`, ...
        """
        ours, theirs = self._optimizers(optimizer, settings)
        losses = []
        for number, batch in enumerate(batches, start=1):
            self._start(True, seed, number)
            x = batch.inputs.astype(self.dtype, order="C")
            raw, raw_tensor = self._forward(x, torch.from_numpy(x))
            loss = self._backward_torch(raw_tensor, batch.labels)
            self.ours.backward(self.loss.backward(raw, batch.labels))
            losses.append((float(self.loss.forward(raw, batch.labels)), float(loss.detach())))
            ours.step()
            theirs.step()
            if on_step is not None:
                on_step(number)
        return losses

    def train_in_step(
        self,
        batches: Iterable[Batch],
        optimizer: str = "sgd",
        seed: int = 0,
        on_step: Callable[[int], None] | None = None,
        **settings: float,
    ) -> list[tuple[float, float]]:
        """Train both as `train` does, but each step from the same weights, torch's layers getting our inputs.

        So rounding cannot grow, and a tie in a pooling window is decided alike. What remains is a difference
        of the layers, or of the optimizers, each of which keeps what it remembers from step to step.

        Args:
            batches: some images each.
            optimizer: one of `OPTIMIZERS`.
            seed: of the dropout masks.
            on_step: called with the number of steps done.
            settings: of the optimizer.

        Returns:
            The losses of each batch in evaluation, after the step that it made, ours and torch's.
        """
        ours, theirs = self._optimizers(optimizer, settings)
        losses = []
        for number, batch in enumerate(batches, start=1):
            self._share_weights()
            self._start(True, seed, number)
            x = batch.inputs.astype(self.dtype, order="C")
            with watching(self.ours) as mine, watching_torch.watching(self.theirs, mine.outputs):
                raw, raw_tensor = self._forward(x, torch.from_numpy(x.copy()).requires_grad_())
                self._backward_torch(raw_tensor, batch.labels)
                self.ours.backward(self.loss.backward(raw, batch.labels))
            ours.step()
            theirs.step()
            with torch.no_grad():
                outputs = self.theirs.eval()(torch.from_numpy(x.copy()))
                loss = self.torch_loss(outputs, torch.from_numpy(batch.labels))
            losses.append((float(self.loss.forward(self.ours.predict(x), batch.labels)), float(loss)))
            if on_step is not None:
                on_step(number)
        return losses

    def _optimizers(
        self, name: str, settings: Mapping[str, float]
    ) -> tuple[optim.Optimizer, torch.optim.Optimizer]:
        make_ours, make_theirs = OPTIMIZERS[name]
        ours = make_ours(self.ours.parameters(), **settings)
        return ours, make_theirs(self.theirs.parameters(), **settings)

    def _share_weights(self) -> None:
        """Give torch's network our weights and running statistics."""
        state = self.ours.state_dict()
        with torch.no_grad():
            for name, tensor in self.theirs.state_dict(keep_vars=True).items():
                tensor.copy_(torch.from_numpy(state[name]))

    def _start(self, training: bool, *seed: int) -> None:
        """Set the mode, forget all gradients, and let our dropouts draw anew."""
        self.ours.train(training).zero_grad()
        self.ours.seed(*seed)
        self.theirs.train(training).zero_grad()

    def _forward(self, x: np.ndarray, tensor: torch.Tensor) -> tuple[np.ndarray, torch.Tensor]:
        """Ours goes first: its dropouts draw the masks that torch's then take."""
        raw = self.ours.forward(x)
        watching_torch.share_masks(self.ours, self.theirs)
        return raw, self.theirs(tensor)

    def _backward_torch(self, raw: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
        """Return torch's loss, after its backward pass."""
        loss = self.torch_loss(raw, torch.from_numpy(labels))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _outputs(self, mode: str, mine: Seen, other: Seen) -> list[Measured]:
        """Compare the outputs of all layers, and let go of them."""
        measured = []
        for path in mine.outputs:
            apart = _apart(path, mine.outputs, other.outputs)
            measured.append(Measured(mode, path, self._kind(path), comparison.OUTPUT, apart))
        mine.outputs.clear()
        other.outputs.clear()
        return measured

    def _buffers(self, mode: str) -> Iterator[Measured]:
        """Compare the running statistics."""
        ours = _by_layer(self.ours.buffers())
        theirs = _by_layer({name: _array(buffer) for name, buffer in self.theirs.named_buffers()})
        for path in ours if mode == "training" else ():
            for name, apart in comparison.together(ours[path], theirs[path]).items():
                yield Measured(mode, path, self._kind(path), name, apart)

    def _gradients(self, mode: str, mine: Seen, other: Seen) -> Iterator[Measured]:
        """Compare each layer's gradients, last layer first: of its parameters, then of its input."""
        own = {name: parameter.grad for name, parameter in self.ours.parameters().items()}
        ours = _by_layer({name: grad for name, grad in own.items() if grad is not None})
        given = {name: parameter.grad for name, parameter in self.theirs.named_parameters()}
        theirs = _by_layer({name: _array(grad) for name, grad in given.items() if grad is not None})
        for path in mine.input_grads:
            kind = self._kind(path)
            for name, apart in comparison.together(ours[path], theirs[path]).items():
                yield Measured(mode, path, kind, f"{comparison.PARAMETER_GRADIENT}{name}", apart)
            apart = _apart(path, mine.input_grads, other.input_grads)
            yield Measured(mode, path, kind, comparison.INPUT_GRADIENT, apart)

    def _kind(self, path: str) -> str:
        return self.kinds.get(path, "sequential")  # a shortcut or a branch


def _apart(
    path: str, ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> comparison.Difference:
    if path not in theirs:
        return comparison.Difference(np.inf, np.inf)
    return comparison.difference(ours[path], theirs[path])


def _by_layer(arrays: Mapping[str, np.ndarray]) -> defaultdict[str, dict[str, np.ndarray]]:
    """Return arrays by layer and then by name: `conv1.weight` is `weight` of `conv1`."""
    layers: defaultdict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for path, array in arrays.items():
        layer, _, name = path.rpartition(".")
        layers[layer][name] = array
    return layers


def _array(tensor: Any) -> np.ndarray:
    array: np.ndarray = tensor.detach().numpy()
    return array
