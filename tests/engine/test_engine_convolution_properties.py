"""What holds for every convolution: it is linear, moves with its input, and its backward is its transpose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from striate.engine import functional as F
from striate.engine.algorithms import ALGORITHMS, Geometry, describe
from striate.engine.algorithms.geometry import Sides

NAMES = ["auto", *(name for name in ALGORITHMS if name != "loops")]

ROUNDING = 1e-11
"""float64: sums of some hundred products of numbers near 1, relative to the sum of their sizes."""

quick = settings(max_examples=150, derandomize=True, database=None, deadline=None)


@dataclass(frozen=True)
class Convolution:
    """A convolution with an algorithm that serves it.

    Attributes:
        name: of the algorithm.
        geometry: its shapes.
        seed: of its random numbers.
    """

    name: str
    geometry: Geometry
    seed: int

    @property
    def arguments(self) -> tuple:
        return (
            self.geometry.stride,
            self.geometry.padding,
            self.geometry.dilation,
            self.geometry.groups,
        )

    def draw(self, *shapes: tuple[int, ...]) -> list[np.ndarray]:
        generator = np.random.default_rng(self.seed)
        return [generator.normal(size=shape) for shape in shapes]

    def forward(self, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
        return F.conv2d(x, weight, bias, *self.arguments, algorithm=self.name)

    def backward(self, dy: np.ndarray, x: np.ndarray, weight: np.ndarray) -> tuple:
        return F.conv2d_backward(dy, x, weight, *self.arguments, algorithm=self.name)


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    groups = draw(st.integers(1, 3))
    in_channels, out_channels = (groups * draw(st.integers(1, 3)) for _ in range(2))
    size, kernel, padding = draw(pairs(1, 9)), draw(pairs(1, 4)), draw(st.tuples(pairs(0, 3), pairs(0, 3)))
    (top, bottom), (left, right) = padding
    dilation = draw(pairs(1, 3))
    assume(size[0] + top + bottom > dilation[0] * (kernel[0] - 1))
    assume(size[1] + left + right > dilation[1] * (kernel[1] - 1))
    geometry = geometry_of(
        (draw(st.integers(1, 9)), in_channels, *size),
        (out_channels, in_channels // groups, *kernel),
        draw(pairs(1, 3)),
        padding,
        dilation,
        groups,
    )
    serving = [name for name in NAMES if name == "auto" or ALGORITHMS[name].refusal(geometry) is None]
    return Convolution(draw(st.sampled_from(serving)), geometry, draw(st.integers(0, 999)))


@st.composite
def square_convolutions(draw: st.DrawFn) -> Convolution:
    """Those that Winograd's algorithm serves too; few of the others are."""
    k = draw(st.integers(2, 5))
    padding: Sides = tuple(draw(pairs(0, k - 1)) for _ in range(2))
    geometry = geometry_of(
        (draw(st.integers(1, 9)), draw(st.integers(1, 5)), *draw(pairs(k, 14))),
        (draw(st.integers(1, 5)), draw(st.integers(1, 5)), k, k),
        (1, 1),
        padding,
        (1, 1),
        1,
    )
    serving = [name for name in NAMES if name == "auto" or ALGORITHMS[name].refusal(geometry) is None]
    return Convolution(draw(st.sampled_from(serving)), geometry, draw(st.integers(0, 999)))


def geometry_of(size: tuple, weight: tuple, *arguments) -> Geometry:
    x, kernels = (
        np.broadcast_to(0.0, size),
        np.broadcast_to(0.0, (weight[0], size[1] // arguments[3], *weight[2:])),
    )
    return describe(x, kernels, None, *arguments)


any_convolution = st.one_of(convolutions(), square_convolutions())


def assert_equal(found: np.ndarray | float, expected: np.ndarray | float, scale: float) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING * scale)


@quick
@given(any_convolution)
def test_it_is_linear_in_the_images_and_in_the_kernels(convolution: Convolution):
    shape, kernels = convolution.geometry.in_shape, convolution.geometry.weight_shape
    x, other, weight, change = convolution.draw(shape, shape, kernels, kernels)
    y, scale = convolution.forward(x, weight), 10.0 * np.abs(x).sum()
    images = convolution.forward(2 * x - 3 * other, weight)
    assert_equal(images, 2 * y - 3 * convolution.forward(other, weight), scale)
    taps = convolution.forward(x, weight / 2 + change)
    assert_equal(taps, y / 2 + convolution.forward(x, change), scale)


@quick
@given(any_convolution)
def test_the_bias_is_added_to_every_pixel_of_its_channel(convolution: Convolution):
    geometry = convolution.geometry
    x, weight, bias = convolution.draw(geometry.in_shape, geometry.weight_shape, (geometry.out_channels,))
    y = convolution.forward(x, weight)
    assert_equal(convolution.forward(x, weight, bias), y + bias[:, None, None], 1 + np.abs(y).max())


@quick
@given(any_convolution, pairs(0, 2))
def test_an_image_moved_by_strides_moves_the_output_by_pixels(
    convolution: Convolution, moved: tuple[int, int]
):
    """Where nothing is pushed over the edge: the image lies in a canvas with room for it."""
    geometry = convolution.geometry
    (down, right), (height, width) = moved, geometry.size
    rows, columns = down * geometry.stride[0], right * geometry.stride[1]
    x, weight = convolution.draw(geometry.in_shape, geometry.weight_shape)
    before, after = np.zeros((2, *geometry.in_shape[:2], height + rows, width + columns))
    before[:, :, :height, :width] = x
    after[:, :, rows:, columns:] = x
    y, y_moved = convolution.forward(before, weight), convolution.forward(after, weight)
    out_height, out_width = y.shape[2:]
    assert_equal(
        y_moved[:, :, down:, right:], y[:, :, : out_height - down, : out_width - right], np.abs(x).sum()
    )


@quick
@given(any_convolution)
def test_the_backward_is_the_transpose_of_the_forward(convolution: Convolution):
    """<conv(x, w), y> = <x, dx> = <w, dw>, and with a bias <b, db> more, for any y."""
    geometry = convolution.geometry
    x, weight, bias, y = convolution.draw(
        geometry.in_shape, geometry.weight_shape, (geometry.out_channels,), geometry.out_shape
    )
    grad_x, grad_weight, grad_bias = convolution.backward(y, x, weight)
    product, scale = np.vdot(convolution.forward(x, weight), y), np.abs(x).sum() * np.abs(weight).sum()
    assert_equal(np.vdot(x, grad_x), product, scale)
    assert_equal(np.vdot(weight, grad_weight), product, scale)
    with_bias = np.vdot(convolution.forward(x, weight, bias), y)
    assert_equal(product + np.vdot(bias, grad_bias), with_bias, scale)


@quick
@given(convolutions())
def test_where_the_kernel_is_zero_all_is_zero_but_its_own_gradient(convolution: Convolution):
    geometry = convolution.geometry
    x, y = convolution.draw(geometry.in_shape, geometry.out_shape)
    weight = np.zeros(geometry.weight_shape)
    assert not convolution.forward(x, weight).any()
    assert not convolution.backward(y, x, weight)[0].any()
