import numpy as np
import pytest

from striate.engine import functional as F
from striate.engine import layers
from striate.engine.gradcheck import gradcheck
from striate.engine.network import Network
from striate.engine.parameter import Parameter


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def square(x):
    return x**2


def square_backward(grad_output, x):
    return 2 * x * grad_output


def cube_backward(grad_output, x):
    return 3 * x**2 * grad_output


def test_right_gradient_passes_and_wrong_one_is_found_where_it_is_wrong():
    def wrong(grad_output, x):
        grad = square_backward(grad_output, x)
        grad[1, 2] *= 1.001
        return grad

    x = draw(3, 4)
    assert gradcheck((square, square_backward), {"x": x}).passed
    report = gradcheck((square, wrong), {"x": x})
    assert not report.passed
    assert report.where == ("x", (1, 2))
    assert report.largest_error == pytest.approx(1e-3, rel=0.01)
    assert np.count_nonzero(report.errors["x"] > report.tolerance) == 1


def test_error_outside_the_sample_shows_along_a_random_direction():
    def wrong(grad_output, x):
        grad = square_backward(grad_output, x)
        grad[-1] += 1
        return grad

    report = gradcheck((square, wrong), {"x": draw(5000)}, elements=10)
    assert report.inputs["x"].checked == 10
    assert np.nanmax(report.errors["x"]) < 1e-6
    assert not report.passed


def test_sweep_shows_truncation_falling_with_the_square_of_the_step_and_then_roundoff():
    report = gradcheck((lambda x: x**3, cube_backward), {"x": 1 + np.abs(draw(20))})
    errors = dict(report.sweep)
    for coarse, fine in ((1e-1, 1e-2), (1e-2, 1e-3), (1e-3, 1e-4)):
        assert errors[coarse] / errors[fine] == pytest.approx(100, rel=0.3)
    best = min(errors, key=errors.get)
    assert 1e-7 < best < 1e-4
    assert errors[1e-12] > 1e3 * errors[best]
    assert errors[1e-1] > 1e3 * errors[best]


def test_linear_function_has_no_truncation():
    report = gradcheck((lambda x: 3 * x, lambda g, x: 3 * g), {"x": draw(10)})
    assert dict(report.sweep)[1e-1] < 1e-13


def test_kinks_are_found_and_any_slope_between_the_sides_is_right():
    x = draw(3, 4)
    x[0, 1] = x[2, 3] = 0.0
    x[1, 1] = 3e-6  # closer than the step, but no kink by itself
    report = gradcheck((F.relu, F.relu_backward), {"x": x})
    assert report.passed, report
    assert report.kinks == {"x": ((0, 1), (2, 3))}
    half = (F.relu, lambda g, x: g * ((x > 0) + 0.5 * (x == 0)))
    assert gradcheck(half, {"x": x}).passed
    outside = (F.relu, lambda g, x: g * ((x > 0) + 1.5 * (x == 0)))
    report = gradcheck(outside, {"x": x})
    assert not report.passed
    assert report.where[1] in {(0, 1), (2, 3)}


def test_a_bend_is_no_kink():
    x = np.linspace(-3e-3, 3e-3, 9)
    sharp = (lambda x: np.sqrt(x**2 + 1e-6), lambda g, x: g * x / np.sqrt(x**2 + 1e-6))
    report = gradcheck(sharp, {"x": x}, tolerance=1e-4)
    assert report.kinks == {}
    assert report.passed, report


def test_pooling_ties_are_kinks_and_counting_all_of_them_is_wrong():
    x = draw(1, 1, 4, 4)
    x[0, 0, :2, :2] = 1.5

    def forward(x):
        return F.max_pool2d(x, 2)

    def to_all(grad_output, x):
        y = F.max_pool2d(x, 2)
        return np.kron(grad_output, np.ones((2, 2))) * (x == np.kron(y, np.ones((2, 2))))

    right = gradcheck((forward, lambda g, x: F.max_pool2d_backward(g, x, 2)), {"x": x})
    assert right.passed, right
    assert set(right.kinks["x"]) == {(0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 0), (0, 0, 1, 1)}
    assert not gradcheck((forward, to_all), {"x": x}).passed


