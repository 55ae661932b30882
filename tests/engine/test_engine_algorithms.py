"""The algorithms of convolution, side by side: each agrees with `loops`, and `loops` with torch."""

from __future__ import annotations

import functools
from itertools import chain, combinations
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from engine_testing import EXACT, assert_close

from striate.engine import blas, parallel
from striate.engine import functional as F
from striate.engine.algorithms import ALGORITHMS, choose, describe
from striate.engine.algorithms.banding import Band
from striate.engine.algorithms.choice import automatic
from striate.engine.algorithms.geometry import Geometry, Sides

NAMES = list(ALGORITHMS)
WITH_AUTO = ["auto", *NAMES]
GRADIENTS = ("x", "weight", "bias")


class Shape(NamedTuple):
    """A convolution in numbers."""

    size: tuple[int, int, int, int]
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Sides | tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def arguments(self) -> tuple:
        return self.stride, self.padding, self.dilation, self.groups

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        return self.out_channels, self.size[1] // self.groups, *self.kernel

    @property
    def geometry(self) -> Geometry:
        x, weight = (np.broadcast_to(0.0, shape) for shape in (self.size, self.weight_shape))
        return describe(x, weight, None, *self.arguments)


SHAPES = {
    "3x3": Shape((2, 3, 7, 6), 4, (3, 3), padding=(1, 1)),
    "3x3, no padding": Shape((2, 2, 5, 8), 3, (3, 3)),
    "one image": Shape((1, 3, 9, 9), 5, (3, 3), padding=(1, 1)),
    "more images than lanes": Shape((11, 1, 6, 5), 2, (3, 3), padding=(1, 1)),
    "one pixel": Shape((2, 3, 1, 1), 4, (1, 1)),
    "1x1": Shape((3, 5, 4, 7), 6, (1, 1)),
    "1x1, stride 2": Shape((3, 5, 5, 8), 6, (1, 1), (2, 2)),
    "outputs in pairs": Shape((3, 4, 7, 12), 5, (3, 3), padding=(1, 1)),
    "outputs in pairs, more channels out": Shape((2, 2, 9, 10), 9, (3, 2), padding=(1, 1)),
    "outputs in pairs, stride 2": Shape((2, 3, 9, 12), 4, (3, 3), (2, 2), (1, 1)),
    "outputs by three, dilated down": Shape((2, 3, 9, 9), 4, (3, 3), padding=(2, 1), dilation=(2, 1)),
    "depth-wise, one strip": Shape((9, 4, 7, 7), 4, (3, 3), padding=(1, 1), groups=4),
    "depth-wise, strips": Shape((9, 3, 13, 11), 3, (3, 3), padding=(1, 1), groups=3),
    "depth-wise, strips, stride 2, dilated": Shape((2, 3, 15, 12), 3, (3, 2), (2, 1), (2, 1), (2, 3), 3),
    "depth-wise, uneven stride": Shape((8, 2, 17, 19), 2, (5, 3), (2, 3), ((2, 1), (0, 2)), groups=2),
    "depth-wise, more padding than reach": Shape((2, 2, 9, 10), 2, (2, 2), padding=(3, 3), groups=2),
    "as large as the image": Shape((2, 2, 5, 4), 3, (5, 4)),
    "only padding and one pixel": Shape((2, 2, 1, 1), 3, (3, 3), padding=(1, 1)),
    "even": Shape((2, 2, 8, 7), 3, (4, 4), padding=(2, 1)),
    "2x2": Shape((2, 3, 7, 7), 3, (2, 2)),
    "not square": Shape((2, 3, 7, 9), 4, (2, 5), padding=(1, 2)),
    "a column": Shape((2, 3, 9, 4), 2, (5, 1)),
    "5x5": Shape((2, 2, 9, 10), 3, (5, 5), padding=(2, 2)),
    "7x7, stride 2": Shape((2, 2, 12, 11), 2, (7, 7), (2, 2), (3, 3)),
    "four sides": Shape((2, 2, 6, 7), 3, (3, 3), padding=((0, 2), (1, 0))),
    "much padding": Shape((2, 1, 3, 4), 2, (3, 3), padding=((4, 5), (3, 6))),
    "stride 2": Shape((2, 3, 8, 9), 4, (3, 3), (2, 2), (1, 1)),
    "stride 2, four sides": Shape((2, 3, 8, 8), 4, (3, 3), (2, 2), ((0, 1), (0, 1))),
    "stride that leaves pixels unseen": Shape((2, 2, 10, 11), 3, (2, 2), (4, 3)),
    "two strides": Shape((2, 2, 11, 9), 3, (3, 2), (1, 3), (1, 0)),
    "dilation": Shape((2, 2, 10, 9), 3, (3, 3), padding=(2, 2), dilation=(2, 2)),
    "two dilations, stride": Shape((2, 2, 12, 10), 3, (2, 3), (2, 3), (1, 2), (3, 2)),
    "groups": Shape((2, 4, 6, 7), 6, (3, 3), padding=(1, 1), groups=2),
    "groups, stride, dilation": Shape((2, 6, 11, 10), 3, (3, 2), (2, 1), ((1, 0), (2, 1)), (2, 3), 3),
    "depth-wise": Shape((3, 5, 7, 6), 5, (3, 3), padding=(1, 1), groups=5),
    "depth-wise, stride 2, two each": Shape((2, 3, 9, 8), 6, (3, 3), (2, 2), ((0, 1), (0, 1)), groups=3),
    "13 x 11 with 7 and 5 channels": Shape((3, 7, 13, 11), 5, (3, 3), padding=(1, 1)),
}
"""Sizes that are no multiples of any block, tile or lane, with every argument at several values."""

shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def skip_where_refused(name: str, shape: Shape) -> None:
    reason = None if name == "auto" else ALGORITHMS[name].refusal(shape.geometry)
    if reason is not None:
        pytest.skip(reason)


def draw(shape: Shape, dtype: str = "float64", seed: int = 0) -> list[np.ndarray]:
    """x, weight, bias and the output's gradient, read-only: an algorithm that writes to them fails."""
    generator = np.random.default_rng([seed, *shape.size, *shape.kernel])
    wanted = shape.size, shape.weight_shape, (shape.out_channels,), shape.geometry.out_shape
    arrays = [generator.normal(size=one).astype(np.float32).astype(dtype) for one in wanted]
    for array in arrays:
        array.flags.writeable = False
    return arrays


def convolve(name: str, shape: Shape, arrays: list[np.ndarray], needs=GRADIENTS) -> list[np.ndarray | None]:
    """The output, and the gradients of x, weight and bias."""
    x, weight, bias, dy = arrays
    output = F.conv2d(x, weight, bias, *shape.arguments, algorithm=name)
    return [output, *F.conv2d_backward(dy, x, weight, *shape.arguments, needs=needs, algorithm=name)]


@functools.cache
def by_loops(shape: Shape) -> list[np.ndarray]:
    """What `loops` makes, in float64, of inputs that float32 holds exactly."""
    return convolve("loops", shape, draw(shape))


def tolerance_of(name: str, shape: Shape, dtype: str) -> float:
    return choose(name, shape.geometry).TOLERANCE[dtype] or EXACT


@dtypes
@shapes
@pytest.mark.parametrize("name", [name for name in WITH_AUTO if name != "loops"])
def test_agrees_with_loops_within_its_tolerance(name: str, shape: Shape, dtype: str):
    skip_where_refused(name, shape)
    tolerance = choose(name, shape.geometry).TOLERANCE[dtype]
    for found, expected, what in zip(
        convolve(name, shape, draw(shape, dtype)), by_loops(shape), ("y", *GRADIENTS), strict=True
    ):
        assert found.dtype == dtype
        assert found.shape == expected.shape
        difference = np.abs(found - expected).max() / np.abs(expected).max()
        assert difference <= tolerance, f"{what}: {difference:.1e}"


@shapes
def test_loops_agree_with_torch(shape: Shape):
    x, weight, bias, dy = (torch.tensor(array) for array in draw(shape))
    for leaf in (x, weight, bias):
        leaf.requires_grad_()
    (top, bottom), (left, right) = shape.geometry.padding
    padded = torch.nn.functional.pad(x, (left, right, top, bottom))
    output = torch.nn.functional.conv2d(padded, weight, bias, shape.stride, 0, shape.dilation, shape.groups)
    output.backward(dy)
    for found, expected in zip(by_loops(shape), (output, x.grad, weight.grad, bias.grad), strict=True):
        assert_close(found, expected)


