"""An ONNX file from a spec, written node by node: no torch, and a fraction of the time of its exporter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from striate.architectures import blocks, layers, pooling
from striate.architectures.arguments import both
from striate.architectures.shapes import Step, infer_shapes
from striate.architectures.spec import Spec
from striate.architectures.weights import check_weights, weight_shapes
from striate.errors import SpecError

OPSET, FORMAT = 17, 8
"""Versions of ONNX's operators and of its file (2022), which every ONNX Runtime that we take knows."""


def to_onnx(
    spec: Spec,
    input_shape: Sequence[int],
    num_classes: int,
    weights: Mapping[str, np.ndarray],
    until: str | None = None,
) -> bytes:
    """Return the network in evaluation mode as an ONNX file: any number of `images` in, `outputs` out.

    Args:
        spec: the description.
        input_shape: (C, H, W).
        num_classes: at least 2.
        weights: all weights and buffers by name.
        until: name of an outermost layer; it and all behind it are left out. None: nothing is.

    Raises:
        SpecError: a layer of a kind that `WRITERS` does not know, or weights that do not fit.
    """
    from onnx import TensorProto, helper

    check_weights(weights, weight_shapes(spec, input_shape, num_classes))
    steps = infer_shapes(spec, input_shape, num_classes)
    names = [step.name for step in steps]
    kept = steps[: len(steps) if until is None else names.index(until)]
    graph = _Graph(weights)
    end = graph.chain(kept, "images")
    graph.nodes.append(helper.make_node("Identity", [end], ["outputs"], name="outputs"))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
        for name, shape in (("images", input_shape), ("outputs", kept[-1].output_shape))
    ]
    made = helper.make_graph(graph.nodes, spec.name, ends[:1], ends[1:], graph.tensors)
    versions = [helper.make_operatorsetid("", OPSET)]
    model = helper.make_model(made, opset_imports=versions, ir_version=FORMAT, producer_name="striate")
    content: bytes = model.SerializeToString()
    return content


class _Graph:
    """Nodes and tensors as they are gathered.

    A value is called like the layer that puts it out, after a slash: no name of a layer begins so, and one
    may be `images`.

    Args:
        weights: all weights and buffers by name.
    """

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []

    def chain(self, steps: Sequence[Step], value: str) -> str:
        """Write layers that follow one another; return the name of what the last puts out."""
        for step in steps:
            if type(step.layer) not in WRITERS:
                raise SpecError(f"a layer of kind {step.layer.kind} cannot be written as ONNX.")
            value = WRITERS[type(step.layer)](self, step, value)
        return value

    def add(self, operator: str, inputs: Sequence[str], path: str, **attributes: Any) -> str:
        """Write the node of the layer at `path` and return the name of its output."""
        from onnx import helper

        output = f"/{path}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def tensor(self, name: str, values: np.ndarray | None = None) -> str:
        """Write a weight, or given values, under `name`, which is returned."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(self.weights[name] if values is None else values, np.float32)
        self.tensors.append(numpy_helper.from_array(array, name))
        return name

    def own(self, step: Step, *names: str) -> list[str]:
        """Write those of a layer's tensors that it has, in this order."""
        known = (f"{step.path}.{name}" for name in names)
        return [self.tensor(name) for name in known if name in self.weights]


Writer = Callable[[_Graph, Step, str], str]


def _conv2d(graph: _Graph, step: Step, value: str) -> str:
    layer: Any = step.layer
    (top, bottom), (left, right) = layer.sides()
    return graph.add(
        "Conv",
        [value, *graph.own(step, "weight", "bias")],
        step.path,
        kernel_shape=both(layer.kernel_size),
        strides=both(layer.stride),
        dilations=both(layer.dilation),
        pads=(top, left, bottom, right),
        group=layer.groups,
    )


