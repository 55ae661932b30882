"""A network that is looked into, with all that tells what its numbers mean. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.architectures import to_logits
from striate.errors import UserError
from striate.schemas import Output, Preprocess

if TYPE_CHECKING:
    from striate.backbones import Backbone
    from striate.inference import Classifier


@dataclass(frozen=True)
class Subject:
    """A torch network with its classes and its preprocessing.

    Attributes:
        name: for people.
        network: (N, C, H, W) float32 in, (N, K) or (N, 1) out, as `output` says.
        output: one of `striate.schemas.OUTPUTS`.
        class_names: (K,).
        preprocess: how an image becomes the network's input.
        temperature: logits are divided by it before softmax.
    """

    name: str
    network: nn.Module
    output: Output
    class_names: tuple[str, ...]
    preprocess: Preprocess
    temperature: float = 1.0

    @classmethod
    def of(cls, classifier: Classifier) -> Subject:
        """Return the network inside `classifier`.

        Raises:
            UserError: something else than torch computes it.
        """
        network = getattr(classifier.runtime, "network", None)
        if not isinstance(network, nn.Module):
            raise UserError(
                f"{classifier.record.name} runs on {classifier.runtime.name}; maps need torch's gradients. "
                'Load it with engine="torch".'
            )
        record = classifier.record
        return cls(
            record.name,
            network,
            classifier.output,
            record.class_names,
            classifier.preprocess,
            record.temperature,
        )

    @classmethod
    def of_backbone(cls, backbone: Backbone) -> Subject:
        """Return a pretrained network with its thousand classes."""
        preprocess = backbone.preprocess.as_input()
        network = backbone.build("torch").to(memory_format=torch.channels_last)
        return cls(backbone.spec.name, network, backbone.spec.output, backbone.class_names, preprocess)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next((one.device for one in self.network.parameters()), torch.device("cpu"))

    def tensor(self, pixels: np.ndarray) -> Tensor:
        """Return the network's input, (N, C, H, W) on its device, for uint8 (N, C, H, W) `pixels`."""
        inputs = torch.from_numpy(self.preprocess.normalize(pixels)).to(self.device)
        layout = torch.channels_last if self.device.type == "cpu" else torch.contiguous_format
        return inputs.contiguous(memory_format=layout)

    def scores(self, raw: Tensor) -> Tensor:
        """Return the score of each class, (N, K), that maps explain: its logit.

        A network with one output tells two classes apart by one logit z, the second's log-odds; their scores
        are -z and z.
        """
        logits = to_logits(raw, self.output)
        if self.output not in ("logit", "probability"):
            return logits
        odds = logits[:, 1:] - logits[:, :1]
        return torch.cat([-odds, odds], dim=1)

    def probabilities(self, raw: Tensor) -> Tensor:
        """Return the probability of each class, (N, K)."""
        return torch.softmax(to_logits(raw, self.output) / self.temperature, dim=1)

    def predict(self, inputs: Tensor) -> np.ndarray:
        """Return the probability of each class, float32 (N, K), for the network's inputs."""
        with held(self.network), torch.inference_mode():
            return self.probabilities(self.network(inputs)).float().cpu().numpy()

    @cached_property
    def last_convolution(self) -> str:
        """Name of the layer that holds what the last convolution found; see `layers.last_convolution`."""
        from striate.explain.layers import last_convolution

        return last_convolution(self.network, self.preprocess.input_shape)

    @cached_property
    def default_layer(self) -> str:
        """Name of the layer that maps look at unless another is named; see `layers.default_layer`."""
        from striate.explain.layers import default_layer

        return default_layer(self.network, self.preprocess.input_shape)

    def layer_for_people(self, layer: str) -> str:
        """Return a layer's name, shortened where it is long and its end says enough."""
        from striate.explain.layers import layer_names
        from striate.explain.naming import find_call, short_name

        names = layer_names(self.network)
        if not layer:
            return layer
        call = find_call(layer, names)
        return str(call._replace(name=short_name(call.name, names)))

    @property
    def warnings(self) -> list[str]:
        """What a reader of maps must know of this network."""
        if self.output != "log_probabilities":
            return []
        return [
            "The network ends in a softmax: one class's score falls where another's rises, "
            "so maps of different classes look alike."
        ]


@contextmanager
def held(network: nn.Module) -> Iterator[nn.Module]:
    """Hold a network still: evaluation mode, no gradients of parameters; as before when the block ends."""
    modes = [(module, module.training) for module in network.modules()]
    needed = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    try:
        network.eval()
        for parameter, _ in needed:
            parameter.requires_grad_(False)
        yield network
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in needed:
            parameter.requires_grad_(requires_grad)


@contextmanager
def hooked(module: nn.Module, hook: Any) -> Iterator[None]:
    """Let `hook` see, and perhaps replace, what `module` puts out, until the block ends."""
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
