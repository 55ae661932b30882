"""Mistakes in the backward pass of a convolution, and two in the forward that no gradient check can see.

`conv2d_backward` written out tap by tap is the same few lines each time; one of them is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from striate.engine import functional as F
from striate.engine.backend import Array
from striate.engine.exercises.exercise import Exercise, Finding, by_gradcheck, by_oracle

Gradients = tuple[Array, Array]


def _draw(*shape: int) -> Array:
    return np.random.default_rng(shape).normal(size=shape)


def _slices(i: int, j: int, size: tuple[int, ...], stride: int = 1, dilation: int = 1) -> tuple[slice, slice]:
    """Rows and columns of the padded image that the tap (i, j) meets, for an output of `size`."""
    top, left = i * dilation, j * dilation
    return (
        slice(top, top + stride * (size[0] - 1) + 1, stride),
        slice(left, left + stride * (size[1] - 1) + 1, stride),
    )


def _pad(x: np.ndarray, sides: int = 1) -> Array:
    return np.pad(x, ((0, 0), (0, 0), (sides, sides), (sides, sides)))


def kernel_not_flipped(grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray) -> Array:
    """Return the gradient for x of a 3x3 convolution with padding 1: dY convolved.

    Why is it right for symmetric kernels, and wrong for all others?
    """
    exchanged = weight.swapaxes(0, 1)  # from output channels to input channels
    return np.asarray(F.conv2d(grad_output, np.ascontiguousarray(exchanged), padding=1))


def padding_sliced_wrongly(grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray) -> Array:
    """Return the gradient for x of a 3x3 convolution with padding 1.

    It looks right, but moved. Which pixels of the padded image are the image's own?
    """
    grad_padded = np.zeros_like(_pad(x))
    for i, j in np.ndindex(weight.shape[2:]):
        rows, columns = _slices(i, j, grad_output.shape[2:])
        grad_padded[:, :, rows, columns] += np.einsum("nohw,oc->nchw", grad_output, weight[:, :, i, j])
    return grad_padded[:, :, : x.shape[2], : x.shape[3]]


def overlap_overwritten(grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray) -> Array:
    """Return the gradient for x of a 3x3 convolution with padding 1.

    With stride 3 it would be right. What happens to a pixel that several windows see?
    """
    grad_padded = np.zeros_like(_pad(x))
    for i, j in np.ndindex(weight.shape[2:]):
        rows, columns = _slices(i, j, grad_output.shape[2:])
        grad_padded[:, :, rows, columns] = np.einsum("nohw,oc->nchw", grad_output, weight[:, :, i, j])
    return grad_padded[:, :, 1:-1, 1:-1]


def stride_forgotten(grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray) -> Array:
    """Return the gradient for the weight of a 3x3 convolution with padding 1 and stride 2.

    Which pixels did each tap of the kernel meet?
    """
    padded, grad_weight = _pad(x), np.zeros_like(weight)
    for i, j in np.ndindex(weight.shape[2:]):
        rows, columns = _slices(i, j, grad_output.shape[2:])
        grad_weight[:, :, i, j] = np.einsum("nohw,nchw->oc", grad_output, padded[:, :, rows, columns])
    return grad_weight


def groups_interleaved(grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray) -> Array:
    """Return the gradient for the weight of a 3x3 convolution, padding 1, dilation 2, two groups.

    Which input channels does output channel 1 see?
    """
    padded, grad_weight = _pad(x), np.zeros_like(weight)
    for o in range(len(weight)):
        group = o % 2
        own = padded[:, 2 * group : 2 * group + 2]
        for i, j in np.ndindex(weight.shape[2:]):
            rows, columns = _slices(i, j, grad_output.shape[2:], dilation=2)
            grad_weight[o, :, i, j] = np.einsum("nhw,nchw->c", grad_output[:, o], own[:, :, rows, columns])
    return grad_weight


def bias_averaged(grad_output: np.ndarray, x: np.ndarray, bias: np.ndarray) -> Gradients:
    """Return the gradients for x and bias of x + bias, a bias a channel.

    A bias is added to many pixels. Does its gradient depend on how many?
    """
    return grad_output, grad_output.mean(axis=(0, 2, 3))


def bias_not_summed(grad_output: np.ndarray, x: np.ndarray, bias: np.ndarray) -> Gradients:
    """Return the gradients for x and bias of x + bias, a bias a channel.

    One bias a channel, but not one gradient. Over what has to be summed?
    """
    return grad_output, grad_output.sum(axis=0)


def patches_in_another_order(x: np.ndarray, weight: np.ndarray) -> Array:
    """Convolve x (N, C, H, W) with weight (k, k, C, F), stored that way, patch by patch.

    Every gradient check passes. Is it a convolution? Look at the order of axes in both reshapes.
    """
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[:2], axis=(2, 3))
    N, C, H, W, k, _ = windows.shape
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(N * H * W, C * k * k)
    products = patches @ weight.reshape(k * k * C, -1)  # weight is (k, k, C, F)
    return products.reshape(N, H, W, -1).transpose(0, 3, 1, 2)


def _patches_backward(grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray) -> Gradients:
    """The true gradient of `patches_in_another_order`."""
    k, C = weight.shape[0], weight.shape[2]
    kernels = weight.reshape(C, k, k, -1).transpose(3, 0, 1, 2)  # what the forward takes them for
    grad_x, grad_kernels, _ = F.conv2d_backward(grad_output, x, np.ascontiguousarray(kernels))
    return grad_x, np.asarray(grad_kernels).transpose(1, 2, 3, 0).reshape(weight.shape)


def pixels_reshaped_to_maps(x: np.ndarray, weight: np.ndarray) -> Array:
    """Convolve x (N, C, H, W) with weight (F, C, k, k), the product (N H W, F) made into maps.

    Every gradient check passes. What does the reshape do to the maps?
    """
    y = np.asarray(F.conv2d(x, weight))
    N, maps, H, W = y.shape
    products = y.transpose(0, 2, 3, 1).reshape(N * H * W, maps)
    return products.reshape(N, maps, H, W)


def _reshaped_backward(grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray) -> Gradients:
    """The true gradient of `pixels_reshaped_to_maps`."""
    N, maps, H, W = grad_output.shape
    grad_y = grad_output.reshape(N, H, W, maps).transpose(0, 3, 1, 2)
    grad_x, grad_weight, _ = F.conv2d_backward(np.ascontiguousarray(grad_y), x, weight)
    return grad_x, grad_weight


def _by_definition(x: np.ndarray, weight: np.ndarray) -> Array:
    """The convolution with kernels (k, k, C, F), by seven loops."""
    kernels = np.ascontiguousarray(weight.transpose(3, 2, 0, 1))
    return np.asarray(F.conv2d(x, kernels, algorithm="loops"))


_X, _WEIGHT, _SMALL_X = _draw(2, 3, 6, 5), _draw(4, 3, 3, 3), _draw(2, 2, 5, 6)
_BIAS_CASE = {"x": _draw(2, 3, 4, 4), "bias": _draw(3)}


def _of_x(wrong: Callable[..., Array]) -> Callable[[], Finding]:
    """Check the gradient for x alone."""

    def forward(x: np.ndarray) -> Array:
        return np.asarray(F.conv2d(x, _WEIGHT, padding=1))

    return lambda: by_gradcheck(forward, lambda g, x: wrong(g, x, _WEIGHT), {"x": _X})


def _of_weight(wrong: Callable[..., Array], x: np.ndarray, weight: np.ndarray, **settings: Any) -> Finding:
    """Check the gradient for the weight alone."""

    def forward(weight: np.ndarray) -> Array:
        return np.asarray(F.conv2d(x, weight, padding=1, **settings))

    return by_gradcheck(forward, lambda g, weight: wrong(g, x, weight), {"weight": weight})


def _add_bias(x: np.ndarray, bias: np.ndarray) -> Array:
    return x + bias[:, None, None]


CONVOLUTIONS = (
    Exercise(
        "kernel-not-flipped",
        kernel_not_flipped,
        "A pixel that the tap (i, j) met lies i rows below and j columns right of the window's corner, so "
        "its gradient comes from the output i rows above and j columns left: the kernel has to be flipped "
        "both ways.",
        "gradcheck",
        True,
        _of_x(kernel_not_flipped),
    ),
    Exercise(
        "padding-sliced-wrongly",
        padding_sliced_wrongly,
        "The image begins at row and column 1 of the padded one: [1:-1], not [:H].",
        "gradcheck",
        True,
        _of_x(padding_sliced_wrongly),
    ),
    Exercise(
        "overlap-overwritten",
        overlap_overwritten,
        "A pixel in several windows gets the sum of what comes back from each: += where there is =.",
        "gradcheck",
        True,
        _of_x(overlap_overwritten),
    ),
    Exercise(
        "stride-forgotten",
        stride_forgotten,
        "Each tap met every second row and column; the slices need the stride too.",
        "gradcheck",
        True,
        lambda: _of_weight(stride_forgotten, _X, _WEIGHT, stride=2),
    ),
    Exercise(
        "groups-interleaved",
        groups_interleaved,
        "Groups are blocks: the first half of the output channels sees the first half of the input "
        "channels. The group is o // 2, not o % 2.",
        "gradcheck",
        True,
        lambda: _of_weight(groups_interleaved, _draw(2, 4, 6, 6), _draw(4, 2, 3, 3), dilation=2, groups=2),
    ),
    Exercise(
        "bias-averaged",
        bias_averaged,
        "Each of the pixels passes its gradient on whole: the sum, not the mean.",
        "gradcheck",
        True,
        lambda: by_gradcheck(_add_bias, bias_averaged, _BIAS_CASE),
    ),
    Exercise(
        "bias-not-summed",
        bias_not_summed,
        "Over the images and over the positions: axis=(0, 2, 3).",
        "gradcheck",
        False,
        lambda: by_gradcheck(_add_bias, bias_not_summed, _BIAS_CASE),
    ),
    Exercise(
        "patches-in-another-order",
        patches_in_another_order,
        "The patches are laid out (C, k, k), the weights (k, k, C): numbers are multiplied that do not "
        "belong together. The backward is the true gradient of this wrong forward, so every gradient check "
        "passes; only an independent computation shows it.",
        "oracle",
        True,
        lambda: by_oracle(
            (patches_in_another_order, _patches_backward),
            _by_definition,
            {"x": _SMALL_X, "weight": _draw(3, 3, 2, 4)},
        ),
    ),
    Exercise(
        "pixels-reshaped-to-maps",
        pixels_reshaped_to_maps,
        "Reshaping keeps the order of numbers in memory; bringing the channels to the front needs a "
        "transpose. The maps are shuffled, the gradient is the true one of the shuffled maps.",
        "oracle",
        True,
        lambda: by_oracle(
            (pixels_reshaped_to_maps, _reshaped_backward),
            partial(F.conv2d, algorithm="loops"),
            {"x": _SMALL_X, "weight": _draw(4, 2, 3, 3)},
        ),
    ),
)
"""The exercises of this module."""
