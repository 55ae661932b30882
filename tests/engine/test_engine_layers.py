import array_api_strict
import numpy as np
import pytest
import torch
from engine_testing import EXACT
from torch import nn

from striate.engine import layers
from striate.engine.backend import to_numpy
from striate.engine.blocks import Parallel, Residual, Sequential
from striate.engine.gradcheck import gradcheck
from striate.engine.network import Network

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}  # float32: some hundred terms are summed


def rng(seed=0):
    return np.random.default_rng(seed)


def conv(*args, **kwargs):
    return layers.Conv2d(*args, generator=rng(), **kwargs)


CASES = {
    "conv": (lambda: conv(3, 4, 3), lambda: nn.Conv2d(3, 4, 3), (2, 3, 7, 6)),
    "conv-all": (
        lambda: conv(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2, bias=False),
        lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2, bias=False),
        (2, 4, 7, 6),
    ),
    "conv-same": (
        lambda: conv(3, 4, (3, 5), padding="same"),
        lambda: nn.Conv2d(3, 4, (3, 5), padding="same"),
        (2, 3, 7, 6),
    ),
    "linear": (lambda: layers.Linear(5, 3, generator=rng()), lambda: nn.Linear(5, 3), (4, 5)),
    "linear-3d": (
        lambda: layers.Linear(5, 3, bias=False, generator=rng()),
        lambda: nn.Linear(5, 3, bias=False),
        (2, 4, 5),
    ),
    "batch-norm-2d": (lambda: layers.BatchNorm2d(3), lambda: nn.BatchNorm2d(3), (4, 3, 5, 2)),
    "batch-norm-1d": (
        lambda: layers.BatchNorm1d(3, 1e-2, 0.3),
        lambda: nn.BatchNorm1d(3, 1e-2, 0.3),
        (6, 3),
    ),
    "batch-norm-cumulative": (
        lambda: layers.BatchNorm1d(3, momentum=None, affine=False),
        lambda: nn.BatchNorm1d(3, momentum=None, affine=False),
        (6, 3, 4),
    ),
    "max-pool": (
        lambda: layers.MaxPool2d(3, 2, 1, 1, True),
        lambda: nn.MaxPool2d(3, 2, 1, 1, ceil_mode=True),
        (2, 3, 8, 7),
    ),
    "avg-pool": (
        lambda: layers.AvgPool2d((2, 3), None, (1, 1), True, False),
        lambda: nn.AvgPool2d((2, 3), None, (1, 1), True, False),
        (2, 3, 8, 7),
    ),
    "adaptive-avg-pool": (
        lambda: layers.AdaptiveAvgPool2d((3, 2)),
        lambda: nn.AdaptiveAvgPool2d((3, 2)),
        (2, 3, 8, 7),
    ),
    "adaptive-max-pool": (
        lambda: layers.AdaptiveMaxPool2d((3, 2)),
        lambda: nn.AdaptiveMaxPool2d((3, 2)),
        (2, 3, 8, 7),
    ),
    "flatten": (layers.Flatten, nn.Flatten, (2, 3, 4, 5)),
    "relu": (layers.ReLU, nn.ReLU, (2, 3, 4)),
    "relu6": (layers.ReLU6, nn.ReLU6, (50, 3)),
    "leaky-relu": (lambda: layers.LeakyReLU(0.3), lambda: nn.LeakyReLU(0.3), (2, 3, 4)),
    "gelu": (layers.GELU, nn.GELU, (2, 3, 4)),
    "gelu-tanh": (lambda: layers.GELU("tanh"), lambda: nn.GELU("tanh"), (2, 3, 4)),
    "silu": (layers.SiLU, nn.SiLU, (2, 3, 4)),
    "sigmoid": (layers.Sigmoid, nn.Sigmoid, (2, 3, 4)),
    "tanh": (layers.Tanh, nn.Tanh, (2, 3, 4)),
    "softmax": (layers.Softmax, lambda: nn.Softmax(1), (4, 5)),
    "log-softmax": (lambda: layers.LogSoftmax(-1), lambda: nn.LogSoftmax(-1), (4, 5, 3)),
}


