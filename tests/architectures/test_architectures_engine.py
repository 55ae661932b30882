"""A spec gives the same network on either engine."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from striate.architectures import build, copy_weights, names, read_weights
from striate.engine import functional as F
from striate.errors import SpecError

SHAPES = {
    "gray-cnn": (1, 28, 28),
    "two-digit": (1, 28, 28),
    "fc-net": (1, 28, 28),
    "stride-simple": (1, 28, 28),
    "cats-cnn": (3, 150, 150),
}
TWO_CLASSES = ("cats-cnn", "two-digit")
EXACT = 1e-9
"""float64, relative to the largest value: the same sums in other orders, through many layers."""


def pair(name: str, seed: int = 0):
    """A zoo net on both engines, and images for it."""
    shape, classes = SHAPES.get(name, (3, 32, 32)), 2 if name in TWO_CLASSES else 10
    nets = build(name, shape, classes, "numpy", seed=seed), build(name, shape, classes, seed=seed)
    return *nets, np.random.default_rng(seed).random((3, *shape), dtype=np.float32)


@pytest.mark.parametrize("name", names())
def test_every_net_gives_torchs_outputs_and_gradients(name: str):
    ours, theirs, x = pair(name)
    for module in theirs.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for _, layer in ours.walk():
        if hasattr(layer, "last_mask"):
            layer.p = 0.0
    ours.map_arrays(lambda array: array.astype(np.float64))
    x = x.astype(np.float64)
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    expected = theirs.double()(tensor)
    found = ours.forward(x)
    np.testing.assert_allclose(found, expected.detach(), rtol=EXACT, atol=EXACT)
    grad = np.random.default_rng(1).normal(size=found.shape)
    expected.backward(torch.from_numpy(grad))
    grads = {"input": (ours.backward(grad), tensor.grad)}
    own = ours.parameters()
    grads |= {key: (own[key].grad, value.grad) for key, value in theirs.named_parameters()}
    for key, (mine, reference) in grads.items():
        scale = max(float(reference.abs().max()), EXACT)  # all 0 before a batch normalisation
        np.testing.assert_allclose(mine, reference.numpy(), rtol=0, atol=EXACT * scale, err_msg=key)


@pytest.mark.parametrize("name", ["mynet", "custom-cnn"])
def test_weights_come_back_from_the_other_engine_as_they_were(name: str):
    ours, theirs, _ = pair(name, seed=3)
    other = build(name, SHAPES.get(name, (3, 32, 32)), 10, "numpy", seed=4)
    copy_weights(ours, theirs)
    copy_weights(theirs, other)
    before, after = read_weights(ours), read_weights(other)
    assert list(before) == list(after)
    for key, values in before.items():
        assert values.dtype == after[key].dtype
        np.testing.assert_array_equal(values, after[key])


def test_weights_of_another_network_are_refused_and_nothing_changes():
    ours, _, _ = pair("simple-cnn")
    before = read_weights(ours)
    with pytest.raises(SpecError, match="the weights do not fit the network"):
        copy_weights(build("engine-cnn", (3, 32, 32), 10), ours)
    for key, values in read_weights(ours).items():
        np.testing.assert_array_equal(values, before[key])


def test_an_unknown_engine_is_refused_with_the_nearest_name():
    with pytest.raises(SpecError, match="numpy"):
        build("mynet", (1, 28, 28), 10, "nunpy")


def test_building_on_numpy_never_imports_torch():
    code = (
        "import sys; from striate.architectures import build; build('mynet', (1, 28, 28), 10, 'numpy');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_trained_step_is_the_same_on_either_engine():
    ours, theirs, x = pair("simple-cnn")
    labels = np.array([1, 2, 3])
    loss = torch.nn.functional.cross_entropy(theirs(torch.from_numpy(x)), torch.from_numpy(labels))
    loss.backward()
    logits = ours.forward(x)
    ours.backward(F.cross_entropy_backward(np.ones((), np.float32), logits, labels))
    assert float(F.cross_entropy(logits, labels)) == pytest.approx(loss.item(), rel=1e-5)
    for key, value in theirs.named_parameters():
        np.testing.assert_allclose(ours.parameters()[key].grad, value.grad, atol=1e-6)
