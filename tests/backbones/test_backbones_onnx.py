"""ONNX files that are written from a spec, against torch's computation of the same spec."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate import architectures, backbones
from striate.architectures import Spec, initial_weights
from striate.architectures.blocks import Parallel, Residual, Sequential
from striate.architectures.layers import (
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    LogSoftmax,
    ReLU,
    ReLU6,
    Sigmoid,
    Tanh,
)
from striate.architectures.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d
from striate.architectures.to_onnx import WRITERS, to_onnx
from striate.backbones.spec_heads import head_layers
from striate.errors import SpecError
from striate.features import OnnxExtractor

SHAPE = (3, 32, 32)
ROUNDING = 1e-4  # of the outputs' scale: float32, summed in another order, batch norms folded

EVERYTHING = Spec(
    "everything",
    (
        Conv2d(8, (3, 5), (2, 1), ((0, 1), (2, 2)), name="uneven"),
        BatchNorm(name="norm"),
        ReLU6(name="six"),
        Residual(
            [Conv2d(12, 3, padding=2, dilation=2, groups=4), BatchNorm(affine=False), ReLU()],
            shortcut=[Conv2d(12, 1, bias=False)],
            name="skip",
        ),
        Parallel([[MaxPool2d(3, 2, 1)], [AvgPool2d(2)], [AvgPool2d(3, 2, 1, count_include_pad=False)]]),
        Sequential([Conv2d(10, 1), Sigmoid(), Dropout(0.5), Tanh()], name="row"),
        Parallel([[AdaptiveAvgPool2d(1)], [AdaptiveMaxPool2d(1)]], name="means"),
        Flatten(),
        Linear(7),
        Linear("num_classes", name="last"),
        LogSoftmax(),
    ),
    output="log_probabilities",
)


def weights_of(spec, shape, classes=5):
    """Random weights, the statistics of batch norms among them."""
    generator = np.random.Generator(np.random.PCG64(1))
    arrays = initial_weights(spec, shape, classes, 0)
    for name, array in arrays.items():
        if name.endswith(("running_mean", "norm.bias")):
            arrays[name] = generator.normal(size=array.shape).astype(np.float32)
        if name.endswith(("running_var", "norm.weight")):
            arrays[name] = generator.uniform(0.5, 2, array.shape).astype(np.float32)
    return arrays


def compare(spec, shape, until=None):
    arrays = weights_of(spec, shape)
    images = np.random.Generator(np.random.PCG64(2)).normal(size=(3, *shape)).astype(np.float32)
    module = architectures.assemble(spec, shape, 5, arrays).eval()
    module = module if until is None else backbones.split(module).extractor.eval()
    with torch.inference_mode():
        expected = module(torch.from_numpy(images)).numpy()
    found = OnnxExtractor(to_onnx(spec, shape, 5, arrays, until))(images)
    np.testing.assert_allclose(found, expected, atol=ROUNDING * np.sqrt(np.square(expected).mean()))


def test_every_kind_that_is_written_agrees_with_torch():
    used = {type(step.layer) for step in architectures.walk(architectures.infer_shapes(EVERYTHING, SHAPE, 5))}
    assert used == set(WRITERS)
    compare(EVERYTHING, SHAPE)


def test_layers_may_be_called_like_the_ends_of_the_file():
    layers = (Conv2d(4, 3, name="images"), ReLU(name="outputs"), Flatten(), Linear("num_classes"))
    compare(Spec("ends", layers), (3, 8, 8))


@pytest.mark.parametrize("name", ["lite0", "lite0-levels"])
def test_the_embedded_networks_without_their_head_agree_with_torch(name):
    spec = backbones.find(name, size=(64, 64)).description
    compare(spec, (3, 64, 64), until=head_layers(spec)[0])


def test_a_kind_that_is_not_written_is_refused():
    spec = Spec("leaky", (LeakyReLU(), Flatten(), Linear("num_classes")))
    with pytest.raises(SpecError, match="cannot be written as ONNX"):
        to_onnx(spec, SHAPE, 5, initial_weights(spec, SHAPE, 5, 0))