def pair(case, dtype="float64"):
    """Return our layer and torch's with the same weights, and an input."""
    make, make_torch, shape = CASES[case]
    ours, theirs = make(), make_torch().to(getattr(torch, dtype))
    arrays = {**{name: p.value for name, p in ours.parameters().items()}, **ours.buffers()}
    theirs.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    ours.map_arrays(lambda array: array.astype(dtype))
    return ours, theirs, (3 * rng(1).standard_normal(shape)).astype(dtype)


def close(ours, theirs, dtype):
    expected = theirs.detach().numpy()
    scale = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(to_numpy(ours), expected, rtol=0, atol=TOLERANCE[dtype] * scale)
    assert to_numpy(ours).dtype == dtype


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_layer_equals_torchs_forward_and_backward(case, training, dtype):
    ours, theirs, x = pair(case, dtype)
    ours.train(training)
    theirs.train(training)
    for repetition in range(2):  # running statistics move on, gradients accumulate
        x = x + np.asarray(repetition, dtype)
        tensor = torch.from_numpy(x.copy()).requires_grad_()
        before = x.copy()
        y, expected = ours.forward(x), theirs(tensor)
        close(y, expected, dtype)
        grad = rng(2).standard_normal(y.shape).astype(dtype)
        expected.backward(torch.from_numpy(grad))
        close(ours.backward(grad), tensor.grad, dtype)
        assert np.array_equal(x, before)
    for name, parameter in theirs.named_parameters():
        close(ours.parameters()[name].grad, parameter.grad, dtype)
    for name, buffer in theirs.named_buffers():
        np.testing.assert_allclose(ours.buffers()[name], buffer.numpy(), atol=TOLERANCE[dtype])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_layer_passes_the_gradient_check(case, training):
    ours, _, x = pair(case)
    report = gradcheck(ours.train(training), x, sweep=False)
    assert report.passed, report
    assert set(report.inputs) == {"x", *ours.parameters()}


@pytest.mark.parametrize("case", CASES)
def test_layer_runs_on_the_array_api_standard_alone(case):
    device = array_api_strict.Device("device1")
    plain, _, x = pair(case)
    strict, *_ = pair(case)
    strict.map_arrays(lambda array: array_api_strict.asarray(array, device=device))
    y, on_device = plain.forward(x), strict.forward(array_api_strict.asarray(x, device=device))
    np.testing.assert_allclose(to_numpy(on_device), y, atol=1e-12)
    grad = rng(2).standard_normal(y.shape)
    grad_x = strict.backward(array_api_strict.asarray(grad, device=device))
    assert grad_x.device == device
    np.testing.assert_allclose(to_numpy(grad_x), plain.backward(grad), atol=1e-12)
    for name, parameter in plain.parameters().items():
        np.testing.assert_allclose(to_numpy(strict.parameters()[name].grad), parameter.grad, atol=1e-12)


@pytest.mark.parametrize("case", ["conv", "linear"])
def test_first_layer_can_do_without_input_gradient(case):
    ours, _, x = pair(case)
    grad = np.ones(ours.forward(x).shape)
    ours.backward(grad)
    expected = {name: parameter.grad for name, parameter in ours.parameters().items()}
    ours.zero_grad()
    ours.needs_input_grad = False
    ours.forward(x)
    assert ours.backward(grad) is None
    for name, parameter in ours.parameters().items():
        np.testing.assert_allclose(parameter.grad, expected[name], rtol=0, atol=EXACT)


def test_initial_weights_are_uniform_within_torchs_bounds():
    layer = layers.Conv2d(8, 64, 3, groups=2, generator=rng())
    bound = 1 / np.sqrt(4 * 9)
    weight = layer.weight.value
    assert weight.shape == (64, 4, 3, 3)
    assert 0.99 * bound < np.abs(weight).max() <= bound
    assert abs(weight.std() - bound / np.sqrt(3)) < 0.02 * bound
    again = layers.Conv2d(8, 64, 3, groups=2, generator=rng())
    assert np.array_equal(again.weight.value, weight)


def test_dropout_can_be_given_a_mask_and_holds_the_last_one():
    layer = layers.Dropout(0.25, generator=rng())
    x = np.ones((50, 40))
    first = layer.forward(x)
    assert not np.array_equal(layer.forward(x), first)
    layer.hold_mask()
    held = layer.forward(x)
    assert np.array_equal(layer.forward(x), held)
    layer.mask = rng(3).random(x.shape) < 0.5
    assert np.array_equal(layer.forward(x), layer.mask / 0.75)
    assert np.array_equal(layer.backward(x), layer.mask / 0.75)
    assert np.array_equal(layer.eval().forward(x), x)
    assert np.array_equal(layer.backward(x), x)


