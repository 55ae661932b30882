"""One optimizer step, one evaluation of a batch, and the sums over an epoch."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch.optim.swa_utils import AveragedModel

from striate.schemas import Output
from striate.stopwatch import UNTIMED, Clock
from striate.training.devices import Engine
from striate.training.losses import Loss, hard_labels, predicted_classes
from striate.training.optimizers import set_lr
from striate.training.selection import Selection

if TYPE_CHECKING:
    from striate.data.loaders import Batch


class Tally:
    """Loss and hits summed over the batches of an epoch, on the device that computed them."""

    def __init__(self, device: torch.device) -> None:
        number = torch.float32 if device.type == "mps" else torch.float64
        self.loss_sum = torch.zeros((), dtype=number, device=device)
        self.hits = torch.zeros((), dtype=torch.int64, device=device)
        self.images = 0

    def add(self, loss: torch.Tensor, predicted: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch: its mean loss (), predicted classes and labels (B,)."""
        self.loss_sum += loss.detach() * len(labels)
        self.hits += (predicted == labels).sum()
        self.images += len(labels)

    def is_finite(self) -> bool:
        """Whether every loss so far was finite; waits for the device."""
        return bool(torch.isfinite(self.loss_sum))

    def means(self) -> tuple[float, float]:
        """Return mean loss and accuracy."""
        return float(self.loss_sum) / self.images, int(self.hits) / self.images


class Stepper:
    """Trains and evaluates a network batch by batch.

    Args:
        network: on its device, in its memory format.
        output: what the network puts out.
        loss: to minimise; validation uses its plain form.
        optimizer: over the network's parameters.
        engine: device, precision and memory format.
        clip_grad: largest norm of the gradient, or None.
        average: of the weights, updated after each step and evaluated in the network's place; None: none.
        clock: told the parts of a step.
        selection: told the loss of each image trained on, if there is one.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        output: Output,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        engine: Engine,
        clip_grad: float | None = None,
        average: AveragedModel | None = None,
        clock: Clock = UNTIMED,
        selection: Selection | None = None,
    ) -> None:
        self.network = network
        self.output = output
        self.loss = loss
        self.plain_loss = loss.plain()
        self.optimizer = optimizer
        self.clip_grad = clip_grad
        self.average = average
        self.clock = clock
        self.selection = selection
        self.device = torch.device(engine.device)
        self._bf16 = engine.precision == "bf16"
        self._channels_last = engine.memory_format == "channels-last"
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]

    @property
    def judged(self) -> torch.nn.Module:
        """What is evaluated and kept: the average of the weights if there is one, else the network."""
        return self.network if self.average is None else self.average.module

    def train(self, batch: Batch, lr: float, tally: Tally) -> torch.Tensor:
        """Make one optimizer step on `batch` at learning rate `lr`; return the mean loss before it, ()."""
        part = self.clock.part
        with part("transfer"):
            inputs, targets = self._inputs(batch), batch.targets.to(self.device, non_blocking=True)
        with part("forward"):
            raw = self._forward(self.network, inputs)
            loss = self.loss(raw, targets)
        with part("logging"):
            tally.add(loss, predicted_classes(raw.detach(), self.output), hard_labels(targets))
            if self.selection is not None:
                losses = self.loss.each(raw.detach(), targets)
                self.selection.add(batch.indices.numpy(), losses.cpu().numpy())
        with part("backward"):
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
        with part("optimizer"):
            self._update(lr)
        return loss.detach()

    def _update(self, lr: float) -> None:
        """Change the weights by their gradients, and their average with them."""
        if self.clip_grad is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.clip_grad)
        set_lr(self.optimizer, lr)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.network)

    def evaluate(self, batch: Batch, tally: Tally) -> None:
        """Add the plain loss and hits of `batch`; the caller has put the network in evaluation mode."""
        labels = batch.labels.to(self.device, non_blocking=True)
        raw = self._forward(self.judged, self._inputs(batch))
        tally.add(self.plain_loss(raw, labels), predicted_classes(raw, self.output), labels)

    def _inputs(self, batch: Batch) -> torch.Tensor:
        """Return the images (B, C, H, W) on the device, in the network's memory format."""
        inputs = batch.inputs.to(self.device, non_blocking=True)
        return inputs.contiguous(memory_format=torch.channels_last) if self._channels_last else inputs

    def _forward(self, network: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        """Return the raw outputs, float32 (B, K) or (B, 1)."""
        with self._autocast():
            raw: torch.Tensor = network(inputs)
        return raw.float()

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self._bf16 else nullcontext()
