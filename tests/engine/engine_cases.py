"""Every operation with the arguments it is tried with: ours, its backward, and torch's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from striate.engine import functional as F

T = torch.nn.functional


@dataclass(frozen=True)
class Case:
    """An operation on given arrays."""

    name: str
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    reference: Callable[..., torch.Tensor]
    arrays: list[Any]


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def ties(*shape: int) -> np.ndarray:
    """Few different values, so that most windows have several maxima."""
    return np.random.default_rng(shape).integers(-2, 3, size=shape).astype(float)


def labels(*shape: int, classes: int) -> np.ndarray:
    return np.random.default_rng(shape).integers(0, classes, size=shape)


def shares(*shape: int) -> np.ndarray:
    values = np.random.default_rng(shape).uniform(size=shape)
    return values / values.sum(axis=1, keepdims=True)


def simple(name: str, reference: Callable[..., torch.Tensor], x: np.ndarray, **arguments: Any) -> Case:
    """Return the case of an operation with one array, whose torch twin takes the same arguments."""
    text = ",".join(f"{key}={value}" for key, value in arguments.items())
    ours, backward = getattr(F, name), getattr(F, f"{name}_backward")
    return Case(
        f"{name}({'x'.join(map(str, x.shape))}{',' if text else ''}{text})",
        lambda x: ours(x, **arguments),
        lambda g, x: backward(g, x, **arguments),
        lambda x: reference(x, **arguments),
        [x],
    )


def activation_cases() -> list[Case]:
    x = draw(3, 4, 5) * 4
    cases = [
        simple(name, reference, values)
        for name, reference in {
            "relu": T.relu,
            "relu6": T.relu6,
            "sigmoid": torch.sigmoid,
            "tanh": torch.tanh,
            "silu": T.silu,
        }.items()
        for values in (x, draw(6), draw(), draw(0, 3), ties(4, 5))
    ]
    cases += [simple("leaky_relu", T.leaky_relu, x, negative_slope=slope) for slope in (0.01, 0.3, 0.0)]
    cases += [simple("gelu", T.gelu, x, approximate=kind) for kind in ("none", "tanh")]
    for name, reference in (("softmax", torch.softmax), ("log_softmax", torch.log_softmax)):
        cases += [simple(name, reference, x, dim=dim) for dim in (0, 1, -1)]
        cases += [simple(name, reference, draw(5) + 1000, dim=0), simple(name, reference, draw(0, 3), dim=1)]
    return cases


def pooling_cases() -> list[Case]:
    settings: list[dict[str, Any]] = [
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": 3, "stride": 1, "padding": 1},
        {"kernel_size": 2, "ceil_mode": True},
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        {"kernel_size": (2, 3), "stride": (3, 1), "padding": (0, 1)},
        {"kernel_size": 2, "stride": 3},
        {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True},
        {"kernel_size": 5, "stride": 2, "padding": 2},
        {"kernel_size": 1},
    ]
    dilated = [
        {"kernel_size": 2, "dilation": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": (1, 2)},
        {"kernel_size": 2, "stride": 2, "padding": 1, "dilation": 3, "ceil_mode": True},
    ]
    cases = []
    for x in (draw(2, 3, 7, 9), ties(2, 2, 8, 6), ties(3, 7, 7)):
        cases += [simple("max_pool2d", T.max_pool2d, x, **one) for one in settings + dilated]
        for one in settings:
            for count in (True, False):
                cases.append(simple("avg_pool2d", T.avg_pool2d, x, **one, count_include_pad=count))
        cases += [simple("avg_pool2d", T.avg_pool2d, x, **settings[1], divisor_override=5)]
        for size in (1, 2, (3, 2), (None, 4), 9, (7, 3)):
            cases.append(simple("adaptive_avg_pool2d", T.adaptive_avg_pool2d, x, output_size=size))
            cases.append(simple("adaptive_max_pool2d", T.adaptive_max_pool2d, x, output_size=size))
    return cases


def convolution_cases() -> list[Case]:
    images, one = draw(2, 4, 7, 8), draw(4, 7, 8)
    settings: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((6, 4, 3, 3), {}),
        ((6, 4, 3, 3), {"padding": 1}),
        ((6, 4, 3, 3), {"stride": 2, "padding": 1}),
        ((6, 4, 3, 2), {"stride": (2, 1), "padding": (0, 2)}),
        ((6, 4, 2, 3), {"padding": ((0, 1), (2, 0))}),
        ((6, 4, 4, 3), {"padding": "same"}),
        ((6, 4, 3, 3), {"padding": "valid", "dilation": (2, 1)}),
        ((6, 2, 3, 3), {"padding": 2, "dilation": 2, "groups": 2}),
        ((6, 2, 3, 3), {"stride": 2, "padding": 1, "groups": 2}),
        ((8, 1, 3, 3), {"padding": 1, "groups": 4}),
        ((4, 1, 3, 3), {"stride": 2, "padding": 1, "dilation": 2, "groups": 4}),
        ((6, 4, 1, 1), {}),
        ((6, 4, 1, 1), {"stride": 2}),
        ((6, 4, 7, 8), {}),
    ]
    cases = [_convolution(x, shape, True, named) for shape, named in settings for x in (images, one)]
    return [*cases, *(_convolution(images, shape, False, named) for shape, named in settings[1:3])]


def _convolution(x: np.ndarray, shape: tuple[int, ...], with_bias: bool, named: dict[str, Any]) -> Case:
    needs = ("x", "weight", "bias") if with_bias else ("x", "weight")

    def reference(x: Any, weight: Any, bias: Any) -> torch.Tensor:
        padding = named.get("padding", 0)
        rest = {key: value for key, value in named.items() if key != "padding"}
        if isinstance(padding, tuple) and isinstance(padding[0], tuple):
            (top, bottom), (left, right) = padding
            x, padding = T.pad(x, (left, right, top, bottom)), 0
        if padding == "same":  # torch warns of even kernels; these are 4 x 3
            x, padding = T.pad(x, (1, 1, 1, 2)), 0
        return T.conv2d(x, weight, bias, padding=padding, **rest)

    text = ",".join(f"{key}={value}" for key, value in named.items())
    return Case(
        f"conv2d({x.shape},{shape},{'bias' if with_bias else 'no bias'}{',' if text else ''}{text})",
        lambda x, w, b: F.conv2d(x, w, b, **named),
        lambda g, x, w, b: F.conv2d_backward(g, x, w, needs=needs, **named),
        reference,
        [x, draw(*shape), draw(shape[0]) if with_bias else None],
    )


def shape_cases() -> list[Case]:
    x = draw(2, 3, 4, 5)
    settings: list[dict[str, int]] = [
        {"start_dim": 1},
        {"start_dim": 0},
        {"start_dim": 1, "end_dim": 2},
        {"start_dim": -2, "end_dim": -1},
        {"start_dim": 2, "end_dim": 2},
    ]
    cases = [simple("flatten", torch.flatten, x, **one) for one in settings]
    return [*cases, simple("flatten", torch.flatten, draw(), start_dim=0)]


def dropout_cases() -> list[Case]:
    def case(p: float, x: np.ndarray) -> Case:
        return Case(
            f"dropout({x.shape},p={p})",
            lambda x, mask: F.dropout(x, p, mask=mask),
            lambda g, x, mask: F.dropout_backward(g, mask, p),
            lambda x, mask: x * mask / (1 - p) if p < 1 else x * 0,
            [x, np.random.default_rng(5).random(x.shape) >= p],
        )

    return [case(p, x) for p in (0.2, 0.5, 1.0) for x in (draw(3, 4), draw(2, 3, 4, 5), draw(0, 3))]


def penalty_cases() -> list[Case]:
    def case(weight: np.ndarray, strength: float) -> Case:
        return Case(
            f"l2_penalty({weight.shape},{strength})",
            lambda w: F.l2_penalty(w, strength),
            lambda g, w: F.l2_penalty_backward(g, w, strength),
            lambda w: strength * (w**2).sum(),
            [weight],
        )

    return [case(draw(4, 3), 0.1), case(draw(2, 3, 3, 3), 1.0), case(draw(5), 0.0)]


def linear_cases() -> list[Case]:
    def case(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> Case:
        name = f"linear({x.shape},{weight.shape},{'bias' if bias is not None else 'no bias'})"
        wanted = ("x", "weight", "bias") if bias is not None else ("x", "weight")
        return Case(
            name,
            F.linear,
            lambda g, x, w, b: F.linear_backward(g, x, w, wanted),
            T.linear,
            [x, weight, bias],
        )

    inputs = [draw(4, 6), draw(6), draw(2, 3, 6), draw(2, 1, 3, 6), draw(0, 6)]
    cases = [case(x, draw(5, 6), bias) for x in inputs for bias in (draw(5), None)]
    return [*cases, case(draw(4, 6), draw(6, seed=1), None), case(draw(6), draw(6, seed=1), None)]


def normalization_cases() -> list[Case]:
    cases = []
    for x in (draw(6, 3), draw(4, 3, 5), draw(2, 3, 4, 5) * 3 + 50, draw(2, 2, 3, 2, 2)):
        channels = x.shape[1]
        mean, variance = draw(channels), draw(channels) ** 2 + 0.5
        for training in (True, False):
            for affine in (True, False):
                for running in (True, False) if training else (True,):
                    statistics = [mean, variance] if running else [None, None]
                    parameters = [draw(channels), draw(channels, seed=1)] if affine else [None, None]
                    cases.append(_normalization_case(x, statistics, parameters, training))
    return cases


def _normalization_case(x: np.ndarray, statistics: list, parameters: list, training: bool) -> Case:
    wanted = ("x", "weight", "bias") if parameters[0] is not None else ("x",)

    def backward(g: Any, x: Any, weight: Any, bias: Any, mean: Any, variance: Any) -> Any:
        return F.batch_norm_backward(
            g, x, weight, training, 1e-3, running_mean=mean, running_var=variance, needs=wanted
        )

    def reference(x: Any, weight: Any, bias: Any, mean: Any, variance: Any) -> torch.Tensor:
        kept = [None if one is None else one.detach().clone() for one in (mean, variance)]
        return T.batch_norm(x, *kept, weight, bias, training, eps=1e-3)

    return Case(
        f"batch_norm({x.shape},training={training},running={statistics[0] is not None},"
        f"affine={parameters[0] is not None})",
        lambda x, w, b, m, v: F.batch_norm(x, m, v, w, b, training, eps=1e-3),
        backward,
        reference,
        [x, *parameters, *statistics],
    )


def loss_cases() -> list[Case]:
    cases = []
    for shape in ((6, 5), (5,), (3, 5, 4), (2, 4, 3, 2)):
        classes = shape[0] if len(shape) == 1 else shape[1]
        rest = (*shape[:1], *shape[2:]) if len(shape) > 1 else ()
        target = np.asarray(labels(*rest, classes=classes))
        weight = np.abs(draw(classes)) + 0.1
        for reduction in ("mean", "sum", "none"):
            for one in (None, weight):
                cases += [_class_loss(shape, target, one, reduction, e) for e in (0.0, 0.1)]
                cases.append(_nll(shape, target, one, reduction))
                if len(shape) > 1:
                    cases.append(_class_loss(shape, shares(*shape), one, reduction, 0.2))
                    ignored = np.where(np.arange(target.size).reshape(target.shape) % 3 == 0, 1, target)
                    cases.append(_class_loss(shape, ignored, one, reduction, 0.1, ignore_index=1))
                    cases.append(_nll(shape, np.where(target == 0, -100, target), one, reduction))
    for reduction in ("mean", "sum", "none"):
        for weight in (None, np.abs(draw(3, 4)) + 0.1):
            cases.append(_squared(draw(3, 4), draw(3, 4, seed=1), weight, reduction))
        for weight in (None, np.abs(draw(3, 4)) + 0.1, np.abs(draw(4)) + 0.1):
            for pos_weight in (None, np.abs(draw(4, seed=2)) + 0.1):
                cases.append(_binary(draw(3, 4) * 20, weight, pos_weight, reduction))
    return cases


def _class_loss(
    shape: tuple[int, ...],
    target: np.ndarray,
    weight: np.ndarray | None,
    reduction: str,
    smoothing: float,
    ignore_index: int = -100,
) -> Case:
    rest = (reduction, smoothing)
    return Case(
        f"cross_entropy({shape},{target.dtype},{weight is not None},{rest},{ignore_index})",
        lambda x, t, w: F.cross_entropy(x, t, w, ignore_index, *rest),
        lambda g, x, t, w: F.cross_entropy_backward(g, x, t, w, ignore_index, *rest),
        lambda x, t, w: T.cross_entropy(
            x,
            t,
            w,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=smoothing,
        ),
        [draw(*shape) * 3, target, weight],
    )


def _nll(shape: tuple[int, ...], target: np.ndarray, weight: np.ndarray | None, reduction: str) -> Case:
    return Case(
        f"nll_loss({shape},{weight is not None},{reduction})",
        lambda x, t, w: F.nll_loss(x, t, w, reduction=reduction),
        lambda g, x, t, w: F.nll_loss_backward(g, x, t, w, reduction=reduction),
        lambda x, t, w: T.nll_loss(x, t, w, reduction=reduction),
        [draw(*shape), target, weight],
    )


def _squared(x: np.ndarray, target: np.ndarray, weight: np.ndarray | None, reduction: str) -> Case:
    def backward(g: Any, x: Any, target: Any, weight: Any) -> Any:
        grad = F.mse_loss_backward(g, x, target, reduction, weight)
        return grad, -grad

    return Case(
        f"mse_loss({weight is not None},{reduction})",
        lambda x, t, w: F.mse_loss(x, t, reduction, w),
        backward,
        lambda x, t, w: T.mse_loss(x, t, reduction=reduction, weight=w),
        [x, target, weight],
    )


def _binary(x: np.ndarray, weight: np.ndarray | None, pos_weight: np.ndarray | None, reduction: str) -> Case:
    rest = (reduction,)
    return Case(
        f"binary_cross_entropy({np.shape(weight)},{pos_weight is not None},{reduction})",
        lambda x, t, w, p: F.binary_cross_entropy_with_logits(x, t, w, *rest, p),
        lambda g, x, t, w, p: F.binary_cross_entropy_with_logits_backward(g, x, t, w, *rest, p),
        lambda x, t, w, p: T.binary_cross_entropy_with_logits(x, t, w, reduction=reduction, pos_weight=p),
        [x, np.random.default_rng(3).uniform(size=x.shape), weight, pos_weight],
    )


CASES = [
    *activation_cases(),
    *convolution_cases(),
    *pooling_cases(),
    *shape_cases(),
    *dropout_cases(),
    *linear_cases(),
    *normalization_cases(),
    *loss_cases(),
    *penalty_cases(),
]