def test_dropout_passes_the_gradient_check_with_its_mask_held():
    report = gradcheck(layers.Dropout(0.5, generator=rng()), rng(1).standard_normal((4, 6)), sweep=False)
    assert report.passed, report


def block():
    generator = rng(4)
    main = [layers.Conv2d(3, 4, 3, 2, 1, generator=generator), layers.BatchNorm2d(4), layers.ReLU()]
    shortcut = [layers.Conv2d(3, 4, 1, 2, generator=generator)]
    inside = {"again": Residual([layers.Tanh()])}
    return Network(
        {
            "residual": Residual(main, shortcut),
            "parallel": Parallel([[layers.Conv2d(4, 2, 1, generator=generator)], inside, []]),
            "pool": layers.AdaptiveAvgPool2d(),
            "flatten": layers.Flatten(),
            "head": layers.Linear(10, 3, generator=generator),
        }
    )


def test_blocks_pass_the_gradient_check_and_leave_the_network_as_it_was():
    network = block()
    before = network.state_dict()
    report = gradcheck(network, rng(5).standard_normal((3, 3, 6, 6)), sweep=False, tolerance=1e-5)
    assert report.passed, report
    assert report.inputs.keys() >= {"x", "residual.shortcut.0.weight", "parallel.branch1.0.bias"}
    for name, array in network.state_dict().items():
        assert np.array_equal(array, before[name])
        assert array.dtype == before[name].dtype
    assert all(parameter.grad is None for parameter in network.parameters().values())


def test_residual_refuses_what_cannot_be_added():
    wrong = Residual([conv(3, 4, 1)])
    with pytest.raises(ValueError, match=r"expected the shape of the shortcut, \(1, 3, 2, 2\), got \(1, 4"):
        wrong.forward(np.ones((1, 3, 2, 2), np.float32))


def test_sequential_without_input_gradient_still_gives_all_parameters_theirs():
    network = Sequential({"flatten": layers.Flatten(), "linear": layers.Linear(12, 2, generator=rng())})
    x = rng(1).standard_normal((4, 3, 2, 2)).astype(np.float32)
    network.forward(x)
    grad = np.ones((4, 2), np.float32)
    assert network.backward(grad).shape == x.shape
    expected = network.parameters()["linear.weight"].grad
    network.zero_grad()
    network.set_input_grad(False)
    network.forward(x)
    assert network.backward(grad) is None
    assert np.array_equal(network.parameters()["linear.weight"].grad, expected)
    network.set_input_grad(True)
    network.forward(x)
    assert network.backward(grad) is not None


def test_backward_without_forward_says_so():
    layer = layers.ReLU()
    with pytest.raises(RuntimeError, match=r"ReLU\.backward: expected a forward pass before each backward"):
        layer.backward(np.ones(3))
    layer.backward(layer.forward(np.ones(3)))
    with pytest.raises(RuntimeError, match="expected a forward pass"):
        layer.backward(np.ones(3))


@pytest.mark.parametrize(
    ("make", "x", "error", "message"),
    [
        (lambda: conv(4, 6, 3, groups=3), None, ValueError, "groups: expected a divisor of in_channels = 4"),
        (lambda: conv(4, 6, 0), None, ValueError, "kernel_size: expected at least 1, got 0"),
        (lambda: conv(3, 4, 3), np.ones((1, 4, 5, 5), np.float32), ValueError, "x: expected 3 channels"),
        (lambda: conv(3, 4, 3), np.ones((1, 3, 5, 5), np.uint8), TypeError, "x: expected float32 or float64"),
        (lambda: layers.BatchNorm2d(3), np.ones((2, 3), np.float32), ValueError, "x: expected 4 dimensions"),
        (
            lambda: layers.Linear(4, 2, generator=rng()),
            np.ones((2, 3), np.float32),
            ValueError,
            r"x: expected \(\.\.\., 4\)",
        ),
    ],
)
def test_wrong_input_names_argument_expected_and_got(make, x, error, message):
    with pytest.raises(error, match=message):
        make().forward(x)
