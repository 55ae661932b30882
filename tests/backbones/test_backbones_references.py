"""The counts of published courses, to the last parameter; no values are drawn for them."""

from __future__ import annotations

import pytest

import striate
from striate.backbones import STRATEGIES
from striate.errors import UserError

DENSE = {
    "head": "flatten",
    "head_hidden": 256,
    "head_output": "logit",
    "num_classes": 2,
    "input": "3,150,150",
}
"""VGG-16 without its pooling, with a dense head 8192 -> 256 -> 1."""


@pytest.mark.parametrize(
    ("model", "settings", "trainable", "total"),
    [
        ("resnet50", {"strategy": "head", "num_classes": 15}, 30_735, 23_538_767),
        ("squeezenet1_0", {"strategy": "partial", "freeze": 0.75, "num_classes": 15}, 369_295, 743_119),
        ("vgg16", {"strategy": "head", **DENSE}, 2_097_665, 16_812_353),
        ("vgg16", {"strategy": "partial", "freeze": "features.10", **DENSE}, 16_552_193, 16_812_353),
    ],
)
def test_trainable_parameters_are_those_of_the_courses(model, settings, trainable, total):
    table = striate.summary(model, **settings)
    assert (table.trainable, table.parameters, table.frozen) == (trainable, total, total - trainable)
    assert f"trainable {trainable:,} of {total:,} parameters" in str(table)


def test_the_default_of_partial_freezes_39_of_squeezenets_52_tensors():
    table = striate.summary("squeezenet1_0", strategy="partial", num_classes=15)
    assert (table.frozen_tensors, len(table.rows)) == (39, 52)
    assert "39 of 52 tensors" in str(table)


def test_vgg16_at_150_pixels_takes_662_billion_multiply_adds():
    numbers = striate.summary("vgg16", **DENSE)
    assert numbers.parameters == 16_812_353
    assert round(numbers.multiply_adds / 1e9, 2) == 6.62
    trunk = [row for row in striate.summary("vgg16").rows if row.name.startswith("features")]
    assert sum(row.parameters for row in trunk) == 14_714_688
    assert round(sum(row.multiply_adds for row in trunk) / 1e9, 2) == 15.36


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("model", ["lite0", "custom-cnn", "timm/test_resnet"])
def test_every_strategy_tells_of_every_tensor(model, strategy):
    table = striate.summary(model, strategy=strategy)
    assert table.parameters == striate.summary(model).parameters
    assert str(table).count("\n") == len(table.rows) + 5
    assert (table.frozen > 0) == STRATEGIES[strategy].frozen


def test_without_an_input_a_pretrained_network_has_its_own():
    assert striate.summary("lite0").input_shape == (3, 224, 224)
    assert striate.summary("mynet").input_shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"strategy": "head", "freeze": "0.5"}, "freeze is an option of --strategy partial, not of head"),
        ({"strategy": "haed"}, "did you mean 'head'"),
        ({"strategy": "partial", "freeze": "layer9"}, "test_resnet has no such module. Did you mean layer4"),
        ({"strategy": "partial", "freeze": "12"}, "Expected a share such as 0.75, a position below 1"),
        ({"strategy": "partial", "freeze": "1.5"}, "expected a share between 0 and 1"),
        ({"strategy": "partial", "freeze": "0"}, "freezes nothing"),
        ({"strategy": "partial", "freeze": "0.999"}, "freezes everything"),
    ],
)
def test_what_cannot_be_frozen_is_refused(settings, text):
    with pytest.raises(UserError) as refused:
        striate.summary("timm/test_resnet", **settings)
    assert text in str(refused.value)
