"""The node tests of ONNX, each brought to the engine's own operations.

An adapter takes a node's attributes and inputs, calls the engine and returns the node's outputs. It
translates conventions (four-sided `pads`, `axis`, scalar factors) and computes nothing that the engine
should; what the engine does not offer raises `OutOfScope`.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from conformance_cases import ONNX, Case, OutOfScope

from striate.engine import functional as F
from striate.engine.optim import SGD
from striate.engine.parameter import Parameter

Attributes = Mapping[str, Any]
Adapter = Callable[..., list[Any]]

MODULES = {
    "Conv": "conv",
    "MaxPool": "maxpool",
    "AveragePool": "averagepool",
    "GlobalAveragePool": "globalaveragepool",
    "GlobalMaxPool": "globalmaxpool",
    "BatchNormalization": "batch_normalization",
    "Gemm": "gemm",
    "Flatten": "flatten",
    "Dropout": "dropout",
    "Relu": "relu",
    "LeakyRelu": "leakyrelu",
    "Gelu": "gelu",
    "Swish": "swish",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softmax": "softmax",
    "LogSoftmax": "logsoftmax",
    "SoftmaxCrossEntropyLoss": "softmax_cross_entropy_loss",
    "NegativeLogLikelihoodLoss": "negativeloglikelihoodloss",
    "Momentum": "momentum",
    "Adam": "adam",
}
"""The engine's operators, and the module of `onnx.backend.test.case.node` that makes their cases."""

TOLERANCE = {"rtol": 1e-3, "atol": 1e-7}
"""Those with which ONNX's own runner compares backends."""


def onnx_cases() -> Iterator[Case]:
    """Yield all node tests of the operators above."""
    from onnx import helper

    for test in _load():
        nodes = test.model.graph.node
        if len(nodes) != 1 or nodes[0].op_type not in MODULES:
            continue  # the same data once more, for the operator spelled out as a graph of others
        node = nodes[0]
        attributes = {one.name: _plain(helper.get_attribute_value(one)) for one in node.attribute}
        for inputs, outputs in test.data_sets:
            given = dict(zip([name for name in node.input if name], inputs, strict=True))
            arrays = [given.get(name) for name in node.input]
            check = partial(_check, node.op_type, attributes, arrays, outputs)
            yield Case(ONNX, node.op_type, test.name.removeprefix("test_"), check)


