"""Channels-last images: the same numbers as channels first, in the layout that came in, inputs left alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_testing import CLOSE, EXACT

from striate.engine import functional as F
from striate.engine import layers, parallel
from striate.engine.elementwise import elementwise
from striate.engine.layout import arrange, in_memory_order, is_channels_last

LAYERS = {
    "relu": layers.ReLU,
    "gelu": layers.GELU,
    "max-pool": lambda: layers.MaxPool2d(2),
    "max-pool-overlapping": lambda: layers.MaxPool2d(3, 2, 1, ceil_mode=True),
    "max-pool-with-gaps": lambda: layers.MaxPool2d(2, 3),
    "avg-pool": lambda: layers.AvgPool2d(2),
    "avg-pool-padded": lambda: layers.AvgPool2d(3, 2, 1),
    "global-average": layers.AdaptiveAvgPool2d,
    "adaptive-average": lambda: layers.AdaptiveAvgPool2d((4, 3)),
    "adaptive-max": lambda: layers.AdaptiveMaxPool2d((4, 3)),
    "batch-norm": lambda: layers.BatchNorm2d(5),
    "dropout": lambda: layers.Dropout(0.3, generator=np.random.default_rng(3)),
    "flatten": layers.Flatten,
}
REARRANGING = {"adaptive-average", "adaptive-max", "flatten"}
"""These need not keep the layout: uneven windows are rare, and a flat vector has none."""

SHAPE = (6, 5, 8, 7)


def draw(shape=SHAPE, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.fixture(params=["whole", "in-pieces"])
def cut(request):
    if request.param == "in-pieces":
        request.getfixturevalue("tiny_pieces")


def passes(kind, x, rearrange=channels_last):
    """Return output and gradient for x of a layer of this kind, the gradient of the output in any layout."""
    layer = LAYERS[kind]().map_arrays(lambda array: array.astype(np.float64))
    y = layer.forward(x)
    grad = draw(y.shape, seed=1, dtype=x.dtype)
    return y, layer.backward(rearrange(grad) if y.ndim == 4 else grad)


@pytest.mark.parametrize("kind", LAYERS)
def test_channels_last_images_give_the_same_numbers(kind, cut):
    expected = passes(kind, draw(), rearrange=lambda grad: grad)
    for rearrange in (channels_last, lambda grad: grad):
        found = passes(kind, channels_last(draw()), rearrange)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=EXACT)


@pytest.mark.parametrize("kind", sorted(set(LAYERS) - REARRANGING))
def test_the_layout_is_kept_forward_and_backward(kind, cut):
    for layout in (channels_last, np.ascontiguousarray):
        y, grad_x = passes(kind, layout(draw()), rearrange=layout)
        assert is_channels_last(grad_x) == (layout is channels_last)
        if y.shape[2:] != (1, 1):  # one pixel lies in both layouts
            assert is_channels_last(y) == (layout is channels_last)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("layout", [channels_last, np.ascontiguousarray])
def test_inputs_stay_as_they_are_and_results_stay_the_users(kind, layout, cut):
    layer, x = LAYERS[kind]().map_arrays(lambda array: array.astype(np.float64)), layout(draw())
    y = layer.forward(x)
    grad = draw(y.shape, seed=1)
    given, kept = grad.copy(), y.copy()
    grad_x = layer.backward(grad)
    first = grad_x.copy()
    layer.forward(layout(draw(seed=2)))  # a later step must not write into what the user holds
    layer.backward(draw(y.shape, seed=3))
    assert np.array_equal(x, draw())
    assert np.array_equal(grad, given)
    assert np.array_equal(y, kept)
    assert np.array_equal(grad_x, first)


def test_max_pooling_resolves_ties_and_nan_as_torch_in_either_layout(cut):
    x = np.random.default_rng(0).integers(0, 3, (4, 6, 8, 8)).astype(np.float32)
    x[1, 2, 3, 3] = np.nan
    x[3, :, 0, 0] = np.inf
    tensor = torch.tensor(x, requires_grad=True)
    reference = torch.nn.functional.max_pool2d(tensor, 2)
    grad = draw(tuple(reference.shape), dtype=np.float32)
    reference.backward(torch.tensor(grad))
    for layout in (channels_last, np.ascontiguousarray):
        y, saved = F.max_pool2d(layout(x), 2, return_saved=True)
        np.testing.assert_array_equal(y, reference.detach().numpy())
        np.testing.assert_array_equal(
            F.max_pool2d_backward(layout(grad), x, 2, saved=saved), tensor.grad.numpy()
        )


@pytest.mark.parametrize("shape", [(8, 3, 9, 9), (8, 3, 2, 3), (8, 40, 5, 5), (7, 5, 11), (12, 5)])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_batch_norm_of_any_shape_and_layout_matches_torch(shape, offset, cut):
    x = draw(shape) + offset
    grad = draw(shape, seed=1)
    weight, bias = draw(shape[1:2], seed=2), draw(shape[1:2], seed=3)
    tensors = [torch.tensor(one, requires_grad=True) for one in (x, weight, bias)]
    reference = torch.nn.functional.batch_norm(tensors[0], None, None, *tensors[1:], training=True)
    reference.backward(torch.tensor(grad))
    for layout in (channels_last, np.ascontiguousarray) if x.ndim == 4 else (np.ascontiguousarray,):
        y, saved = F.batch_norm(layout(x), None, None, weight, bias, training=True, return_saved=True)
        grads = F.batch_norm_backward(layout(grad), layout(x), weight, saved=saved)
        tolerance = EXACT if not offset else 1e-7  # an offset of 1e4 deviations costs 4 digits, twice
        np.testing.assert_allclose(y, reference.detach().numpy(), rtol=0, atol=tolerance)
        for found, tensor in zip(grads, tensors, strict=True):
            np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=0, atol=tolerance)


def test_batch_norm_in_float32_stays_close_where_the_mean_is_large():
    x = channels_last(draw((64, 16, 16, 16), dtype=np.float32) + np.float32(1000))
    variance = F.batch_norm(x, training=True, return_saved=True)[1].variance
    exact = x.astype(np.float64).var(axis=(0, 2, 3))
    np.testing.assert_allclose(variance, exact, rtol=CLOSE)


@pytest.mark.parametrize("offset", [0.0, 3.9, 4.1, 50.0])  # deviations are summed from 4 on
def test_batch_norm_in_float32_is_that_in_float64_wherever_the_means_are(offset):
    x, grad = (draw((64, 16, 16, 16), seed=seed) for seed in (0, 1))
    x[:, ::2] += offset  # every other channel
    results = []
    for dtype in (np.float32, np.float64):
        own, back = channels_last(x.astype(dtype)), channels_last(grad.astype(dtype))
        y, saved = F.batch_norm(own, training=True, return_saved=True)
        results.append((saved.mean, saved.variance, y, *F.batch_norm_backward(back, own, saved=saved)))
    for found, exact in zip(*results, strict=True):
        largest = np.abs(exact).max()
        np.testing.assert_allclose(found, exact, rtol=0, atol=CLOSE * largest)


def test_variance_of_values_whose_squares_overflow_is_that_of_their_deviations():
    x = draw((32, 8, 16, 16), dtype=np.float32) * np.float32(1e15) + np.float32(3e19)
    variance = F.batch_norm(channels_last(x), training=True, return_saved=True)[1].variance
    np.testing.assert_allclose(variance, x.astype(np.float64).var(axis=(0, 2, 3)), rtol=CLOSE)


@pytest.mark.parametrize("dark", [1, 8])  # one image of 64, or every eighth
def test_moments_do_not_depend_on_what_a_part_of_the_images_is_like(dark):
    x = draw((64, 16, 16, 16), dtype=np.float32) + np.float32(1000)
    x[:: 64 // dark] = 0
    for layout in (channels_last, np.ascontiguousarray):
        saved = F.batch_norm(layout(x), training=True, return_saved=True)[1]
        np.testing.assert_allclose(saved.mean, x.mean(axis=(0, 2, 3), dtype=np.float64), rtol=CLOSE)
        np.testing.assert_allclose(saved.variance, x.astype(np.float64).var(axis=(0, 2, 3)), rtol=CLOSE)


def test_variance_of_a_constant_is_never_negative():
    x = channels_last(np.full((32, 8, 16, 16), 0.1, np.float32))
    variance = F.batch_norm(x, training=True, return_saved=True)[1].variance
    assert (variance >= 0).all()
    assert (variance < 1e-12).all()


def test_linear_repeats_to_the_bit_for_any_number_of_threads():
    x, weight = draw((96, 700), dtype=np.float32), draw((130, 700), seed=1, dtype=np.float32)
    grad = draw((96, 130), seed=2, dtype=np.float32)
    before, results = parallel.threads(), []
    for count in (1, 2, 3):
        parallel.set_threads(count)
        results.append([F.linear(x, weight), *F.linear_backward(grad, x, weight)])
    parallel.set_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_arrange_brings_arrays_into_one_layout_and_copies_only_what_lies_otherwise():
    first, last = draw(), channels_last(draw(seed=1))
    both = arrange(first, last)
    assert both[1] is last
    assert all(is_channels_last(one) for one in both)
    assert np.array_equal(both[0], first)
    strided = draw((6, 5, 8, 14))[..., ::2]
    (copied,) = arrange(strided)
    assert copied.flags.c_contiguous
    assert np.array_equal(copied, strided)


def test_memory_order_is_a_view():
    x = channels_last(draw())
    in_memory_order(x)[...] = 7
    assert (x == 7).all()


def test_elementwise_pairs_the_same_elements_in_mixed_layouts(tiny_pieces):
    one, other = draw(), draw(seed=1)
    assert np.array_equal(elementwise(np.subtract, channels_last(one), other), one - other)
    assert np.array_equal(elementwise(np.subtract, one, channels_last(other)), one - other)
