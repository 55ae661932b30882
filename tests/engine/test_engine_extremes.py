"""Infinite, undefined and missing numbers: what torch makes of them, and without a warning."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate.engine import algorithms, layers
from striate.engine import functional as F
from striate.engine.network import Network

T = torch.nn.functional
NAN, INF = np.nan, np.inf


def torch_gradient(function, x, grad):
    leaf = torch.tensor(x, requires_grad=True)
    function(leaf).backward(torch.tensor(grad))
    return leaf.grad.numpy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["relu", "relu6"])
def test_an_infinite_gradient_is_stopped_where_nothing_passes(name, dtype):
    x = np.array([-1, 0, 2, 7, -2, 3, 8], dtype)
    grad = np.array([INF, INF, INF, NAN, NAN, NAN, 3], dtype)
    ours = getattr(F, f"{name}_backward")(grad, x)
    np.testing.assert_array_equal(ours, torch_gradient(getattr(T, name), x, grad))
    assert ours.dtype == dtype


@pytest.mark.parametrize("stride", [1, 2])
def test_an_infinite_gradient_goes_to_the_maximum_alone(stride):
    x = np.random.default_rng(0).permutation(48).astype(float).reshape(1, 3, 4, 4)
    size = F.max_pool2d(x, 2, stride).shape
    grad = np.where(np.arange(np.prod(size)).reshape(size) % 2, INF, 1.0)
    theirs = torch_gradient(lambda leaf: T.max_pool2d(leaf, 2, stride), x, grad)
    np.testing.assert_array_equal(F.max_pool2d_backward(grad, x, 2, stride), theirs)


@pytest.mark.parametrize("size", [(2, 2), (2, 3)])
def test_the_last_of_several_nans_is_the_maximum(size):
    x = np.random.default_rng(1).normal(size=(2, 3, 5, 7))
    x[0, 0, 1, [2, 3]] = x[1, 2, 4, [0, 6]] = NAN
    ours, places = F.adaptive_max_pool2d(x, size, return_indices=True)
    theirs, theirs_places = T.adaptive_max_pool2d(torch.tensor(x), size, return_indices=True)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(places, theirs_places)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_labels_that_are_all_ignored_have_no_gradient(label_smoothing):
    z, labels = np.random.default_rng(2).normal(size=(3, 4)), np.full(3, -1)
    options = {"ignore_index": -1, "label_smoothing": label_smoothing}
    assert np.isnan(F.cross_entropy(z, labels, **options))
    assert not F.cross_entropy_backward(np.array(1.0), z, labels, **options).any()
    assert not F.nll_loss_backward(np.array(1.0), z, labels, ignore_index=-1).any()


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize(("dtype", "far"), [(np.float32, 1e30), (np.float64, 1e200)])
def test_gelu_of_huge_numbers_is_a_straight_line(approximate, dtype, far):
    x = np.array([-far, -50, 50, far], dtype)
    np.testing.assert_allclose(F.gelu(x, approximate), [0, 0, 50, far], atol=1e-20)
    np.testing.assert_allclose(F.gelu_backward(np.ones(4, dtype), x, approximate), [0, 0, 1, 1], atol=1e-20)


KERNELS = {2: (4, 2, 3, 3), 1: (4, 4, 3, 3), 4: (4, 1, 3, 3)}


@pytest.mark.parametrize("name", algorithms.ALGORITHMS)
def test_every_algorithm_takes_no_images(name):
    x, tried = np.zeros((0, 4, 6, 7)), 0
    for groups, shape in [*KERNELS.items(), (1, (4, 4, 1, 1))]:
        weight = np.ones(shape)
        if algorithms.ALGORITHMS[name].refusal(algorithms.describe(x, weight, None, 1, 0, 1, groups)):
            continue
        y = F.conv2d(x, weight, groups=groups, algorithm=name)
        grad_x, grad_weight, _ = F.conv2d_backward(y, x, weight, groups=groups, algorithm=name)
        assert y.shape == (0, 4, 7 - shape[2], 8 - shape[3])
        assert grad_x.shape == x.shape
        assert grad_weight.shape == shape
        assert not grad_weight.any()
        tried += 1
    assert tried


def test_no_images_leave_running_statistics_as_they_are():
    layer = layers.BatchNorm2d(3)
    assert layer.forward(np.zeros((0, 3, 4, 5), np.float32)).shape == (0, 3, 4, 5)
    assert layer.backward(np.zeros((0, 3, 4, 5), np.float32)).shape == (0, 3, 4, 5)
    assert not layer.running_mean.any()
    assert (layer.running_var == 1).all()
    _, saved = F.batch_norm(np.zeros((0, 3)), np.ones(3), np.ones(3), training=True, return_saved=True)
    assert (saved.running_mean == 1).all()


def test_no_images_and_adaptive_pooling():
    assert F.adaptive_max_pool2d(np.zeros((0, 1, 6, 10)), 3).shape == (0, 1, 3, 3)


def test_windows_in_the_padding_alone_are_minus_infinity_when_predicted_too():
    network = Network([layers.ReLU(), layers.MaxPool2d(2, 3, (0, 1), 4)])
    x = np.ones((1, 1, 5, 3), np.float32)
    y = T.max_pool2d(torch.tensor(x), 2, 3, (0, 1), 4).numpy()
    assert np.isneginf(y).any()
    np.testing.assert_array_equal(network.predict(x), y)