def _load() -> list[Any]:
    """Return the cases of the modules above; importing a module makes its cases."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflows that some cases are about
        from onnx.backend.test.case import node

        for module in MODULES.values():
            importlib.import_module(f"onnx.backend.test.case.node.{module}")
    return list(node._NodeTestCases)


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _check(operator: str, attributes: Attributes, inputs: list[Any], expected: list[Any]) -> None:
    if any(one is not None and one.dtype.kind in "iu" for one in inputs[:1] if operator != "Adam"):
        raise OutOfScope("whole numbers: the engine works in float32 and float64")
    adapter: Adapter = ADAPTERS[operator]
    found = adapter(attributes, *inputs, **({"expected": expected} if operator == "Dropout" else {}))
    for ours, theirs in zip(found, expected, strict=False):
        assert np.shape(ours) == theirs.shape, f"shape {np.shape(ours)}, expected {theirs.shape}"
        assert np.asarray(ours).dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, **TOLERANCE)
    assert len(found) >= len(expected)


def _conv(attributes: Attributes, x: Any, weight: Any, bias: Any = None) -> list[Any]:
    stride, dilation = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    if x.ndim != 4:
        raise OutOfScope("three spatial dimensions")
    sides = _pads(attributes, x.shape[2:], weight.shape[2:], stride, dilation)
    group = attributes.get("group", 1)
    return [F.conv2d(x, weight, bias, tuple(stride), sides, tuple(dilation), group)]


def _pads(attributes: Attributes, size: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """Return ((top, bottom), (left, right))."""
    kind = attributes.get("auto_pad", "NOTSET")
    if kind not in ("SAME_UPPER", "SAME_LOWER"):
        pads = attributes.get("pads", [0, 0] * len(kernel))
        return tuple(zip(pads[: len(kernel)], pads[len(kernel) :], strict=True))
    sides = []
    for length, taps, step, distance in zip(size, kernel, stride, dilation, strict=True):
        total = max(0, (-(-length // step) - 1) * step + distance * (taps - 1) + 1 - length)
        small, large = total // 2, total - total // 2
        sides.append((small, large) if kind == "SAME_UPPER" else (large, small))
    return tuple(sides)


def _pool(attributes: Attributes, x: Any) -> tuple[Any, dict[str, Any]]:
    """Return x as maps and the arguments of a pooling; one dimension is a map one row high."""
    kernel = list(attributes["kernel_shape"])
    if len(kernel) > 2:
        raise OutOfScope("three spatial dimensions")
    ones = [1] * len(kernel)
    stride, dilation = list(attributes.get("strides", ones)), list(attributes.get("dilations", ones))
    sides = _pads(attributes, x.shape[2:], kernel, stride, dilation)
    if any(before != after for before, after in sides):
        raise OutOfScope("pooling with more padding at the end than at the beginning, which torch lacks too")
    if any(2 * before > d * (k - 1) + 1 for (before, _), k, d in zip(sides, kernel, dilation, strict=True)):
        raise OutOfScope("padding of more than half a window, which torch refuses too")
    padding = [before for before, _ in sides]
    if len(kernel) == 1:
        x, kernel, stride, dilation, padding = (
            x[:, :, None],
            [1, *kernel],
            [1, *stride],
            [1, *dilation],
            [0, *padding],
        )
    names = ("kernel_size", "stride", "padding", "dilation")
    arguments = dict(zip(names, map(tuple, (kernel, stride, padding, dilation)), strict=True))
    return x, arguments | {"ceil_mode": bool(attributes.get("ceil_mode", 0))}


def _max_pool(attributes: Attributes, x: Any) -> list[Any]:
    maps, arguments = _pool(attributes, x)
    y, places = F.max_pool2d(maps, **arguments, return_indices=True)
    if attributes.get("storage_order"):  # column by column
        places = places % maps.shape[3] * maps.shape[2] + places // maps.shape[3]
    planes = np.arange(maps.shape[0] * maps.shape[1]).reshape(*maps.shape[:2], 1, 1)
    places = places + planes * maps.shape[2] * maps.shape[3]  # ONNX numbers the whole array
    return [y, places] if x.ndim == 4 else [y[:, :, 0], places[:, :, 0]]


def _average_pool(attributes: Attributes, x: Any) -> list[Any]:
    maps, arguments = _pool(attributes, x)
    if arguments.pop("dilation") != (1, 1):
        raise OutOfScope("average pooling with dilation, which torch lacks too")
    y = F.avg_pool2d(maps, **arguments, count_include_pad=bool(attributes.get("count_include_pad", 0)))
    return [y if x.ndim == 4 else y[:, :, 0]]


def _batch_norm(
    attributes: Attributes, x: Any, weight: Any, bias: Any, mean: Any, variance: Any
) -> list[Any]:
    """In training ONNX keeps the biased variance and calls the old one's share momentum."""
    eps, training = attributes.get("epsilon", 1e-5), bool(attributes.get("training_mode", 0))
    if not training:
        return [F.batch_norm(x, mean, variance, weight, bias, eps=eps)]
    y, saved = F.batch_norm(x, mean, variance, weight, bias, training, eps=eps, return_saved=True)
    old = np.float32(attributes.get("momentum", 0.9))
    return [y, old * mean + (1 - old) * saved.mean, old * variance + (1 - old) * saved.variance]


def _gemm(attributes: Attributes, a: Any, b: Any, c: Any = None) -> list[Any]:
    a = a.T if attributes.get("transA") else a
    weight = b if attributes.get("transB") else b.T
    if c is not None:
        if c.ndim == 2 and c.shape[0] > 1:
            raise OutOfScope("a different bias for every row")
        c = np.broadcast_to(c, (1, len(weight)))[0] * np.float32(attributes.get("beta", 1.0))
    return [F.linear(a * np.float32(attributes.get("alpha", 1.0)), weight, c)]


def _flatten(attributes: Attributes, x: Any) -> list[Any]:
    """ONNX makes two dimensions of all, cut at `axis`: torch's flatten of either side."""
    axis = attributes.get("axis", 1) % x.ndim
    x = x[None] if axis == 0 else x
    axis = max(axis, 1)
    return [F.flatten(F.flatten(x, axis), 0, axis - 1)]


