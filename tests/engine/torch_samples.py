"""PyTorch's own sample inputs (`op_db`), forward and gradient in float64, and the inputs that it refuses."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from conformance_cases import PYTORCH, REFUSED, Case, OutOfScope

from striate.engine import functional as F

OPERATORS = {
    "nn.functional.conv2d": "conv2d",
    "nn.functional.max_pool2d": "max_pool2d",
    "nn.functional.avg_pool2d": "avg_pool2d",
    "nn.functional.adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "nn.functional.adaptive_max_pool2d": "adaptive_max_pool2d",
    "nn.functional.linear": "linear",
    "nn.functional.batch_norm": "batch_norm",
    "flatten": "flatten",
    "nn.functional.relu": "relu",
    "nn.functional.relu6": "relu6",
    "nn.functional.leaky_relu": "leaky_relu",
    "nn.functional.gelu": "gelu",
    "nn.functional.silu": "silu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "softmax": "softmax",
    "log_softmax": "log_softmax",
    "nn.functional.cross_entropy": "cross_entropy",
    "nn.functional.nll_loss": "nll_loss",
    "nn.functional.mse_loss": "mse_loss",
    "nn.functional.binary_cross_entropy_with_logits": "binary_cross_entropy_with_logits",
}
"""Names in `op_db`, and the engine's."""

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}

_LOSSES = ("cross_entropy", "nll_loss", "mse_loss", "binary_cross_entropy_with_logits")

_PAIRS = ("kernel_size", "stride", "padding", "dilation")


def torch_cases() -> Iterator[Case]:
    """Yield every sample of the operators above, then every input that torch refuses."""
    logging.getLogger("torch").setLevel(logging.ERROR)  # it would mention a missing GPU
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations within torch's test code
        from torch.testing._internal.common_methods_invocations import op_db

    wanted = [op for op in op_db if op.name in OPERATORS and not op.variant_test_name]
    for name, ours in OPERATORS.items():
        (op,) = (op for op in wanted if op.name == name)
        torch.manual_seed(0)
        samples = op.sample_inputs("cpu", torch.float64, requires_grad=True)
        for number, sample in enumerate(samples):
            check = partial(_check, op.op, ours, sample.input, sample.args, sample.kwargs)
            yield Case(PYTORCH, name, f"{number}: {_text(sample)}", check)
        if op.error_inputs_func is not None:
            for number, error in enumerate(op.error_inputs("cpu")):
                sample = error.sample_input
                check = partial(_check_refused, ours, sample.input, sample.args, sample.kwargs)
                yield Case(REFUSED, name, f"{number}: {_text(sample)}", check)


def _text(sample: Any) -> str:
    """Return a sample as it would be written in a call, arrays as their shapes."""

    def one(value: Any) -> str:
        return "x".join(map(str, value.shape)) or "()" if isinstance(value, torch.Tensor) else repr(value)

    named = [f"{key}={one(value)}" for key, value in sample.kwargs.items()]
    return ", ".join([one(sample.input), *map(one, sample.args), *named])


