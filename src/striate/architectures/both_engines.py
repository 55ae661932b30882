"""One network on both engines, side by side: the same weights, images and dropout masks. Needs torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
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
        exact: whether to compute all in float64 as well, with torch, and measure both engines' errors by it.

    Attributes:
        ours: the glass-box network.
        theirs: the torch module.
        exact: the same module in float64, or None.
    """

    def __init__(
        self,
        spec: Spec,
        input_shape: Sequence[int],
        num_classes: int,
        weights: Mapping[str, np.ndarray],
        torch_loss: TorchLoss,
        dtype: str = "float64",
        exact: bool = False,
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.ours = assemble(spec, input_shape, num_classes, weights, "numpy")
        self.ours.map_arrays(lambda array: array.astype(self.dtype))
        self.theirs = assemble(spec, input_shape, num_classes, weights, "torch")
        self.theirs.to(getattr(torch, dtype))
        self.exact = assemble(spec, input_shape, num_classes, weights, "torch").double() if exact else None
        for network in self._torch_networks():
            watching_torch.take_masks_from_outside(network)
        self.loss, self.torch_loss = Loss(spec.output), torch_loss
        steps = walk(infer_shapes(spec, input_shape, num_classes))
        self.kinds = {step.path: step.layer.kind for step in steps}

    def compare(self, batch: Batch, mode: str, seed: int = 0) -> list[Measured]:
        """Return how far apart all outputs and gradients of one batch are, in the order of computation.

        Both go in step: torch's modules get the inputs that ours got, see `watching_torch.watching`. In
        training the running statistics that the batch has moved are compared too.

        With `exact`, float64 goes in step too, from the same inputs of each layer, so that its numbers show
        what the layer's own rounding is.

        Args:
            batch: some images.
            mode: `training` or `evaluation`.
            seed: of the dropout masks.
        """
        self._start(mode == "training", seed)
        x = batch.inputs.astype(self.dtype, order="C")
        with (
            watching(self.ours) as mine,
            watching_torch.watching(self.theirs, mine.outputs) as other,
            self._watching_exact(mine.outputs) as truth,
        ):
            raw, raw_tensor = self._forward(x, torch.from_numpy(x.copy()).requires_grad_())
            exact = self._loss_of_exact(x, batch.labels)
            measured = [*self._outputs(mode, mine, other, truth), *self._buffers(mode)]
            raw_tensor.retain_grad()
            loss = self._backward_torch(raw_tensor, batch.labels)
            grad = self.loss.backward(raw, batch.labels)
            value = np.asarray(self.loss.forward(raw, batch.labels))
            ours = {"value": value, "gradient": grad}
            theirs = {"value": _array(loss), "gradient": _array(raw_tensor.grad)}
            for name in ours:
                measured.append(Measured(mode, LOSS, LOSS, name, *_apart(name, ours, theirs, exact)))
            self.ours.backward(grad)
        return [*measured, *self._gradients(mode, mine, other, truth)]

    def compare_predictions(self, inputs: np.ndarray) -> tuple[Measured, np.ndarray, np.ndarray]:
        """Return how far apart the outputs in evaluation are, and the outputs, ours first.

        Here each engine goes its own way, and its rounding adds up from layer to layer.

        Args:
            inputs: images (N, C, H, W).
        """
        x = inputs.astype(self.dtype, order="C")
        with torch.no_grad():
            ours, theirs = self.ours.predict(x), self.theirs.eval()(torch.from_numpy(x)).numpy()
            exact = {}
            if self.exact is not None:
                exact[NETWORK] = self.exact.eval()(torch.from_numpy(x).double()).numpy()
        apart = _apart(NETWORK, {NETWORK: ours}, {NETWORK: theirs}, exact)
        return Measured("evaluation", NETWORK, NETWORK, comparison.OUTPUT, *apart), ours, theirs

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
        for network in self._torch_networks():
            network.train(training).zero_grad()

    def _forward(self, x: np.ndarray, tensor: torch.Tensor) -> tuple[np.ndarray, torch.Tensor]:
        """Ours goes first: its dropouts draw the masks that torch's then take."""
        raw = self.ours.forward(x)
        watching_torch.share_masks(self.ours, self.theirs)
        return raw, self.theirs(tensor)

    def _torch_networks(self) -> list[torch.nn.Module]:
        return [self.theirs] if self.exact is None else [self.theirs, self.exact]

    def _watching_exact(self, given: Mapping[str, np.ndarray]) -> AbstractContextManager[Seen]:
        return nullcontext(Seen()) if self.exact is None else watching_torch.watching(self.exact, given)

    def _loss_of_exact(self, x: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Send a batch through the network in float64 and back; return the loss and its gradient."""
        if self.exact is None:
            return {}
        watching_torch.share_masks(self.ours, self.exact)
        raw = self.exact(torch.from_numpy(x).double().requires_grad_())
        raw.retain_grad()
        loss = self._backward_torch(raw, labels)
        return {"value": _array(loss), "gradient": _array(raw.grad)}

    def _backward_torch(self, raw: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
        """Return torch's loss, after its backward pass."""
        loss = self.torch_loss(raw, torch.from_numpy(labels))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _outputs(self, mode: str, mine: Seen, other: Seen, truth: Seen) -> list[Measured]:
        """Compare the outputs of all layers, and let go of them."""
        measured = []
        for path in mine.outputs:
            apart = _apart(path, mine.outputs, other.outputs, truth.outputs)
            measured.append(Measured(mode, path, self._kind(path), comparison.OUTPUT, *apart))
        for seen in (mine, other, truth):
            seen.outputs.clear()
        return measured

    def _buffers(self, mode: str) -> Iterator[Measured]:
        """Compare the running statistics."""
        ours = _by_layer(self.ours.buffers())
        theirs, exact = (_by_layer(_buffers_of(network)) for network in (self.theirs, self.exact))
        for path in ours if mode == "training" else ():
            for name, apart in _together(ours[path], theirs[path], exact[path]):
                yield Measured(mode, path, self._kind(path), name, *apart)

    def _gradients(self, mode: str, mine: Seen, other: Seen, truth: Seen) -> Iterator[Measured]:
        """Compare each layer's gradients, last layer first: of its parameters, then of its input."""
        own = {name: parameter.grad for name, parameter in self.ours.parameters().items()}
        ours = _by_layer({name: grad for name, grad in own.items() if grad is not None})
        theirs, exact = (_by_layer(_gradients_of(network)) for network in (self.theirs, self.exact))
        for path in mine.input_grads:
            kind = self._kind(path)
            for name, apart in _together(ours[path], theirs[path], exact[path]):
                yield Measured(mode, path, kind, f"{comparison.PARAMETER_GRADIENT}{name}", *apart)
            apart = _apart(path, mine.input_grads, other.input_grads, truth.input_grads)
            yield Measured(mode, path, kind, comparison.INPUT_GRADIENT, *apart)

    def _kind(self, path: str) -> str:
        return self.kinds.get(path, "sequential")  # a shortcut or a branch


def _apart(
    name: str,
    ours: Mapping[str, np.ndarray],
    theirs: Mapping[str, np.ndarray],
    exact: Mapping[str, np.ndarray],
) -> tuple[comparison.Difference, comparison.Errors | None]:
    """Return how far both arrays of this name are apart, and how far either is from the exact one."""
    if name not in theirs:
        return comparison.Difference(np.inf, np.inf), None
    apart = comparison.difference(ours[name], theirs[name])
    return apart, comparison.errors(name, ours, theirs, exact)


def _together(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, tuple[comparison.Difference, comparison.Errors | None]]]:
    """Yield the same, with the name, for all arrays of a layer, which are measured by one scale."""
    scale = comparison.largest(exact.values())
    for name, apart in comparison.together(ours, theirs).items():
        yield name, (apart, comparison.errors(name, ours, theirs, exact, scale))


def _buffers_of(network: torch.nn.Module | None) -> dict[str, np.ndarray]:
    return {} if network is None else {name: _array(buffer) for name, buffer in network.named_buffers()}


def _gradients_of(network: torch.nn.Module | None) -> dict[str, np.ndarray]:
    named = [] if network is None else network.named_parameters()
    return {name: _array(one.grad) for name, one in named if one.grad is not None}


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