def _dropout(
    attributes: Attributes, x: Any, ratio: Any = None, training: Any = None, *, expected: list[Any]
) -> list[Any]:
    p = 0.5 if ratio is None else float(ratio)
    if training is None or not training or p == 0:
        return [F.dropout(x, p, training=False), np.ones(x.shape, bool)]
    if len(expected) < 2:
        raise OutOfScope("a mask that is drawn by ONNX's reference generator and not among the outputs")
    return [F.dropout(x, p, mask=expected[1]), expected[1]]


def _swish(attributes: Attributes, x: Any) -> list[Any]:
    if attributes.get("alpha", 1.0) != 1.0:
        raise OutOfScope("a slope in the sigmoid other than 1")
    return [F.silu(x)]


def _cross_entropy(attributes: Attributes, x: Any, target: Any, weight: Any = None) -> list[Any]:
    arguments = {key: attributes[key] for key in ("ignore_index", "reduction") if key in attributes}
    return [F.cross_entropy(x, target, weight, **arguments), F.log_softmax(x, 1)]


def _nll(attributes: Attributes, x: Any, target: Any, weight: Any = None) -> list[Any]:
    arguments = {key: attributes[key] for key in ("ignore_index", "reduction") if key in attributes}
    return [F.nll_loss(x, target, weight, **arguments)]


def _momentum(attributes: Attributes, rate: Any, step: Any, *arrays: Any) -> list[Any]:
    """Bring X..., G..., V... to SGD; ONNX's `beta` is 1 - dampening, which counts from the second step on."""
    if step > 0 and attributes["beta"] != 1:
        raise OutOfScope("dampening of the gradient in momentum")
    count = len(arrays) // 3
    values, grads, velocities = (arrays[i * count : (i + 1) * count] for i in range(3))
    parameters = {str(i): Parameter(value.copy()) for i, value in enumerate(values)}
    optimizer = SGD(
        parameters,
        float(rate),
        attributes["alpha"],
        nesterov=attributes["mode"] == "nesterov",
        weight_decay=attributes["norm_coefficient"],
    )
    buffers = {f"{i}:momentum_buffer": one for i, one in enumerate(velocities)}
    optimizer.restore_state({**buffers, **{f"{i}:step": np.asarray(step) for i in range(count)}})
    for parameter, grad in zip(parameters.values(), grads, strict=True):
        parameter.grad = grad
    optimizer.step()
    state = optimizer.state_arrays()
    values = [parameter.value for parameter in parameters.values()]
    return [*values, *(state[f"{i}:momentum_buffer"] for i in range(count))]


def _adam(attributes: Attributes, rate: Any, step: Any, *arrays: Any) -> list[Any]:
    raise OutOfScope("a step 0 without the correction for the start at zero; torch's first step is number 1")


def _single(function: Callable[..., Any], **names: str) -> Adapter:
    """Return the adapter of an operation with one input; `names` are attributes by argument."""

    def adapter(attributes: Attributes, x: Any) -> list[Any]:
        given = {key: attributes[name] for key, name in names.items() if name in attributes}
        return [function(x, **given)]

    return adapter


ADAPTERS: dict[str, Adapter] = {
    "Conv": _conv,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _single(partial(F.adaptive_avg_pool2d, output_size=1)),
    "GlobalMaxPool": _single(partial(F.adaptive_max_pool2d, output_size=1)),
    "BatchNormalization": _batch_norm,
    "Gemm": _gemm,
    "Flatten": _flatten,
    "Dropout": _dropout,
    "Relu": _single(F.relu),
    "LeakyRelu": _single(F.leaky_relu, negative_slope="alpha"),
    "Gelu": _single(F.gelu, approximate="approximate"),
    "Swish": _swish,
    "Sigmoid": _single(F.sigmoid),
    "Tanh": _single(F.tanh),
    "Softmax": _single(F.softmax, dim="axis"),
    "LogSoftmax": _single(F.log_softmax, dim="axis"),
    "SoftmaxCrossEntropyLoss": _cross_entropy,
    "NegativeLogLikelihoodLoss": _nll,
    "Momentum": _momentum,
    "Adam": _adam,
}