@shapes
@pytest.mark.parametrize("name", WITH_AUTO)
def test_computes_the_gradients_that_are_needed_and_no_others(name: str, shape: Shape):
    skip_where_refused(name, shape)
    arrays = draw(shape)
    everything = dict(zip(GRADIENTS, convolve(name, shape, arrays)[1:], strict=True))
    for needs in chain.from_iterable(combinations(GRADIENTS, count) for count in range(3)):
        found = dict(zip(GRADIENTS, convolve(name, shape, arrays, needs)[1:], strict=True))
        assert {key for key, value in found.items() if value is not None} == set(needs)
        for key in needs:
            assert_close(found[key], everything[key])


@dtypes
@pytest.mark.parametrize("name", [name for name in WITH_AUTO if name != "loops"])
@pytest.mark.parametrize(
    "shape",
    [
        Shape((9, 6, 17, 19), 10, (3, 3), padding=(1, 1)),
        Shape((5, 6, 17, 19), 10, (5, 5), (2, 2), (2, 2)),
        Shape((9, 8, 16, 13), 8, (3, 3), padding=(1, 1), groups=4),
        Shape((9, 8, 16, 13), 8, (3, 3), padding=(1, 1), groups=8),
        Shape((9, 4, 16, 12), 4, (3, 3), padding=(1, 1)),
        Shape((1, 48, 20, 20), 1, (7, 7), padding=(3, 3)),
    ],
    ids=["3x3", "5x5, stride 2", "groups", "depth-wise", "outputs in pairs", "one image, one output channel"],
)
def test_results_are_the_same_to_the_bit_on_any_number_of_threads_and_when_repeated(
    name: str, shape: Shape, dtype: str, tiny_pieces
):
    skip_where_refused(name, shape)
    arrays = draw(shape, dtype)
    first = convolve(name, shape, arrays)
    for threads in (2, 1, 3):
        parallel.set_threads(threads)
        for before, again in zip(first, convolve(name, shape, arrays), strict=True):
            np.testing.assert_array_equal(before, again)


@shapes
def test_auto_chooses_whatever_the_numbers_and_the_threads(shape: Shape, tiny_pieces):
    geometry, arrays = shape.geometry, draw(shape)
    chosen = choose("auto", geometry, *arrays)
    assert chosen is ALGORITHMS[automatic(geometry)]
    assert chosen.refusal(geometry) is None
    for threads, others in ((1, draw(shape, seed=1)), (2, draw(shape, "float32"))):
        parallel.set_threads(threads)
        assert choose("auto", geometry, *others) is chosen


