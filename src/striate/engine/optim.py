"""Optimizers: from gradients to new values, with torch's names, defaults and numbers.

Each rule is a few lines of arithmetic in place. Large NumPy arrays are worked on in pieces that stay in a
core's cache, so that a rule of five steps reads its arrays from memory once and not five times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import numpy as np

from striate.engine import parallel
from striate.engine.backend import (
    Array,
    check_float,
    check_number,
    check_shape,
    from_numpy,
    is_numpy,
    namespace,
    to_numpy,
    zeros,
)
from striate.engine.parameter import Parameter

State = dict[str, Array]
"""What an optimizer remembers of one parameter, by name."""


class Optimizer:
    """What the optimizers share: the parameters, the learning rate and what is remembered of each parameter.

    Attributes:
        parameters: by name; those without a gradient are passed over. One with several names takes one step,
            under the first.
        lr: learning rate; a schedule sets it before each step.
        weight_decay: of every parameter but those in `undecayed`.
        undecayed: names of parameters that do not decay (biases and scales, usually); any name will do.
        steps: by name, how many steps each parameter has taken.
        state: by name, the arrays that are remembered.
    """

    remembered: tuple[str, ...] = ()

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        lr: float,
        weight_decay: float = 0.0,
        undecayed: Collection[str] = (),
    ) -> None:
        _check_parameters(parameters)
        check_number("lr", lr, 0)
        check_number("weight_decay", weight_decay, 0)
        if isinstance(undecayed, str) or not isinstance(undecayed, Collection):
            raise TypeError(f"undecayed: expected a list of names of parameters, got {undecayed!r}")
        unknown = [name for name in undecayed if name not in parameters]
        if unknown:
            raise ValueError(f"undecayed: expected names of parameters, got {unknown[0]!r}")
        first_names = _first_names(parameters)
        self.parameters = {name: parameters[name] for name in dict.fromkeys(first_names.values())}
        self.lr = float(lr)
        self.weight_decay = float(weight_decay)
        self.undecayed = frozenset(first_names[name] for name in undecayed)
        self.steps: dict[str, int] = {}
        self.state: dict[str, State] = {}

    def step(self) -> None:
        """Change every parameter that has a gradient, in place; the gradients stay as they are.

        Raises:
            ValueError: a gradient of another shape than its parameter's.
            TypeError: of another dtype.
        """
        for name, parameter in self.parameters.items():
            if parameter.grad is None:
                continue
            check_shape(f"{name}.grad", parameter.grad, parameter.value.shape)
            check_float(**{name: parameter.value, f"{name}.grad": parameter.grad})
            if name not in self.state:
                shape = parameter.value.shape
                self.state[name] = {key: zeros(shape, parameter.value) for key in self.remembered}
            self.steps[name] = self.steps.get(name, 0) + 1
            decay = 0.0 if name in self.undecayed else self.weight_decay
            rule = self.rule(self.steps[name], decay)
            memories = [self.state[name][key] for key in self.remembered]
            _in_pieces(rule, parameter.value, parameter.grad, *memories)

    def rule(self, step: int, decay: float) -> Callable[..., None]:
        """Return the arithmetic of a parameter's `step` (from 1), acting in place on value and memories."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters.values():
            parameter.zero_grad()

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Return copies of what is remembered, and the steps, as NumPy arrays `<parameter>:<quantity>`."""
        arrays = {f"{name}:step": np.asarray(step, np.float32) for name, step in self.steps.items()}
        for name, state in self.state.items():
            arrays |= {f"{name}:{key}": to_numpy(array).copy() for key, array in state.items()}
        return arrays

    def restore_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `state_arrays` returned, in the library and dtype of each parameter.

        What does not fit is refused before anything is changed.

        Raises:
            TypeError: an array that holds no floating numbers.
            ValueError: an array that this optimizer does not have, one that it lacks, one of another shape,
                or a step that cannot be.
        """
        steps: dict[str, int] = {}
        state: dict[str, State] = {}
        for label, array in arrays.items():
            name, _, key = str(label).rpartition(":")
            if name not in self.parameters or key not in ("step", *self.remembered):
                raise ValueError(f"arrays: expected the state of this optimizer's parameters, got {label!r}")
            if key == "step":
                steps[name] = _whole_step(label, array)
                continue
            check_shape(label, array, self.parameters[name].value.shape)
            check_float(**{label: array})
            copied = from_numpy(np.asarray(array), self.parameters[name].value)
            state.setdefault(name, {})[key] = copied
        for name in steps | state:
            for key in ("step", *self.remembered):
                if f"{name}:{key}" not in arrays:
                    raise ValueError(f"arrays: expected {name}:{key} as well, got none")
            state.setdefault(name, {})
        self.steps, self.state = steps, state


