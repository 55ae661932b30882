"""A whole network trains on any array library, on its device, as on NumPy."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest
from engine_testing import EXACT, LIBRARIES, NUMPY, Library, assert_close

from striate import engine
from striate.engine import SGD, Adam, Loss, Network, backend, layers, watching
from striate.engine.blocks import Residual

OPTIMIZERS = {
    "sgd": lambda parameters: SGD(parameters, 0.05, 0.9, nesterov=True, weight_decay=1e-2),
    "adam": lambda parameters: Adam(parameters, 1e-2, eps=1e-3),
}
"""Adam's eps is large: the bias before the batch normalisation has a gradient of round-off alone, which a
small one would make a whole step of."""


def network() -> Network:
    generator = np.random.default_rng(0)
    net = Network(
        {
            "conv1": layers.Conv2d(2, 4, 3, padding=1, generator=generator),
            "batch_norm1": layers.BatchNorm2d(4),
            "relu1": layers.ReLU(),
            "max_pool1": layers.MaxPool2d(2),
            "residual1": Residual(
                {
                    "conv1": layers.Conv2d(4, 4, 3, padding="same", groups=4, generator=generator),
                    "gelu1": layers.GELU(),
                }
            ),
            "avg_pool1": layers.AvgPool2d(2, stride=1),
            "flatten1": layers.Flatten(),
            "dropout1": layers.Dropout(0.3, generator=generator),
            "linear1": layers.Linear(16, 3, generator=generator),
        }
    )
    return net.map_arrays(lambda array: array.astype(np.float64))


def train(library: Library, optimizer: str) -> dict[str, Any]:
    """Return all numbers of two steps: outputs and gradients of every layer, losses, weights, buffers."""
    net = network()
    net.map_arrays(library.make)
    net.seed(3)
    update, loss = OPTIMIZERS[optimizer](net.parameters()), Loss(label_smoothing=0.1)
    generator = np.random.default_rng(1)
    x, labels = generator.normal(size=(5, 2, 6, 6)), generator.integers(0, 3, 5)
    images, targets = library.make(x), library.make(labels)
    numbers: dict[str, Any] = {}
    for step in range(2):
        net.zero_grad()
        with watching(net) as seen:
            raw = net.forward(images)
            numbers[f"{step} loss"] = loss.forward(raw, targets)
            net.backward(loss.backward(raw, targets))
        numbers |= {f"{step} output of {path}": array for path, array in seen.outputs.items()}
        numbers |= {f"{step} gradient before {path}": array for path, array in seen.input_grads.items()}
        numbers |= {f"{step} gradient of {name}": one.grad for name, one in net.parameters().items()}
        update.step()
    numbers |= {name: parameter.value for name, parameter in net.parameters().items()}
    return numbers | {name: buffer for name, buffer in net.buffers().items() if "num" not in name}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("other", LIBRARIES[1:], ids=lambda library: library.name)
def test_training_a_network_gives_numpys_numbers_and_stays_on_the_device(other: Library, optimizer: str):
    expected, found = train(NUMPY, optimizer), train(other, optimizer)
    assert found.keys() == expected.keys()
    like = other.make(np.ones(1))
    for name, array in found.items():
        assert type(array) is type(like), name
        assert backend.device(array) == backend.device(like), name
        assert not getattr(array, "requires_grad", False), name
        assert_close(array, expected[name], EXACT, name)


def test_device_of_the_strict_library_refuses_numpys_functions():
    """Were it not so, the test above would not show that no step goes through NumPy."""
    array = LIBRARIES[1].make(np.ones(3))
    assert array.device == array_api_strict.Device("device1")
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        np.asarray(array)


@pytest.mark.parametrize("library", LIBRARIES[1:], ids=lambda library: library.name)
def test_fit_trains_arrays_of_any_library(library: Library):
    net, other = network(), network()
    other.map_arrays(library.make)
    generator = np.random.default_rng(2)
    images, labels = generator.normal(size=(20, 2, 6, 6)), generator.integers(0, 3, 20)
    samples, optimizer = engine.Samples(images, labels, 8), OPTIMIZERS["adam"]
    histories = [
        engine.fit(one, samples, samples, epochs=2, optimizer=optimizer(one.parameters()))
        for one in (net, other)
    ]
    for ours, theirs in zip(*(history.epochs for history in histories), strict=True):
        for key in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
            assert ours[key] == pytest.approx(theirs[key], rel=EXACT)
    for name, values in net.state_dict().items():
        assert_close(other.state_dict()[name], values, EXACT, name)