@pytest.mark.parametrize("small_kernels", [False, True])
def test_without_kernels_for_small_matrices_winograd_pays_from_more_channels_on(
    small_kernels: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(blas, "has_small_kernels", lambda: small_kernels)
    few = Shape((128, 16, 32, 32), 32, (3, 3), (1, 1), (1, 1)).geometry
    many = Shape((128, 64, 16, 16), 128, (3, 3), (1, 1), (1, 1)).geometry
    assert automatic(few) == ("winograd" if small_kernels else "im2row")
    assert automatic(many) == "winograd"


@pytest.mark.parametrize(("architecture", "small"), [("SkylakeX", True), ("Haswell", False), (None, False)])
def test_kernels_for_small_matrices_are_known_by_the_blas_architecture(
    architecture: str | None, small: bool, monkeypatch: pytest.MonkeyPatch
):
    library = {"internal_api": "openblas", "version": "0.3.31"}
    if architecture:
        library["architecture"] = architecture
    monkeypatch.setattr(blas, "_controller", lambda: SimpleNamespace(info=lambda: [library]))
    assert blas.has_small_kernels.__wrapped__() is small


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_gathering_a_bands_gradient_is_the_transpose_of_spreading_kernels(outputs: int, stride: int):
    shape = Shape((1, 3, 9, 13), 4, (3, 2), (1, stride))
    band, generator = Band.of(shape.geometry, outputs), np.random.default_rng(0)
    weight = generator.normal(size=shape.weight_shape)
    spread = band.spread(weight)
    grad = generator.normal(size=spread.shape)
    gathered = band.gather(grad, shape.weight_shape)
    assert gathered.shape == shape.weight_shape
    np.testing.assert_allclose((spread * grad).sum(), (weight * gathered).sum(), rtol=EXACT)


def test_auto_never_measures_time(monkeypatch):
    def refuse(*_):
        raise AssertionError("a clock was read")

    arrays = draw(SHAPES["3x3"])
    for clock in ("time", "perf_counter", "monotonic", "process_time"):
        monkeypatch.setattr(f"time.{clock}", refuse)
    convolve("auto", SHAPES["3x3"], arrays)


@pytest.mark.parametrize(
    ("shape", "reasons"),
    [
        (Shape((8, 64, 32, 32), 64, (3, 3)), {"loops": "too long"}),
        (Shape((2, 4, 8, 8), 4, (3, 3), groups=2), {"im2row": "groups", "depthwise": "as many groups"}),
        (Shape((2, 4, 8, 8), 4, (3, 3), groups=4), {"winograd": "groups", "pointwise": "1x1"}),
        (Shape((2, 4, 8, 8), 4, (3, 3), dilation=(2, 2)), {"winograd": "dilation"}),
        (Shape((2, 4, 9, 9), 4, (2, 3)), {"winograd": "square", "winograd-2x2": "square"}),
        (Shape((2, 4, 9, 9), 4, (3, 3), padding=(3, 3)), {"winograd": "padding"}),
        (Shape((256, 256, 128, 128), 256, (3, 3)), {"fft": "spectra"}),
    ],
)
def test_a_refusal_is_an_error_that_names_the_algorithm_and_the_reason(shape: Shape, reasons: dict):
    for name, reason in reasons.items():
        with pytest.raises(ValueError, match=rf"'{name}' does not serve this convolution: .*{reason}.*auto"):
            choose(name, shape.geometry)
    assert choose("auto", shape.geometry).refusal(shape.geometry) is None


def test_an_unknown_algorithm_is_an_error_that_names_the_nearest():
    x, weight, *_ = draw(SHAPES["3x3"])
    with pytest.raises(ValueError, match=r"expected 'auto' or one of loops, .*got 'winogradd'.*'winograd'"):
        F.conv2d(x, weight, algorithm="winogradd")


def seen_otherwise(array: np.ndarray, how: str) -> np.ndarray:
    """The same numbers at other places of memory; not contiguous."""
    if how == "every second":
        roomy = np.full([2 * length for length in array.shape], np.nan, array.dtype)
        roomy[tuple(slice(None, None, 2) for _ in array.shape)] = array
        return roomy[tuple(slice(None, None, 2) for _ in array.shape)]
    if how == "backwards":
        return np.flip(np.flip(array).copy())
    if array.ndim < 4:
        return array
    axes = {"channels last": (0, 2, 3, 1), "transposed": (3, 2, 1, 0)}[how]
    return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))


@pytest.mark.parametrize("how", ["every second", "backwards", "channels last", "transposed"])
@pytest.mark.parametrize("key", ["13 x 11 with 7 and 5 channels", "5x5", "stride 2", "groups", "1x1"])
@pytest.mark.parametrize("name", WITH_AUTO)
def test_where_the_numbers_lie_in_memory_does_not_matter(name: str, key: str, how: str):
    shape = SHAPES[key]
    skip_where_refused(name, shape)
    arrays = [seen_otherwise(array, how) for array in draw(shape)]
    for found, expected in zip(convolve(name, shape, arrays), by_loops(shape), strict=True):
        assert_close(found, expected, tolerance_of(name, shape, "float64"))


@pytest.mark.parametrize("key", ["3x3", "1x1", "one pixel", "groups"])
@pytest.mark.parametrize("name", WITH_AUTO)
def test_results_are_arrays_of_their_own(name: str, key: str):
    shape = SHAPES[key]
    skip_where_refused(name, shape)
    arrays = draw(shape)
    results = convolve(name, shape, arrays)
    for result in results:
        assert result.flags.writeable
        assert not any(np.shares_memory(result, array) for array in arrays)
    assert not any(np.shares_memory(one, other) for one, other in combinations(results, 2))
