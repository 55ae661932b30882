"""The convolutions that a course asks for: channels, kernels, strides, dilations, groups, biases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
import torch
from engine_testing import CLOSE, EXACT, assert_close

from striate.engine import functional as F

BATCH, SIDE = 2, 24


class Case(NamedTuple):
    """A convolution of 24x24 images."""

    in_channels: int = 4
    out_channels: int = 6
    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    bias: str = "drawn"


def cases() -> Iterator[tuple[str, Case]]:
    for channels in (1, 2, 4, 8, 16, 32, 64, 128):
        yield f"{channels} channels", Case(channels, channels)
    for narrow, wide in ((1, 3), (2, 9), (4, 27), (8, 81), (16, 243)):
        yield f"{narrow} to {wide} channels", Case(narrow, wide)
        yield f"{wide} to {narrow} channels", Case(wide, narrow)
    for side in range(1, 8):
        for kernel in ((side, side), (side, side + 2), (side + 2, side)):
            yield f"kernel {kernel[0]}x{kernel[1]}", Case(kernel=kernel)
    for step in (1, 2, 3):
        yield f"stride {step}", Case(stride=step)
        yield f"dilation {step}", Case(dilation=step)
        yield f"stride and dilation {step}", Case(kernel=(3, 5), stride=step, dilation=step)
    for groups in (4, 8, 16, 32, 64):
        yield f"{groups} groups", Case(64, 64, groups=groups)
        yield f"{groups} groups, twice the channels", Case(64, 128, stride=2, dilation=2, groups=groups)
    for bias in ("drawn", "zero", "none"):
        yield f"bias {bias}", Case(bias=bias)


CASES = dict(cases())


def draw(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    generator = np.random.default_rng(list(case[:2]) + list(case.kernel))
    x = generator.normal(size=(BATCH, case.in_channels, SIDE, SIDE))
    weight = generator.normal(size=(case.out_channels, case.in_channels // case.groups, *case.kernel))
    drawn = generator.normal(size=case.out_channels)
    return x, weight, {"drawn": drawn, "zero": np.zeros_like(drawn), "none": None}[case.bias]


def check(case: Case, dtype: str) -> None:
    """Compare output and gradients with torch's."""
    arrays = [None if array is None else array.astype(dtype) for array in draw(case)]
    tensors = [None if array is None else torch.tensor(array, requires_grad=True) for array in arrays]
    (x, weight, bias), tolerance = arrays, EXACT if dtype == "float64" else CLOSE
    arguments = {"stride": case.stride, "dilation": case.dilation, "groups": case.groups}
    expected = torch.nn.functional.conv2d(*tensors, **arguments)
    dy = np.random.default_rng(0).normal(size=tuple(expected.shape)).astype(dtype)
    expected.backward(torch.tensor(dy))
    assert_close(F.conv2d(x, weight, bias, **arguments), expected, tolerance)
    grads = F.conv2d_backward(dy, x, weight, **arguments)
    for grad, tensor in zip(grads, tensors, strict=True):
        if tensor is not None:
            assert_close(grad, tensor.grad, tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_value_and_gradient_equal_torchs(case: Case, dtype: str):
    check(case, dtype)


@pytest.mark.parametrize("size", range(1, 7))
def test_a_depth_wise_blur_equals_torchs_and_keeps_constant_images(size: int):
    x = np.random.default_rng(size).uniform(size=(BATCH, 3, SIDE, SIDE))
    weight = np.full((3, 1, size, size), 1 / size**2)
    expected = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(weight), groups=3)
    assert_close(F.conv2d(x, weight, groups=3), expected)
    assert_close(F.conv2d(np.ones_like(x), weight, groups=3), torch.ones_like(expected))
    check(Case(3, 3, (size, size), groups=3), "float64")


def test_the_whole_list_takes_less_than_five_seconds():
    start = time.process_time()  # of all threads, and of torch too; other work on the machine does not count
    for case in CASES.values():
        check(case, "float32")
    assert time.process_time() - start < 5
