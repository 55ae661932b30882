"""Numbers and conventions of a course's exercises in NumPy: what its students computed, the engine computes.

Values of the exercises are printed with six to eight digits, so they are compared with that precision.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate.architectures import Spec, initial_weights
from striate.architectures.layers import Conv2d, Flatten, Linear, ReLU
from striate.engine import SGD, Parameter
from striate.engine import functional as F

PRINTED = {"rtol": 0, "atol": 1e-8}
"""Of values printed with eight digits; what is printed shorter is exact or has six."""

SIX_DIGITS = {"rtol": 0, "atol": 5e-7}

EXACT = {"rtol": 1e-14, "atol": 1e-14}
"""The same few operations in another order."""

X = np.array([[-2, -1.2, -0.4], [0.4, 1.2, 2]])
WEIGHT = np.array([[1, 0.6], [0.2, -0.2], [-0.6, -1]]).T  # there (in, out), here (out, in)
BIAS = np.array([-0.5, 0.5])
GRAD_LINEAR = np.array([[1, 1.33333333], [1.66666667, 2]])
GRAD = np.array([[-3, 1.2, -0.5], [-0.4, 2.2, 3]])
ONE = np.ones(())


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape)


def test_linear_layer_of_the_exercise():
    np.testing.assert_allclose(F.linear(X, WEIGHT, BIAS), [[-2.5, -0.06], [-1.06, -1.5]], **PRINTED)


def test_linear_gradients_of_the_exercise_sample_by_sample():
    """The exercise keeps a weight gradient for each sample, (in, out); here they are summed, (out, in)."""
    grad_x, grad_weight, grad_bias = F.linear_backward(GRAD_LINEAR, X, WEIGHT)
    expected = [[1.8, -0.06666667, -1.93333333], [2.86666667, -0.06666667, -3]]
    np.testing.assert_allclose(grad_x, expected, **PRINTED)
    of_samples = np.array(
        [
            [[-2, -2.66666667], [-1.2, -1.6], [-0.4, -0.53333333]],
            [[0.66666667, 0.8], [2, 2.4], [3.33333333, 4]],
        ]
    )
    for row, of_weight in enumerate(of_samples):
        sample = slice(row, row + 1)
        _, weight, bias = F.linear_backward(GRAD_LINEAR[sample], X[sample], WEIGHT)
        np.testing.assert_allclose(weight.T, of_weight, **PRINTED)
        np.testing.assert_array_equal(bias, GRAD_LINEAR[row])
    np.testing.assert_allclose(grad_weight.T, of_samples.sum(axis=0), rtol=0, atol=2e-8)
    np.testing.assert_allclose(grad_bias, GRAD_LINEAR.sum(axis=0), **PRINTED)


@pytest.mark.parametrize("shape", [(2, 3), (6,), (1, 2, 3), (3, 1, 2, 1)])
def test_relu_of_the_exercise_in_any_number_of_dimensions(shape: tuple[int, ...]):
    x, grad = X.reshape(shape), GRAD.reshape(shape)
    np.testing.assert_array_equal(F.relu(x), np.reshape([0, 0, 0, 0.4, 1.2, 2], shape))
    np.testing.assert_array_equal(F.relu_backward(grad, x), np.reshape([0, 0, 0, -0.4, 2.2, 3], shape))


def test_sigmoid_of_the_exercise():
    expected = [[0.119203, 0.231475, 0.401312], [0.598688, 0.768525, 0.880797]]
    np.testing.assert_allclose(F.sigmoid(X), expected, **SIX_DIGITS)
    expected = [[-0.314981, 0.213473, -0.12013], [-0.096104, 0.391368, 0.314981]]
    np.testing.assert_allclose(F.sigmoid_backward(GRAD, X), expected, **SIX_DIGITS)


def test_squared_error_of_the_exercise_is_not_averaged():
    y = np.linspace(-5, 5, 9)
    np.testing.assert_allclose(F.mse_loss(y, y / 2, "none"), y**2 / 4, **EXACT)
    np.testing.assert_allclose(F.mse_loss_backward(np.ones(9), y, y / 2, "none"), y, **EXACT)
    np.testing.assert_allclose(F.mse_loss_backward(ONE, y, y / 2, "sum"), y, **EXACT)


def test_softmax_is_the_share_of_the_exponential_and_does_not_overflow():
    x = draw(4, 5)
    shares = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(F.softmax(x, 1), shares, **EXACT)
    np.testing.assert_allclose(F.softmax(x + 1000, 1), shares, rtol=1e-11)  # 1000 costs three digits


def test_cross_entropy_is_averaged_over_the_batch():
    logits, labels = draw(4, 5), np.array([3, 0, 4, 3])
    shares, hot = F.softmax(logits, 1), np.eye(5)[labels]
    expected = -np.log(shares[np.arange(4), labels]).sum() / 4
    np.testing.assert_allclose(F.cross_entropy(logits, labels), expected, **EXACT)
    np.testing.assert_allclose(F.cross_entropy_backward(ONE, logits, labels), (shares - hot) / 4, **EXACT)


def test_l2_penalty_has_no_half_and_its_gradient_a_two():
    weight = np.array([[1.0, -2.0], [3.0, 0.5]])
    assert F.l2_penalty(weight, 0.1) == pytest.approx(0.1 * (1 + 4 + 9 + 0.25))
    np.testing.assert_allclose(F.l2_penalty_backward(1.0, weight, 0.1), 0.2 * weight, **EXACT)


def test_momentum_keeps_the_velocity_of_the_old_rate_and_torchs_does_not():
    """v = 0.9 v - lr g, w += v: the exercise's rule, against torch's once the rate has been lowered."""
    rates, slopes = (0.1, 0.1, 0.01, 0.01), (1.0, -2.0, 0.5, 1.0)
    ours, theirs = Parameter(np.array([1.0])), torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = SGD({"w": ours}, rates[0], 0.9, form="classical")
    reference = torch.optim.SGD([theirs], rates[0], 0.9)
    weight, velocity, apart = 1.0, 0.0, []
    for rate, slope in zip(rates, slopes, strict=True):
        velocity = 0.9 * velocity - rate * slope
        weight += velocity
        optimizer.lr = reference.param_groups[0]["lr"] = rate
        ours.grad, theirs.grad = np.array([slope]), torch.full_like(theirs, slope)
        optimizer.step()
        reference.step()
        np.testing.assert_allclose(ours.value, weight, **EXACT)
        apart.append(abs(ours.value.item() - theirs.item()))
    assert max(apart[:2]) < 1e-15
    assert apart[2] == pytest.approx(0.9 * (0.1 - 0.01) * 1.1)  # the share kept of what was gathered: -1.1


def test_weights_begin_as_in_the_exercise():
    """He's deviation sqrt(2 / fan_in) for convolutions, 0.001 for linear layers, biases at zero."""
    layers = [Conv2d(64, 3, init="he"), ReLU(), Flatten(), Linear(100, init={"normal": 0.001})]
    weights = initial_weights(Spec("exercise", layers), (32, 6, 6), 100, seed=1)
    (conv, conv_bias, linear, linear_bias) = weights.values()
    few = 5 / np.sqrt(2 * conv.size)  # five standard deviations of a measured deviation
    assert conv.std() == pytest.approx(np.sqrt(2 / (32 * 9)), rel=few)
    assert linear.std() == pytest.approx(0.001, rel=few)
    for values in (conv, linear):
        assert abs(values.mean()) < 5 * values.std() / np.sqrt(values.size)
        standardised = np.abs(values / values.std())
        assert (standardised < 1).mean() == pytest.approx(0.6827, abs=0.02)  # normal, not uniform (0.577)
    assert not conv_bias.any()
    assert not linear_bias.any()


def test_edge_filter_answers_to_edges_alone_and_is_not_flipped():
    edge = np.array([[0.0, 1, 0], [1, 0, -1], [0, -1, 0]])
    kernel = np.stack([edge] * 3)[None]  # on all three channels
    constant = np.full((3, 8, 8), 0.7)
    np.testing.assert_allclose(F.conv2d(constant, kernel), 0, atol=1e-15)
    photo = np.random.default_rng(0).uniform(size=(3, 8, 9))
    grey = photo.sum(axis=0)
    above, below = grey[:-2, 1:-1], grey[2:, 1:-1]
    left, right = grey[1:-1, :-2], grey[1:-1, 2:]
    np.testing.assert_allclose(F.conv2d(photo, kernel)[0], above + left - below - right, **EXACT)
    bright_below = np.zeros((3, 8, 8))
    bright_below[:, 4:] = 1
    response = F.conv2d(bright_below, kernel)[0]
    np.testing.assert_allclose(response[2:4], -3, **EXACT)  # the two rows of windows that meet the edge
    np.testing.assert_allclose(np.delete(response, [2, 3], axis=0), 0, **EXACT)