def _check(
    op: Callable[..., Any], name: str, x: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    if name == "batch_norm" and x.ndim < 2:
        raise OutOfScope("an empty row of numbers, without a dimension of channels")
    tensors, named = _tensors(name, x, args, kwargs)
    array, *arrays = map(_array, tensors)  # copies, before torch writes into running statistics
    arguments = {key: _array(value) for key, value in named.items()}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same' with even kernel lengths")  # it may be slow
        theirs = op(*tensors, **named)
    expected = theirs[0] if isinstance(theirs, tuple) else theirs
    generator = torch.Generator().manual_seed(0)
    grad_output = torch.randn(expected.shape, dtype=torch.float64, generator=generator)
    expected.backward(grad_output)

    forward, backward = _adapt(name, arrays, arguments)
    found = forward(array)
    if isinstance(theirs, tuple):
        np.testing.assert_array_equal(found[1], theirs[1].numpy(), "indices")
        found = found[0]
    _compare(found, expected, "value")
    grads = backward(grad_output.numpy(), array)
    sources = [tensors[0], *_parameters(name, tensors, named)] if isinstance(grads, tuple) else [tensors[0]]
    for grad, source in zip(grads if isinstance(grads, tuple) else (grads,), sources, strict=False):
        if source is not None:
            _compare(grad, source.grad, "gradient")
    if name == "batch_norm" and named.get("training") and tensors[1] is not None:
        _, saved = forward(array, return_saved=True)
        _compare(saved.running_mean, tensors[1], "running mean")
        _compare(saved.running_var, tensors[2], "running variance")


def _tensors(
    name: str, x: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments of our own: leaves, but for a loss's weights and running statistics, constants."""
    leaf = _constant if name in _LOSSES else _leaf
    constants = 2 if name == "batch_norm" else 0  # running mean and variance, always given by position
    tensors = [_leaf(x), *map(_constant, args[:constants]), *map(_leaf, args[constants:])]
    return tensors, {key: leaf(value) for key, value in kwargs.items()}


def _check_refused(name: str, x: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    arguments = {key: _array(value) for key, value in kwargs.items()}
    try:
        forward, _ = _adapt(name, list(map(_array, args)), arguments)
        found = forward(_array(x))
    except (ValueError, TypeError) as error:
        if ":" not in str(error):
            raise AssertionError(f"the message names no argument: {error}") from error
    else:
        raise AssertionError(f"accepted, and returned shape {np.shape(found)}")


def _leaf(value: Any) -> Any:
    """Return a tensor of its own, whose gradient gathers apart from the sample's."""
    if not isinstance(value, torch.Tensor):
        return value
    return value.detach().clone().requires_grad_(value.is_floating_point())


def _constant(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def _array(value: Any) -> Any:
    return value.detach().numpy().copy() if isinstance(value, torch.Tensor) else value


def _parameters(name: str, tensors: list[Any], named: dict[str, Any]) -> list[Any]:
    """Return weight and bias of an operation that has them."""
    if name == "batch_norm":
        rest = [*tensors[3:5], *[None] * (5 - len(tensors))]
        return [named.get(key, value) for key, value in zip(("weight", "bias"), rest, strict=False)]
    return [*tensors[1:3], *[None] * (3 - len(tensors))]


def _compare(found: Any, expected: torch.Tensor, what: str) -> None:
    assert np.asarray(found).dtype == np.float64
    assert np.shape(found) == tuple(expected.shape), (
        f"{what}: {np.shape(found)}, expected {tuple(expected.shape)}"
    )
    np.testing.assert_allclose(found, expected.detach().numpy(), **TOLERANCE, err_msg=what)


def _adapt(
    name: str, args: list[Any], kwargs: dict[str, Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return forward(x) and backward(grad_output, x) for a sample's arguments."""
    forward, backward = getattr(F, name), getattr(F, f"{name}_backward")
    if name in ("conv2d", "linear"):
        return _with_parameters(forward, backward, args, _plain_pairs(kwargs))
    if name == "batch_norm":
        return _batch_norm(args, kwargs)
    if name in ("max_pool2d", "avg_pool2d"):
        order = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
        kwargs = _plain_pairs(dict(zip(order, args, strict=False)) | kwargs)
    elif name == "flatten":  # the engine's default is that of torch.nn.Flatten, 1
        kwargs = {"start_dim": 0} | dict(zip(("start_dim", "end_dim"), args, strict=False)) | kwargs
    elif args:
        kwargs = dict(zip(_ORDER[name], args, strict=False)) | kwargs
    back = {key: value for key, value in kwargs.items() if key != "return_indices"}
    return partial(forward, **kwargs), partial(backward, **back)


_ORDER = {
    "adaptive_avg_pool2d": ("output_size",),
    "adaptive_max_pool2d": ("output_size", "return_indices"),
    "softmax": ("dim",),
    "log_softmax": ("dim",),
    "cross_entropy": ("target",),
    "nll_loss": ("target",),
    "mse_loss": ("target",),
    "binary_cross_entropy_with_logits": ("target",),
}
"""Names of the positional arguments after the first."""


def _with_parameters(
    forward: Callable[..., Any], backward: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    weight, bias = [*args, None][:2]
    needs = ("x", "weight") if bias is None else ("x", "weight", "bias")
    return (
        lambda x: forward(x, weight, bias, **kwargs),
        lambda g, x: backward(g, x, weight, needs=needs, **kwargs),
    )


def _batch_norm(args: list[Any], kwargs: dict[str, Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    names = ("running_mean", "running_var", "weight", "bias")
    given = dict.fromkeys(names) | dict(zip(names, args, strict=False)) | kwargs
    statistics = {key: given[key] for key in names[:2]}
    rest = {key: given[key] for key in ("training", "eps") if key in given}
    needs = ("x", "weight", "bias") if given["bias"] is not None else ("x", "weight")
    back = {"training": False} | rest | statistics | {"weight": given["weight"], "needs": needs}
    return partial(F.batch_norm, **given), partial(F.batch_norm_backward, **back)


def _plain_pairs(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Write pairs as the engine takes them: torch lets (2,) stand for 2, and () for the kernel's size."""
    plain = dict(kwargs)
    for key in _PAIRS:
        value = plain.get(key)
        if isinstance(value, tuple | list) and len(value) < 2:
            plain[key] = value[0] if value else None
    return plain