class SGD(Optimizer):
    r"""Stochastic gradient descent with momentum.

    With g the gradient plus weight_decay * w, in torch's form

        v = momentum * v + g,   w = w - lr * v           (Nesterov: w = w - lr * (g + momentum * v))

    and in the classical form of Polyak 1964 and Sutskever et al. 2013, equations 1 and 2,

        v = momentum * v - lr * g,   w = w + v           (Nesterov: w = w + momentum * v - lr * g)

    Both take the same path as long as lr stays; when it is lowered, the classical velocity keeps what it
    gathered at the old rate, while torch's slows down at once.

    Args:
        parameters: by name.
        lr: learning rate.
        momentum: share of the velocity that is kept.
        nesterov: look one step of the velocity ahead; needs momentum.
        weight_decay: gradient of an L2 penalty of weight_decay / 2 * sum(w ** 2).
        form: `"torch"` or `"classical"`.
        undecayed: names of parameters that do not decay.
    """

    remembered: tuple[str, ...] = ("momentum_buffer",)

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        lr: float = 1e-3,
        momentum: float = 0.0,
        *,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        form: Literal["torch", "classical"] = "torch",
        undecayed: Collection[str] = (),
    ) -> None:
        super().__init__(parameters, lr, weight_decay, undecayed)
        check_number("momentum", momentum, 0)
        if form not in ("torch", "classical"):
            raise ValueError(f"form: expected 'torch' or 'classical', got {form!r}")
        if nesterov and not momentum:
            raise ValueError("nesterov: expected a momentum above 0 with it, got momentum 0")
        self.momentum = float(momentum)
        self.nesterov = nesterov
        self.form = form
        self.remembered = SGD.remembered if momentum else ()

    def rule(self, step: int, decay: float) -> Callable[..., None]:
        """Return one of the rules above."""
        lr, momentum, nesterov = self.lr, self.momentum, self.nesterov

        def plain(value: Array, grad: Array) -> None:
            value -= lr * (grad + decay * value if decay else grad)

        def torch_form(value: Array, grad: Array, velocity: Array) -> None:
            slope = grad + decay * value if decay else grad
            velocity *= momentum
            velocity += slope
            value -= lr * (slope + momentum * velocity if nesterov else velocity)

        def classical(value: Array, grad: Array, velocity: Array) -> None:
            slope = lr * (grad + decay * value if decay else grad)
            velocity *= momentum
            velocity -= slope
            value += momentum * velocity - slope if nesterov else velocity

        if not momentum:
            return plain
        return torch_form if self.form == "torch" else classical


class Adam(Optimizer):
    r"""Steps of about lr in each weight's own scale (Kingma and Ba 2015, algorithm 1).

        m = beta1 * m + (1 - beta1) * g         mean gradient
        s = beta2 * s + (1 - beta2) * g ** 2    mean squared gradient
        w = w - lr * m' / (sqrt(s') + eps),     m' = m / (1 - beta1 ** t),  s' = s / (1 - beta2 ** t)

    m and s begin at zero; the divisions in the last line make up for it at step t. Weight decay is added to
    the gradient, so that weights with large gradients decay less; `AdamW` is the other way.

    Args:
        parameters: by name.
        lr: learning rate.
        betas: (beta1, beta2).
        eps: keeps the division finite.
        weight_decay: of the gradient.
        undecayed: names of parameters that do not decay.
    """

    remembered = ("exp_avg", "exp_avg_sq")
    decoupled = False

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        undecayed: Collection[str] = (),
    ) -> None:
        super().__init__(parameters, lr, weight_decay, undecayed)
        pair = isinstance(betas, tuple | list) and len(betas) == 2
        if not pair or not all(0 <= check_number("betas", beta) < 1 for beta in betas):
            raise ValueError(f"betas: expected two numbers from 0 to below 1, got {betas}")
        check_number("eps", eps, 0)
        self.betas = betas
        self.eps = float(eps)

    def rule(self, step: int, decay: float) -> Callable[..., None]:
        """Return the rule above, with the corrections for `step` worked into two numbers."""
        (beta1, beta2), eps = self.betas, self.eps
        rate = self.lr / (1 - beta1**step)
        root = 1 / math.sqrt(1 - beta2**step)
        shrink = 1 - self.lr * decay if self.decoupled else 1.0
        added = 0.0 if self.decoupled else decay

        def rule(value: Array, grad: Array, mean: Array, square: Array) -> None:
            slope = grad + added * value if added else grad
            if shrink != 1:
                value *= shrink
            mean *= beta1
            mean += (1 - beta1) * slope
            square *= beta2
            scaled = slope * slope
            scaled *= 1 - beta2
            square += scaled
            deviation = namespace(square).sqrt(square)
            deviation *= root
            deviation += eps
            step_taken = mean / deviation
            step_taken *= rate
            value -= step_taken

        return rule


class AdamW(Adam):
    """Adam whose weight decay acts on the weights, w = (1 - lr * weight_decay) * w, before the step.

    Source: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, algorithm 2.
    """

    decoupled = True

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        undecayed: Collection[str] = (),
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, undecayed=undecayed)


def _in_pieces(rule: Callable[..., None], *arrays: Array) -> None:
    """Call `rule` on arrays of one shape, in pieces where they are NumPy's and large."""
    first = arrays[0]
    plain = is_numpy(*arrays) and all(array.flags.c_contiguous for array in arrays)
    if not plain or first.nbytes <= parallel.PIECE_BYTES:
        return rule(*arrays)
    flat = [array.reshape(-1) for array in arrays]  # views: the arrays are contiguous
    parts = parallel.pieces(first.size, first.itemsize, parallel.PIECE_BYTES // 2)
    parallel.run(lambda part: rule(*[array[part] for array in flat]), parts)


def _whole_step(label: str, value: Any) -> int:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.shape or not array >= 0 or array % 1:
        raise ValueError(f"{label}: expected a whole number of at least 0, shape (), got {value!r}")
    return int(array)


def _first_names(parameters: Mapping[str, Parameter]) -> dict[str, str]:
    """Return for every name the first one of the same parameter."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(parameter), name) for name, parameter in parameters.items()}


def _check_parameters(parameters: Any) -> None:
    if not isinstance(parameters, Mapping):
        kind = type(parameters).__name__
        raise TypeError(f"parameters: expected a mapping of names, network.parameters(), got {kind}")
    for name, parameter in parameters.items():
        if not isinstance(parameter, Parameter):
            raise TypeError(f"parameters: expected a Parameter for {name!r}, got {type(parameter).__name__}")