def _batch_norm(graph: _Graph, step: Step, value: str) -> str:
    """Write scale and shift, which is what is left of it in evaluation mode."""
    layer: Any = step.layer
    mean, variance = (graph.weights[f"{step.path}.running_{name}"] for name in ("mean", "var"))
    scale = 1 / np.sqrt(variance.astype(np.float64) + layer.eps)
    shift = -mean * scale
    if layer.affine:
        scale = scale * graph.weights[f"{step.path}.weight"]
        shift = -mean * scale + graph.weights[f"{step.path}.bias"]
    n = len(mean)
    plain = {"scale": scale, "shift": shift, "mean": np.zeros(n), "variance": np.ones(n)}
    tensors = [graph.tensor(f"{step.path}.{name}", values) for name, values in plain.items()]
    return graph.add("BatchNormalization", [value, *tensors], step.path, epsilon=0.0)


def _linear(graph: _Graph, step: Step, value: str) -> str:
    return graph.add("Gemm", [value, *graph.own(step, "weight", "bias")], step.path, transB=1)


def _relu6(graph: _Graph, step: Step, value: str) -> str:
    ends = [graph.tensor(f"{step.path}.{name}", np.array(end)) for name, end in (("low", 0.0), ("high", 6.0))]
    return graph.add("Clip", [value, *ends], step.path)


def _max_pool(graph: _Graph, step: Step, value: str) -> str:
    layer: Any = step.layer
    return graph.add("MaxPool", [value], step.path, dilations=both(layer.dilation), **_windows(layer))


def _avg_pool(graph: _Graph, step: Step, value: str) -> str:
    layer: Any = step.layer
    counted = int(layer.count_include_pad)
    return graph.add("AveragePool", [value], step.path, count_include_pad=counted, **_windows(layer))


def _windows(layer: Any) -> dict[str, Any]:
    if layer.ceil_mode:
        raise SpecError("pooling with ceil_mode is not written as ONNX.")
    kernel = both(layer.kernel_size)
    pads = both(layer.padding)
    return {
        "kernel_shape": kernel,
        "strides": kernel if layer.stride is None else both(layer.stride),
        "pads": (*pads, *pads),
    }


def _global(operator: str) -> Writer:
    """Return what writes a pooling of whole maps."""

    def write(graph: _Graph, step: Step, value: str) -> str:
        if step.output_shape[1:] != (1, 1):
            raise SpecError("adaptive pooling to more than one value is not written as ONNX.")
        return graph.add(operator, [value], step.path)

    return write


def _plain(operator: str, **attributes: Any) -> Writer:
    return lambda graph, step, value: graph.add(operator, [value], step.path, **attributes)


def _residual(graph: _Graph, step: Step, value: str) -> str:
    other = graph.chain(step.parts["shortcut"], value) if "shortcut" in step.parts else value
    return graph.add("Add", [graph.chain(step.parts[""], value), other], step.path)


def _parallel(graph: _Graph, step: Step, value: str) -> str:
    ends = [graph.chain(part, value) for part in step.parts.values()]
    return graph.add("Concat", ends, step.path, axis=1)


WRITERS: dict[type[layers.Layer], Writer] = {
    layers.Conv2d: _conv2d,
    layers.Linear: _linear,
    layers.BatchNorm: _batch_norm,
    layers.Dropout: lambda graph, step, value: value,
    layers.Flatten: _plain("Flatten", axis=1),
    layers.ReLU: _plain("Relu"),
    layers.ReLU6: _relu6,
    layers.Sigmoid: _plain("Sigmoid"),
    layers.Tanh: _plain("Tanh"),
    layers.LogSoftmax: _plain("LogSoftmax", axis=1),
    pooling.MaxPool2d: _max_pool,
    pooling.AvgPool2d: _avg_pool,
    pooling.AdaptiveAvgPool2d: _global("GlobalAveragePool"),
    pooling.AdaptiveMaxPool2d: _global("GlobalMaxPool"),
    blocks.Sequential: lambda graph, step, value: graph.chain(step.parts[""], value),
    blocks.Residual: _residual,
    blocks.Parallel: _parallel,
}
"""How each kind of layer is written."""
