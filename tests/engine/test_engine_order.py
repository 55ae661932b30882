"""Layers that are computed in another order than written: the same numbers, and all of them can be seen."""

import numpy as np
import pytest

from striate.engine import layers
from striate.engine.blocks import Sequential
from striate.engine.network import Network, watching
from striate.engine.order import computing_order


def row(activation=layers.ReLU, pooling=(2,), **options):
    return {"relu1": activation(), "pool1": layers.MaxPool2d(*pooling, **options)}


def as_written(named, x, grad):
    for layer in named.values():
        x = layer.forward(x)
    for layer in reversed(named.values()):
        grad = layer.backward(grad)
    return x, grad


def arrays(size, seed=0):
    """Many equal values and zeros among them, and windows without any positive one."""
    generator = np.random.default_rng(seed)
    return generator.integers(-3, 3, (4, 3, size, size)).astype(np.float32)


POOLINGS = {
    "apart": ((2,), {}, 8),
    "overlapping": ((3, 2, 1), {}, 9),
    "ceil mode": ((3, 2), {"ceil_mode": True}, 8),
    "dilation": ((2, 1, 0, 2), {}, 8),
}


@pytest.mark.parametrize("activation", [layers.ReLU, layers.ReLU6])
@pytest.mark.parametrize(("pooling", "options", "size"), POOLINGS.values(), ids=POOLINGS)
def test_rectifying_after_pooling_gives_the_same_bits_forward_and_backward(
    activation, pooling, options, size
):
    x = 2 * arrays(size)  # up to 4; times 2, beyond the 6 of ReLU6
    x[0] *= 2
    named = row(activation, pooling, **options)
    grad = arrays(len(layers.MaxPool2d(*pooling, **options).forward(x)[0, 0]), seed=1)
    y, grad_x = as_written(row(activation, pooling, **options), x, grad)
    exchanged = Sequential(named)
    assert [type(layer) for layer in computing_order(named.values())] == [layers.MaxPool2d, activation]
    assert np.array_equal(exchanged.forward(x), y)
    assert np.array_equal(exchanged.backward(grad), grad_x)


def test_other_activations_and_poolings_stay_where_they_stand():
    for named in (
        [layers.GELU(), layers.MaxPool2d(2)],
        [layers.ReLU(), layers.AvgPool2d(2)],
        [layers.MaxPool2d(2), layers.ReLU()],
    ):
        assert computing_order(named) == named


def test_a_watched_network_is_computed_as_written():
    network, x = Network(row()), arrays(8)
    with watching(network) as seen:
        y = network.forward(x)
        network.backward(np.ones_like(y))
    assert np.array_equal(seen.outputs["relu1"], np.maximum(x, 0))
    assert list(seen.input_grads) == ["pool1", "relu1"]
    assert np.array_equal(network.predict(x), y)
