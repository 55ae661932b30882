import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.architectures import Spec, infer_shapes, walk
from striate.architectures.blocks import Parallel, Residual, Sequential
from striate.architectures.kinds import KINDS
from striate.architectures.layers import (
    GELU,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    LogSoftmax,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from striate.architectures.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d
from striate.errors import SpecError

TEXT = """
name: teaching-net
output: logits
layers:
  - conv2d: {out_channels: 8, kernel_size: 3, padding: same}   # a comment
  - batch_norm: {eps: 1e-3}
  - relu
  - residual:
      layers:
        - conv2d: {out_channels: 16, kernel_size: [3, 1], stride: 2, padding: [1, 0], bias: false, init: he}
        - leaky_relu: {negative_slope: 0.1}
      shortcut:
        - conv2d: {name: match, out_channels: 16, kernel_size: 1, stride: 2, init: {normal: 0.01}}
  - parallel:
      branches:
        - [conv2d: {out_channels: 4, kernel_size: 1}, relu]
        - [max_pool2d: {kernel_size: 3, stride: 1, padding: 1}]
        - []
  - sequential:
      name: head
      layers:
        - adaptive_avg_pool2d: {output_size: [2, 1]}
        - flatten:
        - dropout: {p: 0.2}
        - linear: {out_features: num_classes}
"""

EVERY_KIND = Spec(
    "every-kind",
    (
        Conv2d(
            4,
            (3, 2),
            stride=(2, 1),
            padding=((0, 1), (1, 2)),
            dilation=(1, 2),
            groups=2,
            bias=False,
            name="stem",
        ),
        BatchNorm(eps=1e-4, momentum=0.2, affine=False),
        ReLU(),
        KINDS["relu6"](),
        LeakyReLU(0.2),
        GELU("tanh"),
        Tanh(),
        MaxPool2d(3, stride=1, padding=1, dilation=1, ceil_mode=True),
        AvgPool2d(3, stride=(1, 1), padding=(1, 1), ceil_mode=True, count_include_pad=False),
        Residual([Conv2d(4, 3, padding="same", init={"normal": 0.5})]),
        Residual([Conv2d(8, 1)], shortcut=[Conv2d(8, 1, init="he")]),
        Parallel([[Conv2d(2, 1), Sigmoid()], [Softmax()], []]),
        Sequential([AdaptiveMaxPool2d((3, 2)), AdaptiveAvgPool2d()]),
        Flatten(),
        Dropout(0.1),
        Linear("num_classes", bias=False, init="he"),
        LogSoftmax(),
    ),
    output="log_probabilities",
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(list(KINDS)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["layers", "name", "conv2d", "residual", "p", "kernel_size"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


def classifier(*layers):
    """Return plain values of a net that ends as it should."""
    return {"layers": [*layers, "flatten", {"linear": {"out_features": "num_classes"}}]}


def test_yaml_is_read_with_torch_names_and_comments():
    spec = Spec.from_yaml(TEXT)
    conv = spec.layers[0]
    assert (spec.name, spec.output) == ("teaching-net", "logits")
    assert conv == Conv2d(8, 3, padding="same", name="conv1")
    assert spec.layers[1].eps == 1e-3
    assert spec.layers[3].layers[0].kernel_size == (3, 1)
    assert Spec.from_yaml(spec.to_yaml()) == spec


def test_layers_are_named_by_kind_and_place():
    steps = infer_shapes(Spec.from_yaml(TEXT), (3, 9, 9), 5)
    assert [step.path for step in walk(steps)] == [
        *("conv1", "batch_norm1", "relu1", "residual1", "residual1.conv1", "residual1.relu1"),
        *("residual1.shortcut.match", "parallel1", "parallel1.branch1.conv1", "parallel1.branch1.relu1"),
        *("parallel1.branch2.pool1", "head", "head.pool1", "head.flatten1", "head.dropout1", "head.linear1"),
    ]


def test_every_kind_survives_yaml_json_and_dict():
    kinds = {step.layer.kind for step in walk(infer_shapes(EVERY_KIND, (2, 12, 12), 5))}
    assert kinds == set(KINDS)
    assert Spec.from_yaml(EVERY_KIND.to_yaml()) == EVERY_KIND
    assert Spec.from_dict(json.loads(json.dumps(EVERY_KIND.to_dict()))) == EVERY_KIND


def test_plain_form_leaves_out_what_is_usual():
    spec = Spec("small", (Flatten(), Linear("num_classes")))
    assert spec.to_dict() == {
        "name": "small",
        "output": "logits",
        "layers": ["flatten", {"linear": {"out_features": "num_classes"}}],
    }
    assert "  - linear: {out_features: num_classes}\n" in spec.to_yaml()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("rellu", "layers, layer 1: unknown kind of layer 'rellu': did you mean 'relu'"),
        ({"Conv2D": {}}, "did you mean 'conv2d'"),
        ({"batch_norm2d": None}, "did you mean 'batch_norm'"),
        (
            {"conv2d": {"out_channels": 3, "kernelsize": 3}},
            r"\(conv2d\): unknown argument 'kernelsize': did you mean",
        ),
        (
            {"conv2d": {"in_channels": 3, "out_channels": 3}},
            "in_channels follows from the data; leave it out",
        ),
        ({"conv2d": {"out_channels": 3}}, "kernel_size is missing"),
        ("conv2d", "out_channels is missing"),
        (
            {"conv2d": {"out_channels": 0, "kernel_size": 3}},
            "out_channels is 0; expected a whole number from 1",
        ),
        ({"conv2d": {"out_channels": "classes", "kernel_size": 3}}, "or the word num_classes"),
        ({"conv2d": {"out_channels": 10**9, "kernel_size": 3}}, "out_channels is 1000000000; expected"),
        ({"conv2d": {"out_channels": 3, "kernel_size": 3.0}}, "kernel_size is 3.0; expected a whole number"),
        ({"conv2d": {"out_channels": 3, "kernel_size": [3, 3, 3]}}, "or two of them"),
        ({"conv2d": {"out_channels": 3, "kernel_size": 3, "stride": 0}}, "stride is 0"),
        ({"conv2d": {"out_channels": 3, "kernel_size": 3, "padding": -1}}, "padding is -1"),
        ({"conv2d": {"out_channels": 3, "kernel_size": 3, "padding": "sme"}}, "'same' or 'valid'"),
        ({"conv2d": {"out_channels": 3, "kernel_size": 3, "padding": [[1, 2], [3]]}}, "padding is"),
        (
            {"conv2d": {"out_channels": 3, "kernel_size": 3, "bias": "no"}},
            "bias is 'no'; expected true or false",
        ),
        (
            {"conv2d": {"out_channels": 3, "kernel_size": 3, "init": "xavier"}},
            "init is 'xavier'; expected 'torch', 'he'",
        ),
        ({"conv2d": {"out_channels": 3, "kernel_size": 3, "init": {"normal": -1}}}, "init is"),
        ({"dropout": {"p": 1.5}}, "p is 1.5; expected a number from 0 to 1"),
        ({"dropout": {"p": True}}, "p is True"),
        ({"dropout": {"p": "half"}}, "p is 'half'"),
        ({"batch_norm": {"eps": float("nan")}}, "eps is nan"),
        ({"gelu": {"approximate": "erf"}}, "expected one of none, tanh"),
        ({"relu": {}, "tanh": {}}, "expected a kind of layer"),
        ({"relu": 3}, "expected a kind of layer"),
        ({3: {}}, "expected a kind of layer"),
        (None, "expected a kind of layer"),
        ({"residual": {}}, "layers is missing"),
        ({"residual": {"layers": []}}, "expected at least one layer"),
        ({"residual": {"layers": "relu"}}, "expected a list of layers, got 'relu'"),
        ({"residual": {"layers": ["relu"], "shortcut": []}}, "shortcut is .*at least one layer"),
        ({"residual": {"layers": ["relu", "rellu"]}}, r"layer 1 \(residual\) layers, layer 2: unknown kind"),
        ({"parallel": {"branches": [["relu"]]}}, "at least two branches"),
        ({"parallel": {"branches": ["relu", "tanh"]}}, "expected a list of layers"),
        ({"parallel": {"branches": 3}}, "branches is 3"),
        ({"relu": {"name": "1st"}}, "name is '1st'; expected letters"),
        ({"relu": {"name": "a.b"}}, "name is 'a.b'"),
        ({"relu": {"name": "shortcut"}}, "not 'shortcut'"),
        ({"relu": {"name": 7}}, "name is 7"),
    ],
)
def test_layers_that_cannot_be_are_refused_with_their_place(layer, message):
    with pytest.raises(SpecError, match=message):
        Spec.from_dict(classifier(layer))


def test_two_layers_of_one_name_are_refused():
    with pytest.raises(SpecError, match=r"two layers are called residual1\.conv2"):
        Spec("twice", (Residual([Conv2d(3, 1, name="conv2"), Conv2d(3, 1)]), Flatten(), Linear(2)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "needs a list of 'layers'"),
        ([], "needs a list of 'layers'"),
        ({}, "needs a list of 'layers'"),
        ({"layers": []}, "has no layers"),
        ({"layers": ["flatten"], "outputs": "logits"}, "did you mean 'output'"),
        ({"layers": ["flatten"], "output": "logit_"}, "did you mean 'logit'"),
        ({"layers": ["flatten"], "output": ["logits"]}, "unknown output"),
        ({"layers": ["flatten"], "output": "x"}, r"unknown output 'x'\."),
        (
            {"layers": [{"conv2d": {"out_channels": 2, "kernel_size": 3, "padding": 100_000}}]},
            "padding.*a whole number from 0 to 65536, ",
        ),
        ({"layers": ["flatten"], "name": ""}, "expected a short text"),
        ({"layers": ["flatten"], "name": "\x1b[31m"}, "expected a short text"),
        ({"layers": ["flatten"], "name": 3}, "name of a network is 3"),
        ({"layers": ["flatten"] * 2001}, "more than 2000 layers"),
        (
            {"layers": ["flatten"], "output": "log_probabilities"},
            "last layer must be log_softmax, not flatten",
        ),
        ({"layers": ["flatten"], "output": "probability"}, "last layer must be sigmoid, not flatten"),
        ({"layers": ["log_softmax"]}, "say output: log_probabilities"),
        ({"layers": [{"sequential": {"layers": ["softmax"]}}]}, "last layer is softmax; leave it out"),
        ({"layers": ["sigmoid"], "output": "logit"}, "say output: probability"),
    ],
)
def test_descriptions_that_cannot_be_are_refused(content, message):
    with pytest.raises(SpecError, match=message):
        Spec.from_dict(content)


def test_blocks_too_deep_are_refused():
    layer = "relu"
    for _ in range(10):
        layer = {"sequential": {"layers": [layer]}}
    with pytest.raises(SpecError, match="more than 8 deep"):
        Spec.from_dict(classifier(layer))


@settings(deadline=None, max_examples=150)
@given(values)
def test_untrusted_values_end_in_a_spec_error_or_a_spec(content):
    for candidate in (content, {"layers": content}, classifier(content)):
        try:
            spec = Spec.from_dict(candidate)
        except SpecError:
            continue
        assert Spec.from_dict(spec.to_dict()) == spec


LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nlayers: *c\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, r"line 2: a network's YAML takes no aliases \(\*a\)"),
        ("layers: !!python/object/apply:os.system ['true']", "takes no tags"),
        ("layers: !!int x", "takes no tags"),
        ("layers: " + "[" * 5_000, "nested more than 64 deep"),
        ("layers: " + "{a: " * 5_000, "nested more than 64 deep"),
        ("- " * 5_000, "nested more than 64 deep"),
        ("layers: [relu", "not valid YAML"),
        ("layers: [relu]\nlayers: [tanh]", "'layers' is given twice"),
        ("layers: [conv2d: {stride: 1, stride: 2}]", "'stride' is given twice"),
        ("layers: 2001-99-99", "not valid YAML"),
        ("layers: " + "9" * 5_000, "YAML"),
        ("layers: [0b_]", "YAML|expected a kind"),
        ("{[1]: 2}", "YAML"),
        ("x: \x00", "not valid YAML"),
        ("#" * 200_001, "at most 200000 are read"),
        ("", "needs a list of 'layers'"),
        ("--- 1\n--- 2", "not valid YAML"),
    ],
)
def test_hostile_yaml_is_refused(text, message):
    with pytest.raises(SpecError, match=message):
        Spec.from_yaml(text)


@settings(deadline=None, max_examples=150)
@given(st.text(alphabet="layers:-[]{}&*!#|>'\"% \n0123.relu", max_size=60))
def test_any_text_ends_in_a_spec_error_or_a_spec(text):
    with contextlib.suppress(SpecError):
        Spec.from_yaml(text)
