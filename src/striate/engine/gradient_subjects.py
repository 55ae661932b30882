"""What a gradient check can check, brought into one form: functions of named arrays."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Inputs = dict[str, np.ndarray]
Pair = tuple[Callable[..., Any], Callable[..., Any]]


@dataclass(frozen=True)
class Subject:
    """What is checked, in one form.

    Attributes:
        name: for the report.
        forward: returns the outputs for the inputs.
        backward: returns gradients by name for a gradient of the outputs and the inputs.
        inputs: float64, by name.
        problems: by input, what is wrong apart from the numbers.
        unneeded: names of inputs whose gradient may be missing.
    """

    name: str
    forward: Callable[[Inputs], np.ndarray]
    backward: Callable[[np.ndarray, Inputs], Mapping[str, np.ndarray | None]]
    inputs: Inputs
    problems: Mapping[str, str]
    unneeded: frozenset[str] = frozenset()


def of_pair(pair: Pair, inputs: Mapping[str, Any]) -> Subject:
    """Bring a pair (forward, backward) into the form of functions of its floating inputs, in float64."""
    check_pair_of_functions("subject", pair)
    if not isinstance(inputs, Mapping):
        raise TypeError(f"inputs: expected a mapping of names to arrays, got {type(inputs).__name__}")
    forward, backward = pair
    floats = {name: np.array(value, np.float64) for name, value in inputs.items() if _is_floating(value)}
    others = {name: value for name, value in inputs.items() if name not in floats}

    def gradients(grad_output: np.ndarray, given: Inputs) -> Mapping[str, np.ndarray | None]:
        returned = backward(grad_output, **_in_order(inputs, given, others))
        row: Sequence[Any] = returned if isinstance(returned, tuple | list) else (returned,)
        names = [*floats, *(f"number {n + 1}" for n in range(len(floats), len(row)))]
        found: Mapping[str, Any] = (
            returned if isinstance(returned, Mapping) else dict(zip(names, row, strict=False))
        )
        surplus = [name for name, grad in found.items() if name not in floats and grad is not None]
        if surplus:
            raise ValueError(
                f"backward: expected gradients of {', '.join(floats)}, got another, {surplus[0]}"
            )
        return found

    name = getattr(forward, "__name__", type(forward).__name__)
    return Subject(name, lambda given: forward(**_in_order(inputs, given, others)), gradients, floats, {})


def of_layer(layer: Any, x: np.ndarray, loss: Pair | None) -> Subject:
    """Bring a layer into the form of functions of its input and parameters, on a copy in float64.

    The copy first sees another input: one that kept what it saw first would be right by chance.
    """
    copied = _in_float64(layer)
    inputs = {"x": np.array(x, np.float64)} if _is_floating(x) else {}
    parameters = copied.parameters()
    inputs |= {name: parameter.value for name, parameter in parameters.items()}

    def forward(given: Inputs) -> np.ndarray:
        for name, parameter in parameters.items():
            parameter.value = given[name]
        y = copied.forward(given.get("x", x))
        return np.asarray(loss[0](y) if loss else y)

    def backward(grad_output: np.ndarray, given: Inputs) -> Mapping[str, np.ndarray | None]:
        for parameter in parameters.values():
            parameter.zero_grad()
        for name, parameter in parameters.items():
            parameter.value = given[name]
        y = copied.forward(given.get("x", x))
        grad_x = copied.backward(loss[1](grad_output, y) if loss else grad_output)
        return {"x": grad_x, **{name: parameter.grad for name, parameter in parameters.items()}}

    forward({name: value / 2 if name == "x" else value for name, value in inputs.items()})
    for inner in _walk(copied):
        if hasattr(inner, "hold_mask"):
            inner.hold_mask()
    problems = _accumulation(backward, forward, copied, inputs, loss)
    name = getattr(layer, "name", "") or type(layer).__name__
    spared = frozenset() if getattr(layer, "needs_input_grad", True) else frozenset({"x"})
    return Subject(name, forward, backward, inputs, problems, spared)


def check_pair_of_functions(name: str, value: Any) -> None:
    """Refuse what is not (forward, backward).

    Raises:
        TypeError: names argument, expected and got.
    """
    if not isinstance(value, tuple | list) or len(value) != 2 or not all(map(callable, value)):
        raise TypeError(f"{name}: expected a pair of functions (forward, backward), got {value!r}")


def _accumulation(
    backward: Callable[..., Any], forward: Callable[..., Any], layer: Any, inputs: Inputs, loss: Pair | None
) -> dict[str, str]:
    """Find parameters whose gradient a second backward pass replaces instead of adding to it."""
    weights = np.ones_like(forward(inputs))
    once = {
        name: np.array(grad) for name, grad in backward(weights.copy(), inputs).items() if grad is not None
    }
    y = layer.forward(inputs["x"]) if "x" in inputs else None
    if y is None:
        return {}
    layer.backward(loss[1](weights, y) if loss else weights)
    return {
        name: "a second backward pass does not add to the gradient"
        for name, parameter in layer.parameters().items()
        if name in once and not np.allclose(parameter.grad, 2 * once[name], rtol=1e-9, atol=1e-12)
    }


def _in_float64(layer: Any) -> Any:
    copied = copy.deepcopy(layer)
    for inner in _walk(copied):
        for name, buffer in inner.own_buffers().items() if hasattr(inner, "own_buffers") else ():
            if _is_floating(buffer):
                setattr(inner, name, np.array(buffer, np.float64))
    for parameter in copied.parameters().values():
        parameter.value = np.array(parameter.value, np.float64)
        parameter.zero_grad()
    return copied


def _walk(layer: Any) -> list[Any]:
    inside = layer.children().values() if hasattr(layer, "children") else ()
    return [layer, *(deeper for child in inside for deeper in _walk(child))]


def _in_order(inputs: Mapping[str, Any], given: Inputs, others: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given[name] if name in given else others[name] for name in inputs}


def _is_floating(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.floating) and np.issubdtype(value.dtype, np.floating)
