"""Both ways in which `im2row` sends a gradient back to x, against torch: kernels turned, and tap by tap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch

from striate.engine.algorithms import blocks, describe, im2row, rows
from striate.engine.algorithms.geometry import Geometry, Sides

EXACT = 1e-12
"""float64: the same products in another order, relative to the largest value."""

GRADIENTS = ("x", "weight", "bias")


class Case(NamedTuple):
    """A convolution: images (N, C, H, W), output channels, kernel, stride, padding and dilation."""

    size: tuple[int, int, int, int]
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Sides | tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        return self.out_channels, self.size[1], *self.kernel

    @property
    def geometry(self) -> Geometry:
        x, weight = (np.broadcast_to(0.0, shape) for shape in (self.size, self.weight_shape))
        return describe(x, weight, None, self.stride, self.padding, self.dilation, 1)


TURNED = {
    "3x3": Case((2, 8, 12, 10), 8, (3, 3), padding=(1, 1)),
    "same channels, no padding": Case((2, 8, 24, 26), 8, (3, 3)),
    "dilated": Case((3, 6, 14, 12), 6, (3, 3), padding=(2, 2), dilation=(2, 2)),
    "oblong": Case((2, 6, 11, 13), 9, (2, 5), padding=(1, 2)),
    "a row, dilated": Case((2, 5, 9, 14), 5, (1, 3), padding=(0, 3), dilation=(1, 3)),
    "four sides": Case((2, 4, 9, 10), 6, (3, 3), padding=((0, 2), (2, 0))),
    "strips": Case((1, 8, 150, 160), 8, (3, 3), padding=(1, 1)),
}
"""Shapes at stride 1 whose dY is hardly smaller than x."""

BY_TAPS = {
    "stride 2": Case((2, 6, 13, 12), 8, (3, 3), (2, 2), (1, 1)),
    "stride 3": Case((2, 6, 14, 17), 8, (3, 3), (3, 3), (1, 1)),
    "strides 1 and 3, oblong": Case((2, 5, 11, 16), 7, (3, 2), (1, 3), (1, 0)),
    "strides 3 and 1, oblong": Case((2, 5, 16, 11), 7, (2, 5), (3, 1), (0, 2)),
    "stride 2, dilated": Case((3, 4, 15, 14), 6, (3, 2), (2, 2), (2, 1), (2, 3)),
    "stride 3, dilated, four sides": Case((2, 4, 17, 16), 5, (3, 3), (3, 2), ((2, 0), (1, 3)), (2, 2)),
    "pixels unseen": Case((2, 3, 11, 13), 4, (2, 2), (3, 3)),
    "stride 1, much smaller dY": Case((2, 8, 8, 8), 8, (7, 7)),
    "stride 1, dilated, no padding": Case((2, 6, 12, 12), 6, (3, 3), dilation=(4, 4)),
    "stride 1, many more channels out": Case((2, 3, 9, 10), 16, (3, 3), padding=(1, 1)),
    "strips": Case((2, 6, 160, 150), 8, (3, 3), (2, 2), (1, 1)),
    "strips, stride 3, dilated": Case((1, 8, 200, 190), 8, (5, 3), (3, 2), (2, 1), (2, 1)),
    "strips, stride 1, channels out": Case((1, 3, 110, 120), 16, (5, 3), padding=(2, 1)),
}
"""Shapes at larger strides, or at stride 1 with many zeros around dY or long rows of it."""

CASES = [pytest.param(case, True, id=f"turned, {name}") for name, case in TURNED.items()] + [
    pytest.param(case, False, id=f"taps, {name}") for name, case in BY_TAPS.items()
]


def draw(case: Case, channels_last: bool = False) -> list[np.ndarray]:
    """x, weight and the output's gradient, read-only."""
    generator = np.random.default_rng([*case.size, *case.kernel])
    arrays = [
        generator.normal(size=shape) for shape in (case.size, case.weight_shape, case.geometry.out_shape)
    ]
    if channels_last:
        arrays = [np.ascontiguousarray(one.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for one in arrays]
    for array in arrays:
        array.flags.writeable = False
    return arrays


def by_torch(case: Case) -> list[np.ndarray]:
    """The gradients of x, weight and bias."""
    x, weight, dy = (torch.tensor(array) for array in draw(case))
    bias = torch.zeros(case.out_channels, dtype=torch.float64)
    for leaf in (x, weight, bias):
        leaf.requires_grad_()
    (top, bottom), (left, right) = case.geometry.padding
    padded = torch.nn.functional.pad(x, (left, right, top, bottom))
    torch.nn.functional.conv2d(padded, weight, bias, case.stride, 0, case.dilation).backward(dy)
    return [leaf.grad.numpy() for leaf in (x, weight, bias)]


def assert_equal_torchs(case: Case, found: list[np.ndarray]) -> None:
    for name, ours, theirs in zip(GRADIENTS, found, by_torch(case), strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= EXACT * np.abs(theirs).max(), name


@pytest.fixture
def taken(monkeypatch):
    """The ways that a backward pass takes: `turned`, or `taps` with every strip of output rows."""
    ways: list[tuple[str, slice | None]] = []
    turned, to_image = im2row._turned, im2row.taps_to_image

    def note_turned(*arguments):
        ways.append(("turned", None))
        return turned(*arguments)

    def note_taps(grad_taps, grad_x, strip, *arguments):
        ways.append(("taps", strip))
        to_image(grad_taps, grad_x, strip, *arguments)

    monkeypatch.setattr(im2row, "_turned", note_turned)
    monkeypatch.setattr(im2row, "taps_to_image", note_taps)
    return ways


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("case", "turns"), CASES)
def test_each_way_is_taken_where_it_should_be_and_equals_torch(case, turns, channels_last, taken):
    x, weight, dy = draw(case, channels_last)
    found = im2row.backward(dy, x, weight, case.geometry, GRADIENTS)
    assert {way for way, _ in taken} == {"turned" if turns else "taps"}
    assert_equal_torchs(case, found)


@pytest.mark.parametrize("name", [name for name in BY_TAPS if name.startswith("strips")])
def test_large_images_are_sent_back_in_strips_of_rows(name, taken):
    case = BY_TAPS[name]
    x, weight, dy = draw(case)
    im2row.backward(dy, x, weight, case.geometry, GRADIENTS)
    strips = {(strip.start, strip.stop) for _, strip in taken}
    assert len(strips) > 1
    assert sum(stop - start for start, stop in strips) == case.geometry.out_size[0]


@pytest.mark.parametrize("turns", [True, False])
@pytest.mark.parametrize("case", TURNED.values(), ids=TURNED)
def test_both_ways_give_the_same_at_stride_1(case, turns, monkeypatch):
    monkeypatch.setattr(im2row, "_turning_pays", lambda geometry: turns)
    x, weight, dy = draw(case)
    assert_equal_torchs(case, im2row.backward(dy, x, weight, case.geometry, GRADIENTS))


@pytest.mark.parametrize("rows_bytes", [1, 4000, 20_000])
@pytest.mark.parametrize(("case", "turns"), CASES)
def test_pieces_of_any_size_give_the_same(case, turns, rows_bytes, monkeypatch):
    monkeypatch.setattr(im2row, "ROWS_BYTES", rows_bytes)
    monkeypatch.setattr(rows, "ROWS_BYTES", rows_bytes)
    if case.size[2] > 20:
        pytest.skip("large images are cut anyway")
    x, weight, dy = draw(case)
    assert_equal_torchs(case, im2row.backward(dy, x, weight, case.geometry, GRADIENTS))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_taps_come_back_where_they_came_from_as_by_a_loop(stride, dilation):
    case = Case((2, 3, 11, 12), 4, (3, 2), (stride, stride), ((1, 2), (0, 1)), (dilation, dilation))
    geometry = case.geometry
    (height, width), (top, _), (left, _) = geometry.out_size, *geometry.padding
    taps = np.random.default_rng(0).normal(size=(6, 2, height, width, 3))
    padded = np.zeros((2, *geometry.padded, 3))
    for tap in range(6):
        i, j = divmod(tap, 2)
        for row in range(height):
            for column in range(width):
                place = row * stride + i * dilation, column * stride + j * dilation
                padded[:, place[0], place[1]] += taps[tap, :, row, column]
    expected = padded[:, top : top + 11, left : left + 12].transpose(0, 3, 1, 2)
    found = np.full(case.size, np.nan)
    scratch = blocks.Scratch(taps.dtype)
    for strip in blocks.strips(height, 2):
        given = np.ascontiguousarray(taps[:, :, strip]).reshape(6, -1, 3)
        rows.taps_to_image(given, found, strip, geometry, scratch)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
