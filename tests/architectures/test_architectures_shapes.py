import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from striate.architectures import Spec, build, infer_shapes
from striate.architectures.blocks import Parallel, Residual
from striate.architectures.layers import Conv2d, Flatten, Linear, LogSoftmax, ReLU, Sigmoid
from striate.architectures.pooling import AvgPool2d, MaxPool2d
from striate.architectures.shapes import fitting_scale
from striate.errors import SpecError

END = (Flatten(), Linear("num_classes"))


def output_shape(layer, shape):
    return infer_shapes(Spec("one", (layer, *END)), shape, 10)[0].output_shape


sizes = st.tuples(st.integers(1, 4), st.integers(1, 4))
images = st.tuples(st.integers(5, 12), st.integers(5, 12))


@settings(deadline=None, max_examples=60)
@given(images, sizes, sizes, sizes, sizes, st.sampled_from([1, 2, 4]))
def test_conv2d_shapes_are_torchs(size, kernel, stride, padding, dilation, groups):
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    assume(all(r <= n + 2 * p for r, n, p in zip(reach, size, padding, strict=True)))
    conv = nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups)
    expected = tuple(conv(torch.zeros(1, 4, *size)).shape[1:])
    assert output_shape(Conv2d(8, kernel, stride, padding, dilation, groups), (4, *size)) == expected


@settings(deadline=None, max_examples=60)
@given(images, sizes, st.none() | sizes, st.tuples(st.integers(0, 2), st.integers(0, 2)), st.booleans())
def test_pooling_shapes_are_torchs(size, kernel, stride, padding, ceil_mode):
    assume(all(2 * p <= k for p, k in zip(padding, kernel, strict=True)))
    inputs = torch.zeros(1, 3, *size)
    maximum = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)
    average = nn.AvgPool2d(kernel, stride, padding, ceil_mode)
    ours = output_shape(MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode), (3, *size))
    assert ours == tuple(maximum(inputs).shape[1:])
    assert output_shape(AvgPool2d(kernel, stride, padding, ceil_mode), (3, *size)) == tuple(
        average(inputs).shape[1:]
    )


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, (5, 2)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding_keeps_the_size(kernel, dilation):
    assert output_shape(Conv2d(6, kernel, padding="same", dilation=dilation), (3, 9, 11)) == (6, 9, 11)


def test_branches_are_concatenated_over_channels():
    block = Parallel([[Conv2d(5, 1)], [MaxPool2d(3, 1, 1)], []])
    assert output_shape(block, (3, 8, 8)) == (11, 8, 8)


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        (
            (Conv2d(8, 3), Conv2d(8, 5, padding=1)),
            (1, 4, 4),
            r"images \(1, 4, 4\): layer conv2 \(conv2d\), input \(8, 2, 2\): its window of 5 x 5 is larger "
            r"than its input of 2 x 2 \(4 x 4 with padding\)",
        ),
        ((Conv2d(8, 3, dilation=3),), (1, 6, 6), "window of 7 x 7 is larger than its input of 6 x 6"),
        ((MaxPool2d(4),), (1, 3, 3), r"layer pool1 \(max_pool2d\).*window of 4 x 4"),
        ((MaxPool2d(3, padding=2),), (1, 9, 9), "padding 2 is more than half of its window 3"),
        (
            (Conv2d(8, 3, groups=4),),
            (3, 8, 8),
            "groups 4 does not divide its 3 input channels and 8 output channels",
        ),
        ((Conv2d(9, 3, groups=4),), (4, 8, 8), "groups 4 does not divide its 4 input channels and 9 output"),
        ((Conv2d(8, 3, 2, padding="same"),), (3, 8, 8), "padding 'same' needs stride 1"),
        (
            (Linear(5),),
            (3, 8, 8),
            r"layer linear1 \(linear\), input \(3, 8, 8\): expected \(features,\).*flatten",
        ),
        ((Flatten(), Conv2d(3, 1)), (3, 8, 8), r"expected maps \(channels, height, width\), got \(192,\)"),
        (
            (Residual([Conv2d(4, 3, stride=2, padding=1)]),),
            (3, 8, 8),
            r"residual1 \(residual\).*: its layers give \(4, 4, 4\), but the input.*\(3, 8, 8\)",
        ),
        (
            (Residual([Conv2d(4, 1)], shortcut=[Conv2d(5, 1)]),),
            (3, 8, 8),
            r"its layers give \(4, 8, 8\), but the shortcut gives \(5, 8, 8\)",
        ),
        (
            (Residual([ReLU(), Conv2d(3, 9)]),),
            (3, 8, 8),
            r"layer residual1.conv1 \(conv2d\), input \(3, 8, 8\): its window of 9 x 9",
        ),
        (
            (Parallel([[Conv2d(4, 1)], [Conv2d(4, 3)]]),),
            (3, 8, 8),
            r"branch1 \(4, 8, 8\), branch2 \(4, 6, 6\); all but the channels",
        ),
        ((Conv2d(65536, 1, padding=60000),), (3, 8, 8), "more than 1073741824 values"),
    ],
)
def test_layers_that_cannot_work_are_named_with_their_shapes(layers, shape, message):
    with pytest.raises(SpecError, match=message):
        infer_shapes(Spec("wrong", (*layers, *END)), shape, 10)


