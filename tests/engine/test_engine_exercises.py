"""The checks are checked: every deliberate mistake is caught, and what is right passes the same check."""

from __future__ import annotations

import numpy as np
import pytest

from striate.engine import functional as F
from striate.engine import gradient_suite
from striate.engine.exercises import EXERCISES, check
from striate.engine.exercises import convolutions as conv
from striate.engine.exercises import layers as other
from striate.engine.exercises.exercise import by_closed_form, by_gradcheck, by_gradcheck_of_layer, by_oracle
from striate.engine.exercises.optimizers import STEPS, _adam_by_hand, _momentum_by_hand
from striate.engine.gradcheck import gradcheck
from striate.engine.layers import Linear
from striate.engine.optim import SGD, Adam
from striate.engine.parameter import Parameter


@pytest.mark.parametrize("name", EXERCISES)
def test_every_mistake_is_caught(name: str):
    exercise = EXERCISES[name]
    assert exercise.check().caught
    assert "?" in exercise.question
    assert len(exercise.solution) > 40
    assert f"caught by the {exercise.caught_by}" in check(name)


def test_most_mistakes_keep_every_shape_right():
    assert len(EXERCISES) >= 12
    assert sum(exercise.keeps_shapes for exercise in EXERCISES.values()) >= 6
    assert {exercise.caught_by for exercise in EXERCISES.values()} == {"gradcheck", "oracle", "optimizer"}


def test_a_wrong_forward_passes_every_gradient_check_and_only_the_oracle_sees_it():
    for name in ("patches-in-another-order", "pixels-reshaped-to-maps"):
        assert "the gradient check passes" in EXERCISES[name].check().text


def test_an_unknown_exercise_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'ties-to-all'"):
        check("ties-to-al")


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape)


X, WEIGHT = draw(2, 3, 6, 5), draw(4, 3, 3, 3)


def of_x(g, x):
    return F.conv2d_backward(g, x, WEIGHT, padding=1)[0]


def ties_to_first(g, x):
    return F.max_pool2d_backward(g, x, 2)


RIGHT = {
    "convolution": (lambda x: F.conv2d(x, WEIGHT, padding=1), of_x, {"x": X}),
    "bias": (conv._add_bias, lambda g, x, bias: (g, g.sum(axis=(0, 2, 3))), conv._BIAS_CASE),
    "max pooling": (other._pool, ties_to_first, {"x": other._TIES}),
    "average pooling": (
        other._pool_to_the_edge,
        lambda g, x: F.avg_pool2d_backward(g, x, 2, ceil_mode=True),
        {"x": draw(1, 2, 5, 5)},
    ),
    "batch normalisation": (
        other._normalize,
        lambda g, x: F.batch_norm_backward(g, x, training=True, eps=other.EPS, needs=("x",))[0],
        {"x": other._ROWS},
    ),
    "softmax": (lambda x: F.softmax(x, 1), lambda g, x: F.softmax_backward(g, x, 1), {"x": other._ROWS}),
    "linear": (
        F.linear,
        lambda g, x, weight: F.linear_backward(g, x, weight)[:2],
        {"x": draw(5, 3), "weight": draw(3, 3)},
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_passes_the_same_check(name: str):
    forward, backward, inputs = RIGHT[name]
    finding = by_gradcheck(forward, backward, inputs)
    assert not finding.caught, finding.text


def test_right_layers_forwards_and_optimizers_pass_the_other_checks():
    assert not by_gradcheck_of_layer(Linear(4, 3, generator=np.random.default_rng(0)), draw(5, 4)).caught
    pair = F.conv2d, lambda g, x, weight: F.conv2d_backward(g, x, weight)[:2]
    inputs = {"x": draw(1, 2, 5, 5), "weight": draw(3, 2, 3, 3)}
    assert not by_oracle(pair, lambda x, weight: F.conv2d(x, weight, algorithm="loops"), inputs).caught
    for make, expected in (
        (lambda p: SGD(p, 0.1, 0.9, form="classical"), _momentum_by_hand()),
        (lambda p: Adam(p, 0.1), _adam_by_hand()),
    ):
        parameters = {"w": Parameter(np.ones(1))}
        optimizer, path = make(parameters), []
        for _ in range(STEPS):
            parameters["w"].grad = parameters["w"].value.copy()
            optimizer.step()
            path.append(float(parameters["w"].value[0]))
        assert not by_closed_form(np.array(path), expected).caught


def test_the_suite_finds_all_gradients_of_the_engine_right():
    reports = gradient_suite.check_gradients()
    assert len(reports) >= 30
    wrong = {name: str(report) for name, report in reports.items() if not report.passed}
    assert not wrong


# Mistakes that no exercise has: the checks must find them too.


def last_row_lost(g, x, weight, **settings):
    grads = F.conv2d_backward(g, x, weight, **settings)
    grads[0][:, :, -1] = 0
    return grads[:2]


def groups_exchanged(g, x, weight, **settings):
    grad_x, grad_weight, _ = F.conv2d_backward(g, x, weight, **settings)
    return np.roll(grad_x, grad_x.shape[1] // 2, axis=1), grad_weight


def kernel_mirrored(g, x, weight, **settings):
    grad_x, grad_weight, _ = F.conv2d_backward(g, x, weight, **settings)
    return grad_x, grad_weight[:, :, ::-1]


def one_tap_forgotten(g, x, weight, **settings):
    grad_x, grad_weight, _ = F.conv2d_backward(g, x, weight, **settings)
    grad_weight[0, 0, -1, -1] = 0
    return grad_x, grad_weight


SETTINGS = (
    {"padding": 1},
    {"stride": 2, "padding": ((0, 1), (1, 0))},
    {"dilation": 2, "groups": 2, "padding": 2},
    {"stride": 3},
)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("wrong", [last_row_lost, groups_exchanged, kernel_mirrored, one_tap_forgotten])
def test_other_wrong_gradients_of_a_convolution_are_found(wrong, settings):
    groups = settings.get("groups", 1)
    inputs = {"x": draw(2, 4, 8, 7), "weight": draw(4, 4 // groups, 3, 3)}
    forward = lambda x, weight: F.conv2d(x, weight, **settings)  # noqa: E731
    right = lambda g, x, weight: F.conv2d_backward(g, x, weight, **settings)[:2]  # noqa: E731
    assert gradcheck((forward, right), inputs, sweep=False).passed
    if wrong is last_row_lost and settings == {"stride": 3}:
        return  # no window reaches the last row: its gradient is zero indeed
    report = gradcheck((forward, lambda g, x, weight: wrong(g, x, weight, **settings)), inputs, sweep=False)
    assert not report.passed


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_a_pooling_gradient_that_is_off_by_a_window_is_found(ceil_mode: bool):
    def shifted(g, x):
        return np.roll(F.max_pool2d_backward(g, x, 3, 2, ceil_mode=ceil_mode), 1, axis=3)

    forward = lambda x: F.max_pool2d(x, 3, 2, ceil_mode=ceil_mode)  # noqa: E731
    assert not gradcheck((forward, shifted), {"x": draw(1, 2, 6, 6)}, sweep=False).passed