def test_loss_is_checked_with_labels_handed_on():
    labels = np.array([0, 2, 1])

    def forward(logits, target):
        return F.cross_entropy(logits, target, label_smoothing=0.1)

    def backward(grad_output, logits, target):
        return F.cross_entropy_backward(grad_output, logits, target, label_smoothing=0.1)

    report = gradcheck((forward, backward), {"logits": draw(3, 4), "target": labels})
    assert report.passed, report
    assert list(report.inputs) == ["logits"]


def test_float32_inputs_are_checked_in_float64():
    assert gradcheck((square, square_backward), {"x": draw(5).astype(np.float32)}).passed
    layer = layers.Linear(4, 3, generator=np.random.default_rng(0))
    assert gradcheck(layer, draw(5, 4).astype(np.float32)).passed
    assert layer.weight.value.dtype == np.float32


def test_whole_network_with_its_loss_is_checked():
    generator = np.random.default_rng(0)
    network = Network(
        [
            layers.Conv2d(1, 3, 3, generator=generator),
            layers.BatchNorm2d(3),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.3, generator=generator),
            layers.Linear(12, 4, generator=generator),
        ]
    )
    labels = np.array([0, 1, 3, 2])
    loss = (lambda y: F.cross_entropy(y, labels), lambda g, y: F.cross_entropy_backward(g, y, labels))
    report = gradcheck(network, draw(4, 1, 4, 4), loss=loss, elements=None)
    assert report.passed, report
    assert set(report.inputs) == {"x", *network.parameters()}
    with pytest.raises(ValueError, match="loss: expected None with a pair of functions"):
        gradcheck((F.relu, F.relu_backward), {"x": draw(2, 2)}, loss=loss)


class Scale(layers.Layer):
    """y = scale * x, whose backward can be wrong in several ways."""

    def __init__(self, fault=""):
        super().__init__()
        self.scale = Parameter(np.full(3, 2.0))
        self.fault = fault

    def own_parameters(self):
        return {"scale": self.scale}

    def forward(self, x):
        self.x = x.copy()
        if self.fault == "changes x":
            x += 1
        if self.fault == "keeps the first":
            self.first = getattr(self, "first", self.x)
        return self.x * self.scale.value

    def backward(self, grad_output):
        if self.fault == "changes grad_output":
            grad_output *= 2
        grad = (grad_output * getattr(self, "first", self.x)).sum(axis=0)
        if self.fault == "replaces":
            self.scale.grad = grad
        elif self.fault == "shape":
            self.scale.grad = grad[:1]
        else:
            self.scale.accumulate(grad)
        grad_x = grad_output * self.scale.value
        return grad_x * (np.nan if self.fault == "nan" else 1)


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("replaces", "a second backward pass does not add to the gradient"),
        ("shape", r"expected shape (3,), got (1,)"),
        ("changes x", "the input was changed"),
        ("changes grad_output", "grad_output was changed"),
        ("keeps the first", "(ratio 0.5)"),
        ("nan", "inf"),
    ],
)
def test_faults_apart_from_the_numbers_are_named(fault, problem):
    assert gradcheck(Scale(), draw(4, 3)).passed
    report = gradcheck(Scale(fault), draw(4, 3))
    assert not report.passed
    assert problem in str(report)


def test_gradient_that_is_zero_passes_in_spite_of_roundoff():
    """A bias before a batch normalisation changes nothing, so its measured slope is round-off alone."""
    generator = np.random.default_rng(0)
    network = Network([layers.Linear(3, 4, generator=generator), layers.BatchNorm1d(4)])
    report = gradcheck(network, 100 * draw(6, 3))
    assert report.passed, report


@pytest.mark.parametrize("wrong", [lambda g: np.ones(()), lambda g: g * g], ids=["ignored", "squared"])
def test_what_a_loss_makes_of_its_own_gradient_is_checked(wrong):
    z, labels = draw(3, 4), np.array([0, 3, 1])

    def backward(grad_output, z):
        return F.cross_entropy_backward(wrong(grad_output), z, labels)

    assert not gradcheck((lambda z: F.cross_entropy(z, labels), backward), {"z": z}).passed


@pytest.mark.parametrize("offset", [3e8, 1e9, 1e12])
def test_a_wrong_gradient_does_not_pass_because_outputs_are_large(offset):
    report = gradcheck((lambda x: x * x + offset, half_of_squares_gradient), {"x": draw(5, 4)})
    assert not report.passed


