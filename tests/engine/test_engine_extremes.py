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


@pytest.mark.parametrize("training", [True, False])
def test_batch_norms_gradient_follows_the_mode_that_was_saved(training):
    generator = np.random.default_rng(3)
    x, grad = generator.normal(size=(2, 4, 3, 5, 5))
    running = np.full(3, 0.5), np.full(3, 2.0)
    _, saved = F.batch_norm(x, *running, training=training, return_saved=True)
    expected = torch_gradient(
        lambda leaf: T.batch_norm(leaf, *map(torch.tensor, running), training=training), x, grad
    )
    for mode in (True, False):
        grad_x = F.batch_norm_backward(grad, x, training=mode, saved=saved)[0]
        np.testing.assert_allclose(grad_x, expected, atol=1e-12)


def test_batch_norm_and_its_gradient_have_the_same_default_mode():
    x, grad = np.random.default_rng(4).normal(size=(2, 4, 3, 5, 5))
    running = {"running_mean": np.full(3, 0.5), "running_var": np.full(3, 2.0)}
    slope = grad / np.sqrt(2 + 1e-5)
    np.testing.assert_allclose(F.batch_norm_backward(grad, x, **running)[0], slope, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3), (3,), (2, 3, 4), (0, 3)])
@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.5, 1.0])
def test_a_total_weight_of_0_gives_what_torch_gives(name, shape, label_smoothing):
    z, weight = np.random.default_rng(5).normal(size=shape), np.array([0.0, 1.0, 1.0])
    labels = np.zeros((*shape[:-1], *shape[2:]) if len(shape) < 3 else (2, 4), int)
    options = {} if name == "nll_loss" else {"label_smoothing": label_smoothing}
    leaf = torch.tensor(z, requires_grad=True)
    loss = getattr(T, name)(leaf, torch.tensor(labels), torch.tensor(weight), **options)
    loss.backward()
    np.testing.assert_array_equal(getattr(F, name)(z, labels, weight, **options), loss.detach())
    ours = getattr(F, f"{name}_backward")(np.array(1.0), z, labels, weight, **options)
    np.testing.assert_array_equal(ours, leaf.grad)


@pytest.mark.parametrize("name", ["mse_loss", "binary_cross_entropy_with_logits"])
def test_the_mean_of_nothing_is_undefined_and_has_no_gradient(name):
    nothing = np.zeros((0, 2), np.float32)
    assert np.isnan(getattr(F, name)(nothing, nothing))
    assert getattr(F, f"{name}_backward")(np.ones((), np.float32), nothing, nothing).shape == (0, 2)


@pytest.mark.parametrize("values", [[3e38, -3e38, 0], [INF, 0, 1], [-INF, 0, 1], [-INF] * 3])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_huge_numbers(name, values):
    x = np.array([values], np.float32)
    theirs = getattr(T, name)(torch.tensor(x), 1).numpy()
    np.testing.assert_allclose(getattr(F, name)(x), theirs, rtol=1e-6)


@pytest.mark.parametrize("label", [0, 1])
def test_cross_entropy_of_huge_numbers(label):
    z, labels = np.array([[3e38, -3e38]], np.float32), np.array([label])
    theirs = T.cross_entropy(torch.tensor(z), torch.tensor(labels)).numpy()
    np.testing.assert_array_equal(F.cross_entropy(z, labels), theirs)


@pytest.mark.parametrize("name", ["relu", "relu6", "leaky_relu"])
def test_a_gradient_passes_an_undefined_value(name):
    x, grad = np.array([NAN, -1, 0, 2, 9]), np.arange(5) + 1.0
    theirs = torch_gradient(getattr(T, name), x, grad)
    np.testing.assert_array_equal(getattr(F, f"{name}_backward")(grad, x), theirs)
    if name == "relu":
        y, saved = F.relu(x, return_saved=True)
        assert np.isnan(y[0])
        np.testing.assert_array_equal(F.relu_backward(grad, x, saved=saved), theirs)
