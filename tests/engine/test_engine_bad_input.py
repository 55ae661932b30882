"""What does not fit is refused in words that name the argument, what was expected and what came."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from striate import engine
from striate.engine import SGD, Adam, Loss, Parameter, Samples, layers
from striate.engine import functional as F

RNG = np.random.default_rng(0)
NAN = float("nan")


def draw(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


X, W = draw(2, 4, 6, 6), draw(4, 4, 3, 3)
GRAD = draw(2, 4, 4, 4)
LOGITS, LABELS = draw(3, 5), np.array([0, 1, 2])
ONE = np.array(1.0)
FLOATS = "expected float32 or float64, got"

Call = Callable[[], Any]
Refused = tuple[Call, type[Exception], str]

CONVOLUTION: dict[str, Refused] = {
    "five dimensions": (lambda: F.conv2d(draw(1, 2, 4, 6, 6), W), ValueError, "x: expected (N, C, H, W) or"),
    "two dimensions": (lambda: F.conv2d(draw(6, 6), W), ValueError, "got shape (6, 6)"),
    "weight's dimensions": (
        lambda: F.conv2d(X, draw(4, 3, 3)),
        ValueError,
        "weight: expected (out_channels,",
    ),
    "channels": (lambda: F.conv2d(X, draw(4, 3, 3, 3)), ValueError, "x: expected 3 channels"),
    "groups in": (lambda: F.conv2d(X, W, groups=3), ValueError, "groups: expected a divisor of in_channels"),
    "groups out": (
        lambda: F.conv2d(X, draw(3, 2, 3, 3), groups=2),
        ValueError,
        "groups: expected a divisor of out_channels = 3, got 2",
    ),
    "no algorithm": (
        lambda: F.conv2d(X, W, algorithm=None),
        ValueError,
        "algorithm: expected 'auto' or one of",
    ),
    "no groups": (lambda: F.conv2d(X, W, groups=0), ValueError, "groups: expected at least 1, got 0"),
    "half groups": (
        lambda: F.conv2d(X, W, groups=2.0),
        TypeError,
        "groups: expected a whole number, got 2.0",
    ),
    "large kernel": (
        lambda: F.conv2d(X, draw(4, 4, 9, 9), padding=1),
        ValueError,
        "weight: expected a kernel no larger than the padded input, 8x8, got 9x9",
    ),
    "dilated kernel": (
        lambda: F.conv2d(X, W, dilation=3),
        ValueError,
        "which covers 7x7 with dilation (3, 3)",
    ),
    "empty kernel": (
        lambda: F.conv2d(X, draw(4, 4, 0, 3)),
        ValueError,
        "weight: expected a kernel of at least",
    ),
    "stride 0": (lambda: F.conv2d(X, W, stride=0), ValueError, "stride: expected at least 1, got 0"),
    "three strides": (lambda: F.conv2d(X, W, stride=(1, 1, 1)), ValueError, "stride: expected one number or"),
    "stride and a half": (lambda: F.conv2d(X, W, stride=1.5), TypeError, "stride: expected a whole number"),
    "dilation 0": (lambda: F.conv2d(X, W, dilation=0), ValueError, "dilation: expected at least 1, got 0"),
    "negative padding": (
        lambda: F.conv2d(X, W, padding=-1),
        ValueError,
        "padding: expected at least 0, got -1",
    ),
    "negative side": (lambda: F.conv2d(X, W, padding=((0, -1), (0, 0))), ValueError, "at least 0, got -1"),
    "half-sided": (
        lambda: F.conv2d(X, W, padding=((1, 1), 1)),
        ValueError,
        "padding: expected ((top, bottom), (left, right)), got ((1, 1), 1)",
    ),
    "other half": (
        lambda: F.conv2d(X, W, padding=(1, (1, 1))),
        ValueError,
        "padding: expected ((top, bottom)",
    ),
    "four paddings": (
        lambda: F.conv2d(X, W, padding=(1, 1, 1, 1)),
        ValueError,
        "padding: expected one number",
    ),
    "padding in floats": (lambda: F.conv2d(X, W, padding=(1.0, 1.0)), TypeError, "padding: expected a whole"),
    "padding array": (
        lambda: F.conv2d(X, W, padding=np.array([1, 2])),
        TypeError,
        "padding: expected a whole",
    ),
    "no padding": (
        lambda: F.conv2d(X, W, padding=None),
        TypeError,
        "padding: expected a whole number, got None",
    ),
    "padding word": (
        lambda: F.conv2d(X, W, padding="SAME"),
        ValueError,
        "padding: expected numbers, 'same' or",
    ),
    "same with stride": (
        lambda: F.conv2d(X, W, stride=2, padding="same"),
        ValueError,
        "padding: expected numbers",
    ),
    "whole numbers": (
        lambda: F.conv2d(X.astype(np.uint8), W),
        TypeError,
        f"x: {FLOATS} uint8; images of whole",
    ),
    "half precision": (lambda: F.conv2d(X.astype(np.float16), W), TypeError, f"x: {FLOATS} float16"),
    "bias of one": (lambda: F.conv2d(X, W, draw(1)), ValueError, "bias: expected shape (4,), got (1,)"),
    "bias column": (lambda: F.conv2d(X, W, draw(4, 1)), ValueError, "bias: expected shape (4,), got (4, 1)"),
    "bias number": (lambda: F.conv2d(X, W, 1.0), TypeError, "bias: expected an array, got float"),
    "mixed dtypes": (
        lambda: F.conv2d(X, W.astype(np.float32)),
        TypeError,
        "weight: expected float64 as x has",
    ),
    "list": (lambda: F.conv2d(X.tolist(), W), TypeError, "x: expected an array, got list"),
    "nothing": (lambda: F.conv2d(None, W), TypeError, "x: expected an array, got NoneType"),
    "no weight": (lambda: F.conv2d(X, None), TypeError, "weight: expected an array, got NoneType"),
    "gradient's shape": (
        lambda: F.conv2d_backward(GRAD[:1], X, W),
        ValueError,
        "grad_output: expected shape (2, 4, 4, 4), got (1, 4, 4, 4)",
    ),
    "gradient's dtype": (
        lambda: F.conv2d_backward(GRAD.astype(np.float32), X, W),
        TypeError,
        "grad_output: expected float64 as x has, got float32",
    ),
    "no gradient": (lambda: F.conv2d_backward(None, X, W), TypeError, "grad_output: expected an array"),
    "needs": (
        lambda: F.conv2d_backward(GRAD, X, W, needs=("w",)),
        ValueError,
        "needs: expected names out of",
    ),
    "no needs": (
        lambda: F.conv2d_backward(GRAD, X, W, needs=None),
        ValueError,
        "needs: expected names out of ('x', 'weight', 'bias'), got None",
    ),
    "array of needs": (
        lambda: F.conv2d_backward(GRAD, X, W, needs=np.array(3)),
        ValueError,
        "needs: expected names out of",
    ),
    "nested needs": (
        lambda: F.conv2d_backward(GRAD, X, W, needs=[["x"]]),
        ValueError,
        "needs: expected names out of",
    ),
    "geometry's bias": (
        lambda: F.conv2d_geometry(X, W, [1, 2]),
        TypeError,
        "bias: expected an array, got list",
    ),
    "numbers from another machine": (
        lambda: F.conv2d(X.astype(">f8"), W),
        TypeError,
        f"x: {FLOATS} >f8; take x.astype(np.float32)",
    ),
    "whole numbers from another machine": (
        lambda: F.conv2d(X.astype(">i2"), W),
        TypeError,
        f"x: {FLOATS} >i2; images of whole numbers",
    ),
    "true or false": (
        lambda: F.conv2d(X > 0, W),
        TypeError,
        f"x: {FLOATS} bool; take x.astype(np.float32)",
    ),
    "masked": (
        lambda: F.conv2d(np.ma.masked_less(X, 0), W),
        TypeError,
        "x: expected an array, got MaskedArray",
    ),
    "layer's stride": (
        lambda: layers.Conv2d(3, 4, 3, 0, generator=RNG),
        ValueError,
        "stride: expected at least 1",
    ),
    "layer's dilation": (
        lambda: layers.Conv2d(3, 4, 3, dilation=0, generator=RNG),
        ValueError,
        "dilation: expected at least 1, got 0",
    ),
    "layer's padding": (
        lambda: layers.Conv2d(3, 4, 3, padding="foo", generator=RNG),
        ValueError,
        "padding: expected numbers, 'same' or 'valid', got 'foo'",
    ),
    "layer's stride and padding": (
        lambda: layers.Conv2d(3, 4, 3, 2, "same", generator=RNG),
        ValueError,
        "padding: expected numbers where the stride is not 1",
    ),
    "layer's algorithm": (
        lambda: layers.Conv2d(3, 4, 3, generator=RNG, algorithm="im2cool"),
        ValueError,
        "algorithm: expected 'auto' or one of",
    ),
    "layer's kernel": (lambda: layers.Conv2d(3, 4, 0, generator=RNG), ValueError, "kernel_size: expected at"),
    "layer's channels": (
        lambda: layers.Conv2d(0, 4, 3, generator=RNG),
        ValueError,
        "in_channels: expected at",
    ),
    "layer's generator": (
        lambda: layers.Conv2d(3, 4, 3, generator=0),
        TypeError,
        "generator: expected numpy.",
    ),
}

POOLING: dict[str, Refused] = {
    "dimensions": (lambda: F.max_pool2d(draw(3, 3), 2), ValueError, "x: expected (N, C, H, W) or (C, H, W)"),
    "kernel 0": (lambda: F.max_pool2d(X, 0), ValueError, "kernel_size: expected at least 1, got 0"),
    "three kernels": (
        lambda: F.avg_pool2d(X, (2, 2, 2)),
        ValueError,
        "kernel_size: expected one number or two",
    ),
    "stride 0": (lambda: F.max_pool2d(X, 2, 0), ValueError, "stride: expected at least 1, got 0"),
    "padding": (
        lambda: F.max_pool2d(X, 2, padding=2),
        ValueError,
        "padding: expected at most half of a window's",
    ),
    "negative padding": (lambda: F.avg_pool2d(X, 2, padding=-1), ValueError, "padding: expected at least 0"),
    "dilation 0": (
        lambda: F.max_pool2d(X, 2, dilation=0),
        ValueError,
        "dilation: expected at least 1, got 0",
    ),
    "large window": (lambda: F.avg_pool2d(X, (2, 9)), ValueError, "x: expected maps of at least (2, 9)"),
    "whole numbers": (lambda: F.max_pool2d(X.astype(int), 2), TypeError, f"x: {FLOATS} int64"),
    "list": (lambda: F.max_pool2d(X.tolist(), 2), TypeError, "x: expected an array, got list"),
    "divisor 0": (lambda: F.avg_pool2d(X, 2, divisor_override=0), ValueError, "divisor_override: expected a"),
    "gradient": (
        lambda: F.avg_pool2d_backward(draw(1, 4, 3, 3), X, 2),
        ValueError,
        "grad_output: expected shape",
    ),
    "saved": (
        lambda: F.max_pool2d_backward(draw(2, 4, 3, 3), X, 2, saved=np.zeros((1, 1, 1, 1), np.uint8)),
        ValueError,
        "saved: expected shape (2, 4, 3, 3), got (1, 1, 1, 1)",
    ),
    "saved list": (
        lambda: F.max_pool2d_backward(draw(2, 4, 3, 3), X, 2, saved=[1]),
        TypeError,
        "saved: expected an array, got list",
    ),
    "saved flat": (
        lambda: F.max_pool2d_backward(draw(2, 4, 3, 3), X, 2, saved=np.zeros((2, 4, 3, 3), np.int64)),
        TypeError,
        "saved: expected uint8, what max_pool2d returns with return_saved=True, got int64",
    ),
    "saved floats": (
        lambda: F.max_pool2d_backward(draw(2, 4, 3, 3), X, 2, saved=draw(2, 4, 3, 3)),
        TypeError,
        "saved: expected uint8, what max_pool2d returns with return_saved=True, got float64",
    ),
    "saved in windows": (
        lambda: F.adaptive_max_pool2d_backward(
            draw(2, 4, 3, 3), X, 3, saved=np.zeros((2, 4, 3, 3), np.uint8)
        ),
        TypeError,
        "saved: expected int64, what adaptive_max_pool2d returns with return_saved=True, got uint8",
    ),
    "both kinds": (
        lambda: F.max_pool2d(X, 2, return_indices=True, return_saved=True),
        ValueError,
        "return_saved: expected return_indices or return_saved, got both",
    ),
    "layer's kernel": (lambda: layers.MaxPool2d("x"), TypeError, "kernel_size: expected a whole number"),
    "layer's padding": (
        lambda: layers.MaxPool2d(2, padding=5),
        ValueError,
        "padding: expected at most half of a window's (2, 2), got 5",
    ),
    "layer's kernel 0": (lambda: layers.AvgPool2d(0), ValueError, "kernel_size: expected at least 1, got 0"),
    "layer's output": (
        lambda: layers.AdaptiveAvgPool2d(-1),
        ValueError,
        "output_size: expected at least 1, got -1",
    ),
    "layer's outputs": (
        lambda: layers.AdaptiveMaxPool2d((1, 2, 3)),
        ValueError,
        "output_size: expected one number or two",
    ),
    "output 0": (lambda: F.adaptive_avg_pool2d(X, 0), ValueError, "output_size: expected at least 1, got 0"),
    "three outputs": (
        lambda: F.adaptive_max_pool2d(X, (1, 1, 1)),
        ValueError,
        "output_size: expected one number",
    ),
    "half an output": (
        lambda: F.adaptive_avg_pool2d(X, 1.5),
        TypeError,
        "output_size: expected a whole number",
    ),
    "flat map": (lambda: F.adaptive_avg_pool2d(draw(3), 1), ValueError, "x: expected (N, C, H, W) or"),
}

LINEAR: dict[str, Refused] = {
    "features": (
        lambda: F.linear(draw(2, 3), draw(5, 4)),
        ValueError,
        "x: expected (..., 4) for this weight, got",
    ),
    "no features": (
        lambda: F.linear(ONE, draw(5, 4)),
        ValueError,
        "x: expected (..., 4) for this weight, got ()",
    ),
    "weight": (lambda: F.linear(draw(2, 3), draw(5, 4, 3)), ValueError, "weight: expected (out_features,"),
    "no weight": (lambda: F.linear(draw(2, 3), None), TypeError, "weight: expected an array, got NoneType"),
    "bias of one": (
        lambda: F.linear(draw(2, 3), draw(5, 3), draw(1)),
        ValueError,
        "bias: expected shape (5,)",
    ),
    "bias rows": (
        lambda: F.linear(draw(2, 3), draw(5, 3), draw(2, 5)),
        ValueError,
        "bias: expected shape (5,)",
    ),
    "whole numbers": (lambda: F.linear(np.ones((2, 3), int), draw(5, 3)), TypeError, f"x: {FLOATS} int64"),
    "mixed": (
        lambda: F.linear(draw(2, 3).astype(np.float32), draw(5, 3)),
        TypeError,
        "weight: expected float32",
    ),
    "gradient": (
        lambda: F.linear_backward(draw(1, 5), draw(2, 3), draw(5, 3)),
        ValueError,
        "grad_output: expected",
    ),
    "needs": (
        lambda: F.linear_backward(draw(2, 5), draw(2, 3), draw(5, 3), 3),
        ValueError,
        "needs: expected names out of",
    ),
    "matrix": (
        lambda: F.linear(draw(2, 3), draw(5, 3).view(np.matrix)),
        TypeError,
        "weight: expected an array, got matrix",
    ),
    "layer's features": (
        lambda: layers.Linear(-1, 4, generator=RNG),
        ValueError,
        "in_features: expected at least",
    ),
}

NORMALIZATION: dict[str, Refused] = {
    "dimensions": (
        lambda: F.batch_norm(draw(3), training=True),
        ValueError,
        "x: expected (N, C) or (N, C, ...)",
    ),
    "one value": (
        lambda: F.batch_norm(draw(1, 3), training=True),
        ValueError,
        "x: expected more than one value",
    ),
    "no momentum": (
        lambda: F.batch_norm(X, training=True, momentum=None),
        TypeError,
        "momentum: expected a num",
    ),
    "layer's momentum": (lambda: layers.BatchNorm2d(3, momentum="x"), TypeError, "momentum: expected a num"),
    "no statistics": (lambda: F.batch_norm(X), ValueError, "running_mean: expected running statistics, or"),
    "half": (
        lambda: F.batch_norm(X, draw(4)),
        ValueError,
        "running_var: expected running_mean and running_var",
    ),
    "mean of one": (
        lambda: F.batch_norm(X, draw(1), draw(1)),
        ValueError,
        "running_mean: expected shape (4,)",
    ),
    "weight": (
        lambda: F.batch_norm(X, weight=draw(1), training=True),
        ValueError,
        "weight: expected shape (4,)",
    ),
    "bias": (
        lambda: F.batch_norm(X, bias=draw(4, 1), training=True),
        ValueError,
        "bias: expected shape (4,)",
    ),
    "list": (
        lambda: F.batch_norm(X, weight=[1.0] * 4, training=True),
        TypeError,
        "weight: expected an array",
    ),
    "whole numbers": (lambda: F.batch_norm(X.astype(int), training=True), TypeError, f"x: {FLOATS} int64"),
    "eps": (
        lambda: F.batch_norm(X, training=True, eps=-1),
        ValueError,
        "eps: expected a number of at least 0",
    ),
    "gradient": (
        lambda: F.batch_norm_backward(X[:1], X),
        ValueError,
        "grad_output: expected shape (2, 4, 6, 6)",
    ),
    "variance's dtype": (
        lambda: F.batch_norm_backward(
            X, X, training=False, running_mean=draw(4), running_var=np.ones(4, np.float32)
        ),
        TypeError,
        "running_var: expected float64 as x has, got float32",
    ),
    "update": (
        lambda: F.update_running(X, draw(1), draw(1)),
        ValueError,
        "running_mean: expected shape (4,)",
    ),
    "update of whole numbers": (
        lambda: F.update_running(X.astype(int), draw(4), draw(4)),
        TypeError,
        f"source: {FLOATS} int64",
    ),
    "update of rows": (
        lambda: F.update_running(draw(4), draw(4), draw(4)),
        ValueError,
        "source: expected (N, C) or (N, C, ...), got shape (4,)",
    ),
    "update of one value": (
        lambda: F.update_running(draw(1, 4), draw(4), draw(4)),
        ValueError,
        "source: expected more than one value in each channel, got shape (1, 4)",
    ),
    "update's dtype": (
        lambda: F.update_running(X.astype(np.float32), draw(4), draw(4)),
        TypeError,
        "running_mean: expected float32 as source has, got float64",
    ),
    "update's share": (
        lambda: F.update_running(X, draw(4), draw(4), NAN),
        ValueError,
        "momentum: expected a finite number, got nan",
    ),
    "update's true share": (
        lambda: F.update_running(X, draw(4), draw(4), True),
        TypeError,
        "momentum: expected a number, got True",
    ),
    "layer's share": (
        lambda: layers.BatchNorm2d(3, momentum=-1),
        ValueError,
        "momentum: expected from 0 to 1, got -1",
    ),
    "layer's x": (lambda: layers.BatchNorm2d(4)(None), TypeError, "x: expected an array, got NoneType"),
    "saved tuple": (
        lambda: F.batch_norm_backward(X, X, saved=(draw(4), draw(4))),
        TypeError,
        "saved: expected the Statistics that batch_norm returned, got tuple",
    ),
    "saved of others": (
        lambda: F.batch_norm_backward(X, X, saved=F.Statistics(draw(3), draw(3), draw(3))),
        ValueError,
        "saved.mean: expected shape (4,), got (3,)",
    ),
    "saved of fewer": (
        lambda: F.batch_norm_backward(X, X, saved=F.batch_norm(X[:1], training=True, return_saved=True)[1]),
        ValueError,
        "saved: expected statistics of 72 values a channel, got 36",
    ),
    "layer's features": (
        lambda: layers.BatchNorm2d(0),
        ValueError,
        "num_features: expected at least 1, got 0",
    ),
}

CLASSES: dict[str, Refused] = {
    "label too large": (
        lambda: F.cross_entropy(LOGITS, np.array([0, 5, 1])),
        ValueError,
        "target: expected labels from 0 to 4, got 5",
    ),
    "negative label": (lambda: F.cross_entropy(LOGITS, LABELS - 1), ValueError, "from 0 to 4, got -1"),
    "too few": (
        lambda: F.cross_entropy(LOGITS, LABELS[:2]),
        ValueError,
        "target: expected shape (3,), got (2,)",
    ),
    "column": (
        lambda: F.cross_entropy(LOGITS, LABELS[:, None]),
        ValueError,
        "target: expected shape (3,), got",
    ),
    "float labels": (
        lambda: F.cross_entropy(LOGITS, draw(3)),
        ValueError,
        "target: expected shape (3, 5), got (3,)",
    ),
    "float column": (
        lambda: F.cross_entropy(LOGITS, draw(3, 1)),
        ValueError,
        "target: expected shape (3, 5), got",
    ),
    "shares' dtype": (
        lambda: F.cross_entropy(LOGITS, LOGITS.astype(np.float32)),
        TypeError,
        "target: expected float64 as logits has, got float32",
    ),
    "list": (lambda: F.cross_entropy(LOGITS, [0, 1, 2]), TypeError, "target: expected an array, got list"),
    "true or false": (
        lambda: F.cross_entropy(LOGITS, LABELS > 0),
        TypeError,
        "target: expected labels, whole",
    ),
    "no classes": (lambda: F.cross_entropy(ONE, np.array(0)), ValueError, "logits: expected (N, K), (K,) or"),
    "an axis without classes": (
        lambda: F.cross_entropy(np.ones((2, 0)), np.zeros(2, np.int64)),
        ValueError,
        "logits: expected (N, K), (K,) or (N, K, d1, ...), got shape (2, 0)",
    ),
    "smoothing": (
        lambda: F.cross_entropy(LOGITS, LABELS, label_smoothing=1.5),
        ValueError,
        "label_smoothing: exp",
    ),
    "smoothing below": (
        lambda: F.cross_entropy(LOGITS, LABELS, label_smoothing=-0.1),
        ValueError,
        "label_smoothing: expected from 0 to 1, got -0.1",
    ),
    "smoothing word": (
        lambda: F.cross_entropy(LOGITS, LABELS, label_smoothing="a"),
        TypeError,
        "label_smoothing: expected a number, got 'a'",
    ),
    "reduction": (
        lambda: F.cross_entropy(LOGITS, LABELS, reduction="avg"),
        ValueError,
        "reduction: expected 'mean'",
    ),
    "weight": (
        lambda: F.cross_entropy(LOGITS, LABELS, draw(3)),
        ValueError,
        "weight: expected shape (5,), got (3,)",
    ),
    "weight of shares": (
        lambda: F.cross_entropy(LOGITS, LOGITS, draw(1)),
        ValueError,
        "weight: expected shape (5,)",
    ),
    "whole logits": (
        lambda: F.cross_entropy(np.ones((3, 5), int), LABELS),
        TypeError,
        f"logits: {FLOATS} int64",
    ),
    "gradient": (
        lambda: F.cross_entropy_backward(draw(3), LOGITS, LABELS),
        ValueError,
        "grad_output: expected shape",
    ),
    "gradient number": (
        lambda: F.cross_entropy_backward(1.0, LOGITS, LABELS),
        TypeError,
        "grad_output: expected an",
    ),
    "gradient's dtype": (
        lambda: F.nll_loss_backward(np.ones((), np.float32), LOGITS, LABELS),
        TypeError,
        "grad_output: expected float64 as log_probabilities has, got float32",
    ),
    "nll number": (
        lambda: F.nll_loss(ONE, np.array(0)),
        ValueError,
        "log_probabilities: expected (N, K), (K,) or",
    ),
    "nll whole": (
        lambda: F.nll_loss(np.ones((3, 5), int), LABELS),
        TypeError,
        f"log_probabilities: {FLOATS} int64",
    ),
    "nll float labels": (
        lambda: F.nll_loss(LOGITS, draw(3)),
        TypeError,
        "target: expected labels, whole numbers",
    ),
    "nll label": (
        lambda: F.nll_loss(LOGITS, LABELS + 3),
        ValueError,
        "target: expected labels from 0 to 4, got 5",
    ),
    "nll weight": (
        lambda: F.nll_loss(LOGITS, LABELS, draw(1)),
        ValueError,
        "weight: expected shape (5,), got (1,)",
    ),
}

LOSSES: dict[str, Refused] = {
    "ignored shares": (
        lambda: F.cross_entropy(LOGITS, np.abs(LOGITS), ignore_index=1),
        ValueError,
        "ignore_index: expected none with shares of classes, got 1",
    ),
    "half an ignored label": (
        lambda: F.cross_entropy(LOGITS, LABELS, ignore_index=1.5),
        TypeError,
        "ignore_index: expected a whole number, got 1.5",
    ),
    "squares": (
        lambda: F.mse_loss(draw(3, 1), draw(3)),
        ValueError,
        "target: expected shape (3, 1), got (3,)",
    ),
    "whole target": (lambda: F.mse_loss(draw(3), LABELS), TypeError, f"target: {FLOATS} int64"),
    "weighted squares": (
        lambda: F.mse_loss(draw(3), draw(3), weight=draw(1)),
        ValueError,
        "weight: expected shape",
    ),
    "squares' gradient": (
        lambda: F.mse_loss_backward(draw(3), draw(3), draw(3)),
        ValueError,
        "grad_output: expected",
    ),
    "binary": (
        lambda: F.binary_cross_entropy_with_logits(draw(3, 1), draw(3)),
        ValueError,
        "target: expected shape (3, 1), got (3,)",
    ),
    "binary labels": (
        lambda: F.binary_cross_entropy_with_logits(draw(3), LABELS),
        TypeError,
        f"target: {FLOATS} int64",
    ),
    "binary weight": (
        lambda: F.binary_cross_entropy_with_logits(draw(3), draw(3), pos_weight=draw(2)),
        ValueError,
        "pos_weight: expected a shape that broadcasts to (3,), got (2,)",
    ),
    "penalty": (lambda: F.l2_penalty(draw(3), "a"), TypeError, "strength: expected a number, got 'a'"),
    "penalty's gradient": (
        lambda: F.l2_penalty_backward(draw(3), draw(3), 0.1),
        ValueError,
        "grad_output: expected shape (), got (3,)",
    ),
    "smoothing of a loss": (
        lambda: Loss(label_smoothing=2),
        ValueError,
        "label_smoothing: expected from 0 to 1",
    ),
    "weights of a loss": (
        lambda: Loss(class_weights=draw(2)).forward(LOGITS, LABELS),
        ValueError,
        "weight: expected shape (5,), got (2,)",
    ),
    "list of weights of a loss": (
        lambda: Loss(class_weights=[1, 2]),
        TypeError,
        "class_weights: expected an array, got list",
    ),
    "column of weights of a loss": (
        lambda: Loss(class_weights=draw(2, 1)),
        ValueError,
        "class_weights: expected (K,), got shape (2, 1)",
    ),
    "logit's label": (
        lambda: Loss("logit").forward(draw(3, 1), LABELS),
        ValueError,
        "target: expected labels from",
    ),
    "probability's label": (
        lambda: Loss("probability").forward(draw(3, 1), LABELS),
        ValueError,
        "targets: expected labels 0 and 1, got [0 1 2]",
    ),
    "two probabilities": (
        lambda: Loss("probability").forward(draw(3, 2), LABELS // 2),
        ValueError,
        "raw: expected shape (3, 1), got (3, 2)",
    ),
    "two logits": (
        lambda: Loss("logit").backward(draw(3, 2), LABELS // 2),
        ValueError,
        "raw: expected shape (3, 1)",
    ),
    "row of logits": (
        lambda: Loss("logit").forward(draw(3), LABELS // 2),
        ValueError,
        "raw: expected (B, K), got",
    ),
}

ELEMENTS: dict[str, Refused] = {
    "probability": (lambda: F.dropout(X, 1.5), ValueError, "p: expected a probability from 0 to 1, got 1.5"),
    "undefined": (lambda: F.dropout(X, NAN), ValueError, "p: expected a finite number, got nan"),
    "word": (lambda: F.dropout(X, "0.5"), TypeError, "p: expected a number, got '0.5'"),
    "no generator": (
        lambda: F.dropout(X),
        ValueError,
        "generator: expected numpy.random.default_rng(seed), or",
    ),
    "seed": (
        lambda: F.dropout(X, generator=0),
        TypeError,
        "generator: expected numpy.random.default_rng(seed), got 0",
    ),
    "mask": (
        lambda: F.dropout(X, mask=X[:1] > 0),
        ValueError,
        "mask: expected shape (2, 4, 6, 6), got (1, 4",
    ),
    "scaled mask": (
        lambda: F.dropout(X, mask=2 * X),
        TypeError,
        "mask: expected bool, True for what stays, got fl",
    ),
    "mask list": (lambda: F.dropout(X, mask=[True]), TypeError, "mask: expected an array, got list"),
    "dropped whole numbers": (lambda: F.dropout(X.astype(int)), TypeError, f"x: {FLOATS} int64"),
    "mask's probability": (
        lambda: F.draw_mask(X, 1.5, RNG),
        ValueError,
        "p: expected a probability from 0 to 1, got 1.5",
    ),
    "mask of nothing": (
        lambda: F.draw_mask(None, 0.5, RNG),
        TypeError,
        "x: expected an array, got NoneType",
    ),
    "no gradient of dropout": (
        lambda: F.dropout_backward(None, X > 0),
        TypeError,
        "grad_output: expected an array, got NoneType",
    ),
    "layer's probability": (
        lambda: layers.Dropout(1.5, generator=RNG),
        ValueError,
        "p: expected a probability from 0 to 1, got 1.5",
    ),
    "layer's generator": (
        lambda: layers.Dropout(0.5, generator=0),
        TypeError,
        "generator: expected numpy.random.default_rng(seed), got 0",
    ),
    "layer's slope": (lambda: layers.LeakyReLU("x"), TypeError, "negative_slope: expected a number, got 'x'"),
    "layer's approximation": (
        lambda: layers.GELU("erf"),
        ValueError,
        "approximate: expected 'none' or 'tanh', got 'erf'",
    ),
    "layer's dim": (lambda: layers.Softmax("z"), TypeError, "dim: expected a whole number, got 'z'"),
    "layer's dim of logs": (lambda: layers.LogSoftmax(0.5), TypeError, "dim: expected a whole number"),
    "layer's number": (lambda: layers.Flatten()(3), TypeError, "x: expected an array, got int"),
    "parameter's number": (lambda: Parameter(3), TypeError, "value: expected an array, got int"),
    "dim": (lambda: F.softmax(draw(3, 4), 2), ValueError, "dim: expected from -2 to 1, got 2"),
    "dim below": (lambda: F.log_softmax(draw(3, 4), -3), ValueError, "dim: expected from -2 to 1, got -3"),
    "dim of a number": (lambda: F.softmax(ONE, 1), ValueError, "dim: expected from -1 to 0, got 1"),
    "no dim": (lambda: F.softmax(draw(3, 4), None), TypeError, "dim: expected a whole number, got None"),
    "two dims": (
        lambda: F.softmax(draw(3, 4), (0, 1)),
        TypeError,
        "dim: expected a whole number, got (0, 1)",
    ),
    "dim, backward": (
        lambda: F.softmax_backward(LOGITS, LOGITS, 2),
        ValueError,
        "dim: expected from -2 to 1, got 2",
    ),
    "saved": (
        lambda: F.softmax_backward(LOGITS, LOGITS, saved=LOGITS[:1]),
        ValueError,
        "saved: expected shape (3, 5), got (1, 5)",
    ),
    "rectified whole numbers": (lambda: F.relu(LABELS), TypeError, f"x: {FLOATS} int64"),
    "rectified list": (lambda: F.relu([1.0]), TypeError, "x: expected an array, got list"),
    "gradient": (
        lambda: F.sigmoid_backward(LOGITS[:1], LOGITS),
        ValueError,
        "grad_output: expected shape (3, 5)",
    ),
    "slope": (lambda: F.leaky_relu(LOGITS, "0.1"), TypeError, "negative_slope: expected a number, got '0.1'"),
    "approximation": (
        lambda: F.gelu(LOGITS, "erf"),
        ValueError,
        "approximate: expected 'none' or 'tanh', got 'erf'",
    ),
    "flattened from": (lambda: F.flatten(LOGITS, 2), ValueError, "start_dim: expected from -2 to 1, got 2"),
    "flattened backwards": (
        lambda: F.flatten(LOGITS, 1, 0),
        ValueError,
        "start_dim: expected at most end_dim 0",
    ),
    "flattened at a half": (lambda: F.flatten(LOGITS, 0.5), TypeError, "start_dim: expected a whole number"),
    "flattened list": (lambda: F.flatten([[1.0]]), TypeError, "x: expected an array, got list"),
}


def parameters(grad: np.ndarray | None = None) -> dict[str, Parameter]:
    weight = Parameter(draw(3))
    weight.grad = grad
    return {"w": weight}


OPTIMIZERS: dict[str, Refused] = {
    "negative rate": (lambda: SGD({}, -1), ValueError, "lr: expected a number of at least 0, got -1"),
    "undefined rate": (lambda: Adam({}, NAN), ValueError, "lr: expected a number of at least 0, got nan"),
    "rate word": (lambda: SGD({}, "0.1"), TypeError, "lr: expected a number, got '0.1'"),
    "momentum": (
        lambda: SGD({}, momentum=-1),
        ValueError,
        "momentum: expected a number of at least 0, got -1",
    ),
    "list": (lambda: SGD([Parameter(draw(3))]), TypeError, "parameters: expected a mapping of names"),
    "arrays": (
        lambda: SGD({"w": draw(3)}),
        TypeError,
        "parameters: expected a Parameter for 'w', got ndarray",
    ),
    "beta 1": (lambda: Adam({}, betas=(1, 0.9)), ValueError, "betas: expected two numbers from 0 to below 1"),
    "one beta": (lambda: Adam({}, betas=(0.9,)), ValueError, "betas: expected two numbers from 0 to below 1"),
    "eps": (lambda: Adam({}, eps=-1), ValueError, "eps: expected a number of at least 0, got -1"),
    "gradient of one": (
        lambda: SGD(parameters(draw(1))).step(),
        ValueError,
        "w.grad: expected shape (3,), got (1,)",
    ),
    "gradient's dtype": (
        lambda: Adam(parameters(np.ones(3, np.float32))).step(),
        TypeError,
        "w.grad: expected float64 as w has, got float32",
    ),
    "undecayed letters": (
        lambda: SGD(parameters(), undecayed="w"),
        TypeError,
        "undecayed: expected a list of names of parameters, got 'w'",
    ),
    "restored in part": (
        lambda: Adam(parameters()).restore_state({"w:step": np.array(1.0), "w:exp_avg": draw(3)}),
        ValueError,
        "arrays: expected w:exp_avg_sq as well, got none",
    ),
    "restored without a step": (
        lambda: SGD(parameters(), momentum=0.9).restore_state({"w:momentum_buffer": draw(3)}),
        ValueError,
        "arrays: expected w:step as well, got none",
    ),
    "restored before the start": (
        lambda: SGD(parameters()).restore_state({"w:step": np.array(-3.0)}),
        ValueError,
        "w:step: expected a whole number of at least 0",
    ),
    "restored half a step": (
        lambda: SGD(parameters()).restore_state({"w:step": np.array(2.5)}),
        ValueError,
        "w:step: expected a whole number of at least 0",
    ),
    "restored nothing": (
        lambda: SGD(parameters()).restore_state({None: np.array(1.0)}),
        ValueError,
        "arrays: expected the state of this optimizer's parameters, got None",
    ),
    "restored shape": (
        lambda: SGD(parameters(), momentum=0.9).restore_state({"w:momentum_buffer": draw(1)}),
        ValueError,
        "w:momentum_buffer: expected shape (3,), got (1,)",
    ),
}

IMAGES = draw(6, 1, 2, 2).astype(np.float32)
ZEROS = np.zeros(6, int)


def network(seed: int = 0) -> engine.Network:
    generator = np.random.default_rng(seed)
    return engine.Network([layers.Flatten(), layers.Linear(4, 3, generator=generator)])


def fit(samples: Any, net: Any = None, **settings: Any) -> engine.History:
    net = net or network()
    return engine.fit(net, samples, **{"epochs": 1, "optimizer": SGD(net.parameters())} | settings)


SAMPLES = Samples(IMAGES, ZEROS)
TRAINING: dict[str, Refused] = {
    "rate": (
        lambda: fit(SAMPLES, rate=0.1),
        TypeError,
        "rate: expected a function of the step's number, got",
    ),
    "no rate": (
        lambda: fit(SAMPLES, rate=lambda step: None),
        TypeError,
        "rate's result: expected a number, got None",
    ),
    "negative rate": (
        lambda: fit(SAMPLES, rate=lambda step: -1),
        ValueError,
        "rate's result: expected a num",
    ),
    "loss's name": (lambda: fit(SAMPLES, loss="bce"), TypeError, "loss: expected a Loss, got str"),
    "seed's name": (lambda: fit(SAMPLES, seed="a"), TypeError, "seed: expected a whole number, got 'a'"),
    "negative seed": (lambda: fit(SAMPLES, seed=-1), ValueError, "seed: expected at least 0, got -1"),
    "order's seed": (
        lambda: Samples(IMAGES, ZEROS, seed=-1),
        ValueError,
        "seed: expected at least 0, got -1",
    ),
    "too few labels": (
        lambda: Samples(IMAGES, ZEROS[:2]),
        ValueError,
        "labels: expected one for each of 6 inputs",
    ),
    "column": (
        lambda: Samples(IMAGES, ZEROS[:, None]),
        ValueError,
        "labels: expected one for each of 6 inputs, got",
    ),
    "no images": (
        lambda: Samples(IMAGES[:0], ZEROS[:0]),
        ValueError,
        "labels: expected one for each of 0 inputs",
    ),
    "negative labels": (
        lambda: Samples(IMAGES, ZEROS - 1),
        ValueError,
        "labels: expected numbers from 0 on, got -1",
    ),
    "float labels": (
        lambda: Samples(IMAGES, ZEROS / 2),
        TypeError,
        "labels: expected whole numbers, got float64",
    ),
    "list of labels": (lambda: Samples(IMAGES, [0] * 6), TypeError, "labels: expected an array, got list"),
    "bytes": (
        lambda: Samples(IMAGES.astype(np.uint8), ZEROS),
        TypeError,
        f"inputs: {FLOATS} uint8; images of whole",
    ),
    "flat": (
        lambda: Samples(IMAGES[:, 0, 0, 0], ZEROS),
        ValueError,
        "inputs: expected (N, C, H, W) or (N, features)",
    ),
    "batch of none": (
        lambda: Samples(IMAGES, ZEROS, 0),
        ValueError,
        "batch_size: expected at least 1, got 0",
    ),
    "label beyond": (
        lambda: fit(Samples(IMAGES, ZEROS + 7)),
        ValueError,
        "target: expected labels from 0 to 2, got 7",
    ),
    "larger images": (
        lambda: fit(Samples(draw(6, 1, 3, 3).astype(np.float32), ZEROS)),
        ValueError,
        "x: expected (..., 4) for this weight, got (6, 9)",
    ),
    "no epochs": (
        lambda: fit(Samples(IMAGES, ZEROS), epochs=0),
        ValueError,
        "epochs: expected at least 1, got 0",
    ),
    "half an epoch": (
        lambda: fit(Samples(IMAGES, ZEROS), epochs=0.5),
        TypeError,
        "epochs: expected a whole number",
    ),
    "arrays": (lambda: fit((IMAGES, ZEROS)), TypeError, "train: expected Samples(images, labels), got tuple"),
    "validation arrays": (
        lambda: fit(Samples(IMAGES, ZEROS), val=IMAGES),
        TypeError,
        "val: expected Samples(",
    ),
    "layer": (
        lambda: fit(Samples(IMAGES, ZEROS), layers.ReLU()),
        TypeError,
        "network: expected a Network of the",
    ),
    "optimizer": (
        lambda: fit(Samples(IMAGES, ZEROS), optimizer="sgd"),
        TypeError,
        "optimizer: expected SGD, Adam",
    ),
    "other's optimizer": (
        lambda: fit(Samples(IMAGES, ZEROS), optimizer=SGD(network(1).parameters())),
        ValueError,
        "optimizer: expected parameters of this network, got another's 1.weight",
    ),
}

TABLES = {
    "convolution": CONVOLUTION,
    "pooling": POOLING,
    "linear": LINEAR,
    "normalization": NORMALIZATION,
    "classes": CLASSES,
    "losses": LOSSES,
    "elements": ELEMENTS,
    "optimizers": OPTIMIZERS,
    "training": TRAINING,
}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        pytest.param(*refused, id=f"{table}: {name}")
        for table, refusals in TABLES.items()
        for name, refused in refusals.items()
    ],
)
def test_what_does_not_fit_is_refused_by_name(call: Call, error: type[Exception], message: str):
    with pytest.raises(error, match=re.escape(message)) as caught:
        call()
    assert type(caught.value) is error


SIDES = {"pair": (1, 2), "four sides": ((1, 2), (0, 3)), "list": [[1, 2], [0, 3]]}


@pytest.mark.parametrize("sides", SIDES)
def test_padding_in_numpys_integers_equals_that_in_pythons(sides: str):
    def in_numpy(value: Any) -> Any:
        return np.int64(value) if isinstance(value, int) else type(value)(map(in_numpy, value))

    padding = SIDES[sides]
    expected = F.conv2d(X, W, padding=padding)
    assert expected.shape == (2, 4, *((6, 8) if sides == "pair" else (7, 7)))
    np.testing.assert_array_equal(F.conv2d(X, W, padding=in_numpy(padding)), expected)
