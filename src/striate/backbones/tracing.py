"""What a torch network of a library computes, operation by operation. Imports torch.

torch.fx runs the network's own code on symbols and notes every call. Layers and functions that the engine has
in the same meaning become nodes with its names and arguments. Any other becomes a node of its own name,
such as `SiLU` or `mul()`: it only says that it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from striate.architectures.arguments import both
from striate.architectures.graph import INPUT, Node

Arguments = dict[str, Any]
ADDITIONS = ("add", "iadd", "add_")
BRANCHES = ("cat", "concat", "concatenate")


def trace(network: nn.Module, input_shape: tuple[int, ...]) -> list[Node] | None:
    """Return the operations of a network in evaluation mode, the image first; weights by the network's names.

    None where its code decides by the values that it computes, so that it cannot be run on symbols.

    Args:
        network: with or without values (on the device `meta`).
        input_shape: (C, H, W) of one image.
    """
    network.eval()
    device = next(iter(network.parameters())).device
    try:
        with torch.no_grad():
            traced = fx.symbolic_trace(network)
            ShapeProp(traced).propagate(torch.zeros(1, *input_shape, device=device))
    except (TypeError, ValueError, RuntimeError, AttributeError, AssertionError):  # the code meets a symbol
        return None
    return list(_nodes(traced, input_shape))


def _nodes(traced: fx.GraphModule, input_shape: tuple[int, ...]) -> Iterator[Node]:
    """The nodes up to what the network puts out; an operation that changes nothing is passed over."""
    places: dict[fx.Node, int] = {}
    known: set[str] = set()
    count = 0
    modules = dict(traced.named_modules())
    for step in traced.graph.nodes:
        if step.op == "placeholder":
            places[step] = 0
            count = 1
            yield Node(INPUT, INPUT, {}, (), tuple(input_shape))
        elif step.op in ("call_module", "call_function", "call_method") and "tensor_meta" in step.meta:
            sources = tuple(places[one] for one in _sources(step) if one in places)
            layer = modules[step.target] if step.op == "call_module" else None
            if isinstance(layer, nn.Identity):
                places[step] = sources[0]
                continue
            yield _node(step, layer, sources, known)
            places[step] = count
            count += 1


def _sources(step: fx.Node) -> list[fx.Node]:
    """The inputs of a step; what is added to itself, or joined with itself, is named twice."""
    if _name(step) not in ADDITIONS + BRANCHES:
        return step.all_input_nodes
    lists = [one if isinstance(one, list | tuple) else [one] for one in step.args]
    return [one for part in lists for one in part if isinstance(one, fx.Node)]


def _node(step: fx.Node, layer: nn.Module | None, inputs: tuple[int, ...], known: set[str]) -> Node:
    """An operation in its place; one that the engine does not have keeps its own name."""
    shape, entering = _shape(step), _shape(step.all_input_nodes[0]) if step.all_input_nodes else ()
    path = str(step.target) if layer is not None else _path(step)
    found = _of_function(step, entering) if layer is None else _of_layer(layer, entering)
    tensors_read = [one for one in step.all_input_nodes if "tensor_meta" in one.meta]
    if found is None or not all(map(_is_one_image, (step, *tensors_read))):
        kind = f"{_name(step)}()" if layer is None else type(layer).__name__
        return Node(_own_path(path, known), kind, {}, inputs, shape)
    kind, args = found
    state = {} if layer is None else layer.state_dict()
    tensors = {name: tuple(tensor.shape) for name, tensor in state.items() if tensor.shape}
    return Node(
        path if tensors else _own_path(path, known), kind, args, inputs, shape, tensors, _work(layer, shape)
    )


def _own_path(path: str, known: set[str]) -> str:
    """A path that no other node has: a layer without weights may be called several times."""
    number, own = 1, path
    while own in known:
        number += 1
        own = f"{path} ({number})"
    known.add(own)
    return own


def _path(step: fx.Node) -> str:
    """Name of a function with those of the layers around it."""
    around = list(step.meta.get("nn_module_stack", {}).values())
    outer = str(around[-1][0]) if around else ""
    return f"{outer}.{_name(step)}" if outer else _name(step)


def _name(step: fx.Node) -> str:
    if step.op == "call_method":
        return str(step.target)
    return str(getattr(step.target, "__name__", step.target)).lstrip("_")


def _shape(step: fx.Node) -> tuple[int, ...]:
    """(C, H, W) or (features,) of what a step puts out; () where that is not one tensor."""
    meta: Any = step.meta.get("tensor_meta")
    return tuple(meta.shape[1:]) if hasattr(meta, "shape") else ()


def _is_one_image(step: fx.Node) -> bool:
    """Whether a step puts out maps or features of the one image, as every operation of the engine does."""
    meta: Any = step.meta.get("tensor_meta")
    return hasattr(meta, "shape") and len(meta.shape) in (2, 4) and meta.shape[0] == 1


def _work(layer: nn.Module | None, shape: tuple[int, ...]) -> int:
    """Multiply-adds for one image."""
    if isinstance(layer, nn.Conv2d):
        return prod(shape) * prod(layer.weight.shape[1:])
    return prod(layer.weight.shape) if isinstance(layer, nn.Linear) else 0


# ---- Layers


def _of_layer(layer: nn.Module, entering: tuple[int, ...]) -> tuple[str, Arguments] | None:
    """Kind and arguments of the engine's layer that computes the same; None where there is none."""
    make = LAYERS.get(type(layer))
    return None if make is None else make(layer, entering)


