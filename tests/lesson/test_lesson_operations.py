"""Every operation of the page's JavaScript, in Node, against the engine's numbers."""

from pathlib import Path

import numpy as np
import pytest
from in_node import CONVOLUTIONS, POOLINGS, as_node, as_tensor, compute

from striate.architectures import Spec
from striate.architectures.graph import build_graph
from striate.architectures.kinds import KINDS as LAYER_KINDS
from striate.architectures.shapes import infer_shapes
from striate.architectures.to_engine import to_engine
from striate.architectures.weights import initial_weights
from striate.engine import functional as F
from striate.lesson.graph import KINDS

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}  # float32 sums in another order

ACTIVATIONS = [
    ("relu", F.relu, {}),
    ("relu6", F.relu6, {}),
    ("leaky_relu", F.leaky_relu, {"negative_slope": 0.2}),
    ("gelu", F.gelu, {"approximate": "none"}),
    ("gelu", F.gelu, {"approximate": "tanh"}),
    ("sigmoid", F.sigmoid, {}),
    ("tanh", F.tanh, {}),
]


def case(kind: str, inputs: list[np.ndarray], args: dict | None = None, **weights: np.ndarray) -> dict:
    return {
        "kind": kind,
        "inputs": [as_tensor(x) for x in inputs],
        "args": args or {},
        "weights": {name: as_tensor(value) for name, value in weights.items()},
    }


def check(cases: list[dict], expected: list[np.ndarray], folder: Path) -> None:
    found = compute(cases, folder)
    assert len(found) == len(expected) > 0
    for number, (came, wanted) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(came, wanted, **TOLERANCE, err_msg=f"case {number}")


@pytest.fixture
def draw():
    generator = np.random.default_rng(0)
    return lambda *shape: generator.normal(size=shape).astype(np.float32)


def test_convolution_matches_the_engine(draw, tmp_path):
    cases, expected = [], []
    for inside, out, height, width, kernel, stride, sides, dilation, groups, bias in CONVOLUTIONS:
        x, weight = draw(inside, height, width), draw(out, inside // groups, *kernel)
        weights = {"weight": weight, "bias": draw(out)} if bias else {"weight": weight}
        args = {"stride": stride, "sides": sides, "dilation": dilation, "groups": groups}
        cases.append(case("conv2d", [x], args, **weights))
        expected.append(F.conv2d(x[None], weight, weights.get("bias"), stride, sides, dilation, groups)[0])
    check(cases, expected, tmp_path)


def test_pooling_matches_the_engine(draw, tmp_path):
    cases, expected = [], []
    for height, width, kernel, stride, padding, ceil in POOLINGS:
        x = draw(3, height, width)
        common = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil}
        cases.append(case("max_pool2d", [x], common | {"dilation": (1, 1)}))
        expected.append(F.max_pool2d(x[None], **common)[0])
        for count in (True, False):
            cases.append(case("avg_pool2d", [x], common | {"count_include_pad": count}))
            expected.append(F.avg_pool2d(x[None], **common, count_include_pad=count)[0])
    x = draw(2, 11, 9)
    dilated = {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 1), "dilation": (3, 2)}
    cases.append(case("max_pool2d", [x], dilated | {"ceil_mode": False}))
    expected.append(F.max_pool2d(x[None], **dilated)[0])
    check(cases, expected, tmp_path)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (4, 2)])
def test_adaptive_pooling_matches_the_engine(draw, tmp_path, size):
    x = draw(3, 7, 9)
    args = {"output_size": size}
    cases = [case("adaptive_avg_pool2d", [x], args), case("adaptive_max_pool2d", [x], args)]
    expected = [F.adaptive_avg_pool2d(x[None], size)[0], F.adaptive_max_pool2d(x[None], size)[0]]
    check(cases, expected, tmp_path)


def test_batch_norm_matches_the_engine_in_evaluation(draw, tmp_path):
    cases, expected = [], []
    for shape in ((4, 5, 6), (7,)):
        x, mean, variance = draw(*shape), draw(shape[0]), abs(draw(shape[0])) + 0.1
        weight, bias = draw(shape[0]), draw(shape[0])
        kept = {"running_mean": mean, "running_var": variance}
        for learned in ({}, {"weight": weight, "bias": bias}):
            cases.append(case("batch_norm", [x], {"eps": 1e-3}, **kept, **learned))
            expected.append(F.batch_norm(x[None], mean, variance, **learned, training=False, eps=1e-3)[0])
    check(cases, expected, tmp_path)


def test_linear_and_flatten_match_the_engine(draw, tmp_path):
    x, weight, bias, maps = draw(12), draw(5, 12), draw(5), draw(2, 3, 4)
    cases = [
        case("linear", [x], weight=weight, bias=bias),
        case("linear", [x], weight=weight),
        case("flatten", [maps]),
        case("dropout", [maps]),
    ]
    expected = [F.linear(x[None], weight, bias)[0], F.linear(x[None], weight)[0], maps.ravel(), maps]
    check(cases, expected, tmp_path)


def test_activations_match_the_engine(draw, tmp_path):
    x = 3 * draw(2, 5, 6)
    cases = [case(kind, [x], args) for kind, _, args in ACTIVATIONS]
    expected = [function(x, **args) for _, function, args in ACTIVATIONS]
    for shape in ((4, 3, 2), (9,)):
        x = 20 * draw(*shape)
        cases += [case("softmax", [x]), case("log_softmax", [x])]
        expected += [F.softmax(x[None], 1)[0], F.log_softmax(x[None], 1)[0]]
    check(cases, expected, tmp_path)


def test_ends_of_blocks_add_and_concatenate(draw, tmp_path):
    a, b, c = draw(3, 4, 5), draw(3, 4, 5), draw(2, 4, 5)
    cases = [case("add", [a, b]), case("concatenate", [a, b, c])]
    check(cases, [a + b, np.concatenate([a, b, c])], tmp_path)


def test_every_kind_of_layer_is_computed():
    blocks = {"sequential", "residual", "parallel"}
    assert set(LAYER_KINDS) - blocks == KINDS - {"add", "concatenate"}


def test_whole_network_with_blocks_matches_the_engine(draw, tmp_path):
    conv = {"conv2d": {"out_channels": 4, "kernel_size": 3, "padding": "same"}}
    halving = {"conv2d": {"out_channels": 6, "kernel_size": 3, "stride": 2, "padding": 1}}
    match = {"conv2d": {"out_channels": 6, "kernel_size": 1, "stride": 2}}
    spec = Spec.from_dict(
        {
            "layers": [
                conv,
                "batch_norm",
                "relu",
                {"residual": {"layers": [conv, "relu"]}},
                {"residual": {"layers": [halving], "shortcut": [match]}},
                {"parallel": {"branches": [[conv, "tanh"], [], [{"sequential": {"layers": [conv]}}]]}},
                {"avg_pool2d": {"kernel_size": 2}},
                "flatten",
                {"linear": {"out_features": "num_classes"}},
            ]
        }
    )
    shape = (3, 8, 8)
    weights = initial_weights(spec, shape, 5, seed=0)
    network = to_engine(spec, shape, 5, weights)
    network.eval()
    nodes = build_graph(infer_shapes(spec, shape, 5), shape)
    x = draw(*shape)
    values = compute([{"input": as_tensor(x), "nodes": [as_node(one, weights) for one in nodes]}], tmp_path)
    assert [value.shape for value in values] == [one.shape for one in nodes]
    np.testing.assert_allclose(values[-1], network.forward(x[None])[0], **TOLERANCE)