@pytest.mark.parametrize(
    ("layers", "output", "num_classes", "message"),
    [
        ((Flatten(), Linear(1)), "logits", 2, r"puts out \(1,\).*needs \(2,\): say output: logit"),
        (
            (Flatten(), Linear(5)),
            "logits",
            10,
            r"puts out \(5,\).*needs \(10,\): give the last layer out_features",
        ),
        ((Conv2d("num_classes", 1),), "logits", 10, r"puts out \(10, 8, 8\).*flatten at the end"),
        ((Flatten(), Linear(2)), "logit", 2, r"needs \(1,\): the last layer needs 1 output"),
        ((Flatten(), Linear(1)), "logit", 3, "puts out one logit, which tells 2 classes apart; there are 3"),
        ((Flatten(), Linear(1), Sigmoid()), "probability", 3, "puts out one probability"),
        ((Flatten(), Linear(1), LogSoftmax()), "log_probabilities", 2, r"puts out \(1,\)"),
        ((Flatten(), Linear(1)), "logit", 1, "num_classes is 1; expected at least 2"),
        (
            (Flatten(), Linear(65536), Linear(65536), Linear(2)),
            "logits",
            2,
            "more than 1073741824 parameters",
        ),
    ],
)
def test_outputs_that_do_not_fit_the_classes_are_refused(layers, output, num_classes, message):
    with pytest.raises(SpecError, match=message):
        infer_shapes(Spec("wrong", layers, output), (1, 8, 8), num_classes)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 8), "each at least 1"),
        ((1, 8, 0), "each at least 1"),
        ((), "each at least 1"),
        ((1, 10**9, 8), "expected at most 1073741824 values"),
    ],
)
def test_impossible_images_are_refused(shape, message):
    with pytest.raises(SpecError, match=f"input shape is.*{message}"):
        infer_shapes(Spec("net", END), shape, 10)


def test_fixed_number_of_outputs_serves_when_it_fits():
    assert build(Spec("ten", (Flatten(), Linear(10))), (1, 4, 4), 10)(torch.zeros(2, 1, 4, 4)).shape == (
        2,
        10,
    )


def test_the_scale_at_which_a_network_fits_is_the_least():
    spec = Spec("one", (Conv2d(2, 5), MaxPool2d(2), *END))
    for side, most, expected in ((6, 4, 1), (5, 4, 2), (2, 4, 3), (2, 2, None), (1, 4, None)):
        assert fitting_scale(spec, (1, side, side), 10, most) == expected
    assert fitting_scale(spec, (1, 9, 3), 10, 4) == 2