def half_of_squares_gradient(grad_output, x):
    return grad_output * x


def test_nothing_measured_is_no_pass():
    assert not gradcheck(layers.ReLU(), np.zeros((0, 3))).passed


def test_report_reads_as_a_table():
    wrong = gradcheck((square, lambda g, x: -square_backward(g, x)), {"x": draw(2, 3)}, step=1e-4)
    text = str(wrong)
    assert text.startswith("FAIL  gradient check of square: step 0.0001, tolerance 1e-06")
    assert "6 of the 6 elements of x that were checked are wrong" in text
    assert "(ratio -1)" in text
    assert "best" in text
    assert str(gradcheck((square, square_backward), {"x": draw(2)}, sweep=False)).startswith("PASS")


def test_same_seed_gives_the_same_report():
    reports = [gradcheck((square, square_backward), {"x": draw(900)}, elements=20, seed=3) for _ in range(2)]
    assert np.array_equal(reports[0].errors["x"], reports[1].errors["x"], equal_nan=True)
    other = gradcheck((square, square_backward), {"x": draw(900)}, elements=20, seed=4)
    assert not np.array_equal(np.isnan(other.errors["x"]), np.isnan(reports[0].errors["x"]))


def test_nothing_to_differentiate_by_is_refused():
    with pytest.raises(TypeError, match="inputs: expected at least one NumPy array of floating numbers"):
        gradcheck((square, square_backward), {"x": np.arange(3)})


def product(x, y):
    return x * y


@pytest.mark.parametrize(
    "backward",
    [
        lambda g, x, y: (g * y, None),
        lambda g, x, y: g * y,
        lambda g, x, y: {"x": g * y},
    ],
    ids=["None", "left out", "not in the mapping"],
)
def test_missing_gradient_fails_unless_it_is_declared_unneeded(backward):
    inputs = {"x": draw(3), "y": draw(3, seed=1)}
    report = gradcheck((product, backward), inputs)
    assert not report.passed
    assert report.inputs["x"].largest_error < 1e-6
    assert report.inputs["y"].problem == "expected a gradient, got none"
    assert "expected a gradient, got none" in str(report)
    spared = gradcheck((product, backward), inputs, unneeded=["y"])
    assert spared.passed
    assert list(spared.inputs) == ["x"]


def test_unneeded_gradient_that_is_there_is_checked_all_the_same():
    wrong = (product, lambda g, x, y: (g * y, 2 * g * x))
    assert not gradcheck(wrong, {"x": draw(3), "y": draw(3, seed=1)}, unneeded=["y"]).passed
    with pytest.raises(ValueError, match="unneeded: expected names out of x, y, got 'z'"):
        gradcheck(wrong, {"x": draw(3), "y": draw(3)}, unneeded=["z"])


def test_first_layer_needs_no_gradient_of_its_input_and_no_layer_forgets_a_parameter():
    layer = layers.Linear(3, 2, generator=np.random.default_rng(0))
    layer.needs_input_grad = False
    report = gradcheck(layer, draw(4, 3))
    assert report.passed, report
    assert list(report.inputs) == ["weight", "bias"]

    class Forgetful(Scale):
        def backward(self, grad_output):
            return grad_output * self.scale.value

    report = gradcheck(Forgetful(), draw(4, 3))
    assert not report.passed
    assert report.inputs["scale"].problem == "expected a gradient, got none"


def test_wrong_gradient_of_unmeasured_elements_shows_although_kinks_lie_everywhere():
    """With zeros among the values no direction is free of kinks; the outputs without one still tell."""
    x = draw(400)
    x[::4] = 0.0
    assert gradcheck((F.relu, F.relu_backward), {"x": x}, elements=3).passed
    doubled = np.where(np.arange(400) % 4 == 1, 2.0, 1.0)
    wrong = (F.relu, lambda g, x: F.relu_backward(g, x) * doubled)
    report = report_of_right_elements(wrong, x)
    assert report.inputs["x"].direction_error > 1e-3
    assert not report.passed


