"""The screens of filters, functions and fields in a browser, against what the other rooms compute."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from striate import filters
from striate.architectures import Spec, summarize
from striate.engine import functional as F
from striate.lesson.pictures import SIDE, built_in_pictures

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}  # float32 sums in another order
CURVES = {  # of the page -> of striate.filters
    "relu": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "linear": "linear",
    "squared": "squared-error",
    "entropy": "cross-entropy",
}
FIELDS = [  # layers as kind.kernel.stride.dilation, the field of a unit of the last
    ("conv.3.1.1_conv.3.1.1", 5),
    ("conv.3.2.1_conv.3.1.1", 7),
    ("conv.3.1.1_conv.5.1.1", 7),
    ("conv.3.1.1_pool.2.2.1_conv.2.1.1", 6),
    ("conv.3.1.2_conv.3.1.1", 7),
    ("conv.3.1.1_pool.2.2.1_conv.3.1.1", 8),
]


@pytest.fixture
def open_screen(open_page, plain_page):
    return lambda state: open_page(plain_page, f"#screen={state}")


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return built_in_pictures()["cat"] / np.float32(255)


def as_picture(values: list[float]) -> np.ndarray:
    return np.array(values).reshape(SIDE, SIDE)


def test_every_filter_of_the_gallery_responds_as_filters_apply(open_screen, cat):
    page = open_screen("filters&picture=cat")
    gallery = page.evaluate(
        """PAGE.gallery.map(({ name, rows }) =>
             [name, Array.from(respond(filterPixels(), PAGE.pictureSide, rows, "reflect"))])"""
    )
    assert {name for name, _ in gallery} >= set(filters.KERNELS)
    for name, values in gallery:
        expected = filters.apply(cat, name, border="reflect")
        np.testing.assert_allclose(as_picture(values), expected, **TOLERANCE, err_msg=name)
    assert page.locator("#filter-gallery .card").count() == len(gallery)


@pytest.mark.parametrize(("frequency", "angle", "sigma"), [(0.1, 0, 1), (0.2, 45, 3), (0.07, 110, 2.4)])
def test_gabor_is_that_of_filters(open_screen, cat, frequency, angle, sigma):
    page = open_screen(f"filters&picture=cat&frequency={frequency}&angle={angle}&sigma={sigma}")
    kernel = filters.gabor(frequency, np.deg2rad(angle), sigma)
    real, imaginary = page.evaluate(
        """() => {
          const { frequency, angle, sigma } = filtersState;
          const { real, imaginary } = gaborKernel(frequency, angle, sigma);
          return [real, imaginary];
        }"""
    )
    np.testing.assert_allclose(np.array(real) + 1j * np.array(imaginary), kernel.weights, **TOLERANCE)
    arguments = [frequency, angle, sigma]
    found = page.evaluate(
        "([f, a, s]) => Array.from(gaborMagnitude(filterPixels(), PAGE.pictureSide, f, a, s))", arguments
    )
    np.testing.assert_allclose(as_picture(found), filters.magnitude(cat, kernel), rtol=1e-3, atol=1e-3)


def test_a_filter_of_the_gallery_opens_step_by_step(open_screen):
    page = open_screen("filters&picture=waves")
    page.get_by_role("button", name="roberts-x").click()
    assert page.get_by_role("heading", level=1).inner_text() == "A kernel slides over a picture"
    assert page.evaluate("[conv.picture, conv.weights]") == ["waves", [1, 0, 0, -1]]


@pytest.mark.parametrize(("name", "known"), CURVES.items())
def test_curves_and_slopes_are_the_engines(open_screen, name, known):
    page = open_screen(f"functions&curve={name}&x=0.8")
    function = filters.FUNCTIONS[known]
    places = [-1.7, -0.3, 0.45, 1.6]
    found = page.evaluate(
        "([name, at]) => at.map((x) => [CURVES[name].of(x), CURVES[name].slope(x)])", [name, places]
    )
    x = np.array(places)
    expected = np.stack([function.value(x), function.slope(x)], axis=1)
    np.testing.assert_allclose(found, expected, **TOLERANCE)
    value = float(page.inner_text("#func-y-value"))
    assert value == pytest.approx(float(function.value(np.array([0.8]))[0]), abs=0.0051)


def test_pooling_sends_gradients_where_the_engine_does(open_screen):
    page = open_screen("functions")
    page.get_by_label("Pixel, row 1, column 1").fill("4")  # as large as another: the first gets the gradient
    values = np.array(page.evaluate("functionState.values"), np.float32).reshape(1, 1, 4, 4)
    for cell in range(4):
        grad = np.zeros((1, 1, 2, 2), np.float32)
        grad.flat[cell] = 1
        backwards = {
            "max": F.max_pool2d_backward(grad, values, 2),
            "avg": F.avg_pool2d_backward(grad, values, 2),
        }
        for kind, expected in backwards.items():
            found = page.evaluate("([k, c]) => poolWindow(functionState.values, k, c)", [kind, cell])
            np.testing.assert_allclose(found["shares"], expected.ravel())
            forward = F.max_pool2d(values, 2) if kind == "max" else F.avg_pool2d(values, 2)
            assert found["value"] == pytest.approx(float(forward.flat[cell]))


@pytest.mark.parametrize(("layers", "field"), FIELDS)
def test_field_of_a_stack_is_as_taught(open_screen, layers, field):
    page = open_screen(f"field&layers={layers}")
    assert f"spans {field} pixels" in page.inner_text("#field-sentence")
    cone = page.evaluate("[...fieldCone(fieldState.layers, fieldState.unit)[0]]")
    assert max(cone) - min(cone) + 1 == field


def test_costs_of_blocks_are_those_of_the_architectures(open_screen):
    page = open_screen("field&channels=32&side=14")
    designs = page.evaluate(
        "Object.entries(blockDesigns(32)).map(([name, ways]) => [name, ways, blockCost(ways, 14)])"
    )
    for name, ways, cost in designs:
        branches = [
            [
                {"conv2d": {"out_channels": out, "kernel_size": [h, w], "padding": [h // 2, w // 2]}}
                for h, w, _, out in way
            ]
            for way in ways
        ]
        block = (
            {"residual": {"layers": branches[0]}}
            if name == "residual"
            else {"parallel": {"branches": branches}}
        )
        layers = branches[0] if len(branches) == 1 else [block]
        head = ["adaptive_avg_pool2d", "flatten", {"linear": {"out_features": "num_classes"}}]
        counted = summarize(Spec.from_dict({"layers": [*layers, *head]}), (32, 14, 14), 2)
        linear = 2 * (32 + 1)
        assert cost == {"parameters": counted.parameters - linear, "work": counted.multiply_adds - linear}, (
            name
        )


def test_pictures_of_the_page_are_the_built_in_ones(open_screen, cat):
    page = open_screen("filters")
    encoded = page.evaluate("PAGE.pictures.find(({ id }) => id === 'cat').pixels")
    pixels = np.frombuffer(base64.b64decode(encoded), np.uint8).reshape(SIDE, SIDE)
    np.testing.assert_allclose(pixels / 255, cat, atol=1e-6)
