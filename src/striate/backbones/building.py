"""From a backbone's description to a torch module. Imports torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from striate.architectures.summary import Summary
from striate.architectures.weights import check_weights
from striate.backbones import heads
from striate.backbones.counting import count
from striate.backbones.description import BackboneSpec, Head
from striate.backbones.libraries import open_library
from striate.errors import SpecError, UserError


def build(spec: BackboneSpec, input_shape: tuple[int, ...], num_classes: int, seed: int = 0) -> nn.Module:
    """Return the network with its new head and random weights that depend on the seed alone.

    The module has further attributes: `spec`, `input_shape`, `num_classes`; `output`, of
    `striate.schemas.OUTPUTS`; and `head_name`, the name of the module that is its head.

    Args:
        spec: the description.
        input_shape: (3, H, W) of the images.
        num_classes: at least 2.
        seed: of the weights.

    Raises:
        SpecError: the network takes no such images, or cannot get this head.
        UserError: the library is not installed or cannot build the network.
    """
    if input_shape[0] != 3:
        raise SpecError(
            f"{spec.name} takes images with 3 channels, not {input_shape[0]}; choose --channels rgb."
        )
    with _seeded(seed):
        network, outputs = open_library(spec.library).build(spec.name, spec.arguments)
        place = heads.find(network, outputs, spec.head)
        features = _features(spec, network, place, input_shape)
        heads.replace(network, place, spec.head, features, spec.head.outputs(num_classes))
    made: Any = network
    made.spec, made.input_shape, made.num_classes = spec, tuple(input_shape), num_classes
    made.output, made.head_name = spec.output, place.name
    return network


def assemble(
    spec: BackboneSpec, input_shape: tuple[int, ...], num_classes: int, weights: Mapping[str, np.ndarray]
) -> nn.Module:
    """Return the network with given `weights`, all of them, by name; copied.

    Raises:
        SpecError: the weights are not its own.
    """
    network = build(spec, input_shape, num_classes)
    own = network.state_dict()
    try:
        check_weights(weights, {name: tuple(tensor.shape) for name, tensor in own.items()})
    except SpecError as error:
        version = open_library(spec.library).VERSION
        raise SpecError(
            f"{error} The network was built with {spec.library} {spec.version}; installed is {version}."
        ) from error
    network.load_state_dict(
        {name: torch.tensor(weights[name], dtype=tensor.dtype) for name, tensor in own.items()}
    )
    return network


def summarize(spec: BackboneSpec, input_shape: tuple[int, ...], num_classes: int) -> Summary:
    """Return the layers of the network with shapes, parameters and multiply-adds.

    Nothing is computed where the network can be built on torch's device without values, `meta`. A network
    that cannot get a new head is counted with its own, and a note says so.

    Raises:
        SpecError: the network cannot work on such images.
    """
    network, note = _to_count(spec, input_shape, num_classes)

    def run() -> None:
        heads.run_once(network, input_shape)

    try:
        return count(network, input_shape, run, name=spec.name, output=spec.output, note=note)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise _unfit(spec, input_shape, error) from error


def summarize_module(network: nn.Module, input_shape: tuple[int, ...]) -> Summary:
    """Return the layers of any torch network with shapes, parameters and multiply-adds, by one blank image.

    Its mode, gradients and hooks are as before, also after an error.

    Raises:
        UserError: the network cannot work on such images.
    """

    def run() -> None:
        heads.run_once(network, input_shape)

    try:
        return count(network, input_shape, run)
    except (RuntimeError, ValueError, TypeError, LookupError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"the network cannot work on images of {tuple(input_shape)}: {reason}. Give the shape (channels, "
            "height, width) that it was made for, as in input=(3, 224, 224)."
        ) from error


def _to_count(spec: BackboneSpec, input_shape: tuple[int, ...], num_classes: int) -> tuple[nn.Module, str]:
    """Return the network with its new head; or, where none fits and none is described, as it comes."""
    try:
        return on_meta(spec, input_shape, num_classes), ""
    except SpecError as error:
        if spec.head != Head() or input_shape[0] != 3:
            raise
        network, outputs = _as_it_comes(spec)
        if _has_place(network, outputs, spec.head):
            raise
        return network, f"With its own {outputs:,} classes: {error}"


def _has_place(network: nn.Module, outputs: int, head: Head) -> bool:
    try:
        heads.find(network, outputs, head)
    except SpecError:
        return False
    return True


def _as_it_comes(spec: BackboneSpec) -> tuple[nn.Module, int]:
    """Return the network of its library and how many numbers it puts out; without values where it can."""
    try:
        with torch.device("meta"):
            return open_library(spec.library).build(spec.name, spec.arguments)
    except NotImplementedError:  # some networks compute with their first values
        return open_library(spec.library).build(spec.name, spec.arguments)


def on_meta(spec: BackboneSpec, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Return the network without values, on the device `meta`; with values where its library needs them."""
    try:
        with torch.device("meta"):
            return build(spec, input_shape, num_classes)
    except NotImplementedError:
        return build(spec, input_shape, num_classes)


def is_on_maps(spec: BackboneSpec, input_shape: tuple[int, ...]) -> bool:
    """Whether the new head is a convolution on maps of more than one value, on images of this shape."""
    network: Any = on_meta(spec, input_shape, num_classes=2)
    layers = network.get_submodule(network.head_name).modules()
    if not any(isinstance(layer, nn.Conv2d) for layer in layers):
        return False
    return math.prod(heads.shape_entering(network, network.head_name, input_shape)[1:]) > 1


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from torch's generators by the seed; leave them as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _features(
    spec: BackboneSpec, network: nn.Module, place: heads.Place, input_shape: tuple[int, ...]
) -> int:
    """Return how many values, or channels, enter the new head."""
    if spec.head.base == "last":
        return int(place.layer.weight.shape[1])
    try:
        with torch.device("meta"):
            network, _ = open_library(spec.library).build(spec.name, spec.arguments)
    except NotImplementedError:  # some networks compute with their first values
        pass
    try:
        shape = heads.shape_entering(network, place.pooling or place.name, input_shape)
    except RuntimeError as error:
        raise _unfit(spec, input_shape, error) from error
    return shape[0] if spec.head.base == "average" else math.prod(shape)


def _unfit(spec: BackboneSpec, input_shape: tuple[int, ...], error: Exception) -> SpecError:
    size = " x ".join(map(str, input_shape))
    reason = " ".join(str(error).split())[:150]
    return SpecError(f"{spec.name} cannot work on images of {size}: {reason}. Choose another --image-size.")