def _conv2d(layer: Any, entering: tuple[int, ...]) -> tuple[str, Arguments] | None:
    if layer.padding_mode != "zeros" or layer.padding == "same":
        return None
    padding = (0, 0) if layer.padding == "valid" else both(layer.padding)
    sides = tuple((one, one) for one in padding)
    args = {
        "stride": both(layer.stride),
        "sides": sides,
        "dilation": both(layer.dilation),
        "groups": layer.groups,
    }
    return "conv2d", args


def _batch_norm(layer: Any, entering: tuple[int, ...]) -> tuple[str, Arguments] | None:
    return ("batch_norm", {"eps": layer.eps}) if layer.running_mean is not None else None


def _max_pool2d(layer: Any, entering: tuple[int, ...]) -> tuple[str, Arguments]:
    return "max_pool2d", _window(layer) | {"dilation": both(layer.dilation)}


def _avg_pool2d(layer: Any, entering: tuple[int, ...]) -> tuple[str, Arguments] | None:
    if layer.divisor_override is not None:
        return None
    return "avg_pool2d", _window(layer) | {"count_include_pad": layer.count_include_pad}


def _window(layer: Any) -> Arguments:
    names = ("kernel_size", "stride", "padding")
    return {name: both(getattr(layer, name)) for name in names} | {"ceil_mode": layer.ceil_mode}


def _adaptive(kind: str) -> Callable[[Any, tuple[int, ...]], tuple[str, Arguments]]:
    def make(layer: Any, entering: tuple[int, ...]) -> tuple[str, Arguments]:
        return kind, {"output_size": _output_size(layer.output_size, entering)}

    return make


def _output_size(asked: Any, entering: tuple[int, ...]) -> tuple[int, ...]:
    """(rows, columns); None keeps those that enter."""
    sides = asked if isinstance(asked, list | tuple) else (asked, asked)
    return tuple(own if side is None else side for side, own in zip(sides, entering[1:], strict=True))


def _flatten(layer: Any, entering: tuple[int, ...]) -> tuple[str, Arguments] | None:
    return ("flatten", {}) if (layer.start_dim, layer.end_dim) == (1, -1) else None


def _plain(kind: str, *names: str) -> Callable[[Any, tuple[int, ...]], tuple[str, Arguments]]:
    return lambda layer, entering: (kind, {name: getattr(layer, name) for name in names})


LAYERS: dict[type[nn.Module], Callable[[Any, tuple[int, ...]], tuple[str, Arguments] | None]] = {
    nn.Conv2d: _conv2d,
    nn.Linear: _plain("linear"),
    nn.BatchNorm2d: _batch_norm,
    nn.MaxPool2d: _max_pool2d,
    nn.AvgPool2d: _avg_pool2d,
    nn.AdaptiveAvgPool2d: _adaptive("adaptive_avg_pool2d"),
    nn.AdaptiveMaxPool2d: _adaptive("adaptive_max_pool2d"),
    nn.Flatten: _flatten,
    nn.Dropout: _plain("dropout"),
    nn.ReLU: _plain("relu"),
    nn.ReLU6: _plain("relu6"),
    nn.LeakyReLU: _plain("leaky_relu", "negative_slope"),
    nn.GELU: _plain("gelu", "approximate"),
    nn.Sigmoid: _plain("sigmoid"),
    nn.Tanh: _plain("tanh"),
}
"""Those of which the engine has the like. A class of a library that stands on one of them is another."""


# ---- Functions and methods


def _of_function(step: fx.Node, entering: tuple[int, ...]) -> tuple[str, Arguments] | None:
    """Kind and arguments of the engine's operation that a call computes; None where there is none.

    By name, not by identity: other tools put wrappers of their own in the place of torch's functions.
    """
    name, shape = _name(step), _shape(step)
    if name in ADDITIONS:
        same = [_shape(one) == shape for one in step.args if isinstance(one, fx.Node)]
        return ("add", {}) if same == [True, True] and not step.kwargs else None
    if name in BRANCHES:
        axis = step.args[1] if len(step.args) > 1 else step.kwargs.get("dim", 0)
        return ("concatenate", {}) if axis in (1, -len(shape)) else None
    if name in ("flatten", "view", "reshape"):
        return ("flatten", {}) if shape == (prod(entering),) else None
    if name == "adaptive_avg_pool2d" and len(step.args) > 1:
        return "adaptive_avg_pool2d", {"output_size": _output_size(step.args[1], entering)}
    return (name, {}) if name in ("relu", "relu6", "dropout") else None