def report_of_right_elements(pair, x):
    """Return the first report whose measured elements are all right, as with a mistake in a few of many."""
    reports = (gradcheck(pair, {"x": x}, elements=3, seed=seed, sweep=False) for seed in range(50))
    return next(report for report in reports if np.nanmax(report.errors["x"]) < 1e-6)


def test_wrong_gradient_of_a_loss_shows_although_its_one_output_has_kinks():
    """The single output meets a kink along every direction: the gradient must lie between its sides."""
    x = draw(400)
    x[5] = 0.0
    right = (lambda x: np.abs(x).sum(), lambda g, x: g * np.sign(x))
    assert gradcheck(right, {"x": x}, elements=3).passed
    wrong = (right[0], lambda g, x: g * np.sign(x) * np.where(np.arange(400) < 200, -1, 1))
    report = report_of_right_elements(wrong, x)
    assert report.inputs["x"].direction_error > 1e-3
    assert not report.passed


@pytest.mark.parametrize(
    ("offset", "slope"),
    [(1e9, 0.01), (1e8, 0.1), (1e3, 1e-8), ([0.0, 1e9, 1e9], 1.0), (1e9, 1.0)],
)
@pytest.mark.parametrize("share", [0, 0.8, 1, -1])
def test_slopes_that_roundoff_hides_are_not_measurable_whatever_backward_returns(offset, slope, share):
    pair = (lambda x: np.array(offset) + slope * x, lambda g, x: share * slope * g)
    report = gradcheck(pair, {"x": np.array([1.0, 2.0, 3.0])}, sweep=False)
    assert not report.passed
    assert "not measurable: outputs are so large" in str(report)


def test_a_longer_step_measures_what_roundoff_hid():
    x = {"x": np.array([1.0, 2.0, 3.0])}
    assert gradcheck((lambda x: 1e9 + x, lambda g, x: g), x, step=0.1).passed
    assert not gradcheck((lambda x: 1e9 + x, lambda g, x: 0 * g), x, step=0.1).passed


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e9])
def test_no_gradient_is_right_where_outputs_do_not_respond(offset):
    """Neither where nothing depends on x, nor behind ReLUs that are far from waking."""
    x = {"x": np.array([1.0, 2.0, 3.0])}
    for forward in (lambda x: offset + 0 * x, lambda x: offset + F.relu(x - 3.05)):
        assert gradcheck((forward, lambda g, x: 0 * g), x, sweep=False).passed
        assert not gradcheck((forward, lambda g, x: 0.01 * g), x, sweep=False).passed


def test_a_complex_gradient_is_told():
    report = gradcheck((square, lambda g, x: square_backward(g, x) + 1j), {"x": draw(3)})
    assert report.inputs["x"].problem == "expected real numbers, got complex128"
    assert not report.passed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step": 0}, "step: expected a number above 0, got 0"),
        ({"step": -1e-5}, "step: expected a number above 0, got -1e-05"),
        ({"tolerance": -1}, "tolerance: expected a number above 0, got -1"),
        ({"tolerance": np.nan}, "tolerance: expected a finite number, got nan"),
        ({"elements": 0}, "elements: expected at least 1, got 0"),
        ({"elements": -3}, "elements: expected at least 1, got -3"),
        ({"seed": -1}, "seed: expected at least 0, got -1"),
        ({"loss": 3}, r"loss: expected a pair of functions \(forward, backward\), got 3"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        gradcheck((square, square_backward), {"x": draw(3)}, **settings)


def test_subjects_and_inputs_that_cannot_be_are_refused_by_name():
    with pytest.raises(TypeError, match="subject: expected a pair of functions"):
        gradcheck(square, {"x": draw(3)})
    with pytest.raises(TypeError, match="inputs: expected a mapping of names to arrays, got ndarray"):
        gradcheck((square, square_backward), draw(3))


@pytest.mark.parametrize(
    ("backward", "name"),
    [(lambda g, x: (2 * x * g, g), "number 2"), (lambda g, x: {"x": 2 * x * g, "y": g}, "y")],
    ids=["tuple", "mapping"],
)
def test_a_gradient_too_many_is_refused(backward, name):
    with pytest.raises(ValueError, match=f"backward: expected gradients of x, got another, {name}"):
        gradcheck((square, backward), {"x": draw(3)})
    assert gradcheck((square, lambda g, x: (2 * x * g, None)), {"x": draw(3)}).passed
